"""The scapy layers: what they build is what docs/protocol.md says, and they take it apart again."""

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scapy.layers.inet import TCP, UDP
from scapy.layers.inet6 import IPv6
from scapy.layers.l2 import Ether
from scapy.packet import Raw

from p4cats import halfsiphash, protocol
from p4cats.packets.layers import (
    Decision,
    IntMd,
    IntShim,
    MetricOption,
    Report,
    ReportGroup,
    hop_words,
    metric_header,
    metric_of,
    signed,
)

SERVICE, CLIENT = "2001:db8:ca75::53", "2001:db8:1::1"
ETHERNET = Ether(src="02:00:00:00:00:01", dst="02:00:00:00:00:02")
KEY = bytes(range(8))
PLAIN = {"instance": 3, "in_flight": 2, "expected_wait_us": 1500, "key_id": 1, "sequence": 7}


def stamped(**fields: int) -> Ether:
    return ETHERNET / IPv6(src=SERVICE, dst=CLIENT) / metric_header(**{**PLAIN, **fields}) / TCP() / b"answer"


def test_header_of_the_option_has_40_octets_and_no_padding() -> None:
    header = bytes(metric_header(**PLAIN))
    assert len(header) == protocol.HBH_BYTES
    assert header[1:4] == bytes(
        [protocol.CONSTANTS["CATS_HBH_EXT_LENGTH"], protocol.OPTION_TYPE, protocol.OPTION_LENGTH]
    )


@given(
    st.fixed_dictionaries(
        {
            "flags": st.integers(0, 15),
            "key_id": st.integers(0, 255),
            "instance": st.integers(0, 2**32 - 1),
            "in_flight": st.integers(0, 2**16 - 1),
            "power_mw": st.integers(0, 2**32 - 1),
            "sequence": st.integers(0, 2**32 - 1),
            "mac": st.integers(0, 2**64 - 1),
        }
    )
)
def test_option_is_laid_out_as_the_struct_says_and_read_back(fields: dict[str, int]) -> None:
    packet = bytes(stamped(**fields))
    data = protocol.OPTION_DATA.unpack_from(packet, 14 + 40 + 4)
    found = metric_of(Ether(packet))
    assert found is not None
    assert {name: int(getattr(found, name)) for name in fields} == fields
    assert data[1] == protocol.VERSION << 4 | fields["flags"]
    assert (data[2], data[3], data[-2], data[-1]) == (
        fields["key_id"],
        fields["instance"],
        fields["sequence"],
        fields["mac"],
    )
    assert bytes(Ether(packet)) == packet


def test_mac_covers_option_and_destination_but_not_the_mac_itself() -> None:
    packet = signed(stamped(), KEY)
    option = packet[MetricOption] if MetricOption in packet else metric_of(packet)
    assert option is not None
    covered = bytes(packet)[14 + 40 + 4 : 14 + 40 + 4 + 28] + bytes(packet[IPv6])[24:40]
    assert len(covered) == protocol.MAC_INPUT_BYTES
    assert option.mac.to_bytes(8, "big") == halfsiphash.tag(KEY, covered)
    assert signed(stamped(mac=1), KEY)[IPv6].payload.options[0].mac == option.mac


def test_signing_a_packet_without_option_is_an_error() -> None:
    with pytest.raises(ValueError, match="no metric option"):
        signed(IPv6() / TCP(), KEY)


HOPS = st.lists(st.binary(min_size=32, max_size=32), max_size=4)


@given(HOPS, st.booleans(), st.binary(max_size=60))
def test_telemetry_is_taken_apart_into_hops_decision_and_what_was_there(
    hops: list[bytes], decided: bool, payload: bytes
) -> None:
    decision = Decision(instance=7, policy=2, placed=1, expected_wait_us=90, age_us=1200)
    stack = b"".join(hops) + (bytes(decision) if decided else b"")
    md = IntMd(
        instructions=0xFC00,
        hop_words=hop_words(0xFC00),
        domain=protocol.INT_DOMAIN if decided else 0,
        domain_instructions=0x8000 if decided else 0,
        stack=stack,
    )
    inner = UDP(sport=4000, dport=4001, chksum=0) / Raw(payload)
    outer = UDP(sport=50000, dport=protocol.INT_PORT, chksum=0)
    packet = bytes(ETHERNET / IPv6(src=CLIENT, dst=SERVICE) / outer / IntShim(protocol=17) / md / inner)
    found = Ether(packet)
    assert found[IntShim].length == 3 + len(stack) // 4
    assert [hop["node_id"] for hop in found[IntMd].hops()] == [
        struct.unpack_from("!I", hop)[0] for hop in hops
    ]
    assert (found[IntMd].decision() is not None) == decided
    assert bytes(found[IntMd].payload) == bytes(inner)
    assert bytes(found) == packet


def test_report_holds_the_frame_with_its_stack() -> None:
    frame = ETHERNET / IPv6(src=CLIENT, dst=SERVICE) / UDP(sport=9, dport=protocol.INT_PORT, chksum=0)
    frame = (
        frame / IntShim(protocol=6) / IntMd(instructions=0x8000, hop_words=1, stack=bytes(7) + b"\5") / TCP()
    )
    head = ETHERNET / IPv6() / UDP(sport=protocol.REPORT_PORT, dport=protocol.REPORT_PORT, chksum=0)
    found = Ether(bytes(head / ReportGroup(node_id=4, sequence=9) / Report() / frame))
    assert (found[ReportGroup].node_id, found[ReportGroup].sequence) == (4, 9)
    assert found[Report].tracked == 1
    assert [hop["node_id"] for hop in found[IntMd].hops()] == [0, 5]


@given(st.binary(max_size=200))
def test_any_octets_on_the_telemetry_ports_are_taken_apart_without_error(octets: bytes) -> None:
    for port in (protocol.INT_PORT, protocol.REPORT_PORT):
        packet = bytes(ETHERNET / IPv6() / UDP(dport=port, chksum=0) / Raw(octets))
        found = Ether(packet)
        if IntMd in found:
            found[IntMd].hops()
            found[IntMd].decision()
