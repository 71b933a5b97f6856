"""What the collector makes of reports, and of what are none."""

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from p4cats import protocol
from p4cats.controller.collector import DELAY_LIFETIME_S, MOST_PATHS, Findings, render
from p4cats.controller.reports import Decision, ReportError, decode, without_int

CLIENT, SERVER = bytes(15) + b"\1", bytes(15) + b"\2"


def hop(node, ingress_us, egress_us):
    return struct.pack("!IHHIIQQ", node, 1, 2, egress_us - ingress_us, 0, ingress_us, egress_us)


WAY = hop(3, 5000, 5010), hop(1, 1000, 1010)


def report(hops=WAY, *, sink=3, sequence=0, decision=b"", flags=0):
    """A report whose hops are given newest first."""
    stack = b"".join(hops) + decision
    domain = (protocol.INT_DOMAIN, 0x8000) if decision else (0, 0)
    udp = struct.pack("!HHHH", 4000, 80, 12, 1) + b"data"
    md = struct.pack("!IHHHH", 2 << 28 | flags << 25 | 8 << 8 | 5, 0xFC00, *domain, 0)
    shim = struct.pack("!BBBB", 0x18, 3 + len(stack) // 4, 0, 17)
    size = 8 + len(shim) + len(md) + len(stack) + len(udp)
    outer = struct.pack("!HHHH", 50000, protocol.INT_PORT, size, 0)
    ipv6 = struct.pack("!IHBB", 6 << 28, size, 17, 60) + CLIENT + SERVER
    frame = bytes(12) + b"\x86\xdd" + ipv6 + outer + shim + md + stack + udp
    words = min(2 + (len(frame) + 3) // 4, 255)
    kind = 1 << 28 | 3 << 24 | words << 16 | 0x20
    return struct.pack("!IIIHHHH", 2 << 28 | sequence, sink, kind, 0, 0, 0, 0) + frame


def test_hops_are_in_the_order_of_the_way():
    found = decode(report(decision=struct.pack("!HBBII", 7, 2, 1, 1500, 0xFFFFFFFF)))
    assert [(h.node, h.latency_us, h.ingress_us) for h in found.hops] == [(1, 10, 1000), (3, 10, 5000)]
    assert found.decision == Decision(7, 2, True, 1500, None)
    assert (found.source_port, found.destination_port, found.protocol) == (4000, 80, 17)


def test_flags_tell_that_hops_are_missing():
    assert decode(report(flags=2)).exceeded
    assert decode(report(flags=1)).mtu_exceeded


@pytest.mark.parametrize("size", range(0, 120, 7))
def test_a_report_that_is_cut_off_is_refused(size):
    with pytest.raises(ReportError):
        decode(report()[:size])


@given(st.binary(max_size=400))
def test_octets_are_a_report_or_an_error(data):
    findings = Findings()
    findings.add(data, 0.0)
    assert findings.received + findings.malformed == 1
    assert len(without_int(data)) <= len(data)


@given(st.integers(0, len(report()) - 1), st.integers(0, 255))
def test_a_changed_octet_is_a_report_or_an_error(at, value):
    data = bytearray(report())
    data[at] = value
    findings = Findings()
    findings.add(bytes(data), 0.0)
    assert findings.received + findings.malformed == 1


def test_gaps_are_lost_reports_unless_they_come_late():
    findings = Findings()
    for sequence in (0, 1, 4, 3):
        findings.add(report(sequence=sequence), 0.0)
    assert findings.lost == {3: 1}


def test_sequence_numbers_come_round():
    findings = Findings()
    for sequence in ((1 << 22) - 1, 0):
        findings.add(report(sequence=sequence), 0.0)
    assert findings.lost == {3: 0}


def test_delays_are_told_when_they_are_new_have_moved_or_are_old():
    findings = Findings()
    findings.add(report(), 0.0)
    assert findings.news(0.0) == {(1, 3): 3990}
    assert findings.news(1.0) == {}
    for _ in range(40):
        findings.add(report((hop(3, 9000, 9010), hop(1, 1000, 1010))), 2.0)
    [(ends, delay_us)] = findings.news(2.0).items()
    assert ends == (1, 3)
    assert delay_us == pytest.approx(7990, rel=0.02)
    assert findings.news(3.0 + DELAY_LIFETIME_S) == {(1, 3): None}


@pytest.mark.parametrize("ingress_us", [500, 60_000_000])
def test_clocks_that_do_not_agree_make_no_delay(ingress_us):
    findings = Findings()
    findings.add(report((hop(3, ingress_us, ingress_us), hop(1, 1000, 1010))), 0.0)
    assert findings.news(0.0) == {}


def test_no_more_paths_than_allowed_are_kept():
    findings = Findings()
    for node in range(MOST_PATHS + 10):
        findings.add(report((hop(3, 5000, 5010), hop(node + 10, 1000, 1010))), 0.0)
    assert len(findings.paths) == MOST_PATHS


def test_what_is_shown_fits_a_terminal_of_80_columns():
    findings = Findings()
    for number in range(3):
        findings.add(report(sequence=2 * number, decision=struct.pack("!HBBII", 7, 2, 1, 1500, 12_500)), 0.0)
    console = Console(width=80, force_terminal=False)
    with console.capture() as capture:
        console.print(render(findings, {1: "access1", 3: "edge1"}))
    assert "access1 > edge1 3       4.0 ms      10 us, 10 us      0" in capture.get()
    assert "7        least  3" in capture.get()
    assert "p50 12.5 ms" in capture.get()
    assert "reports: 3, lost 2, malformed 0" in capture.get()
