"""The words of --filter, and --packet."""

from __future__ import annotations

from pathlib import Path

import pytest
import trace_edge
from hypothesis import given
from hypothesis import strategies as st
from scapy.layers.inet import IP, TCP, UDP
from scapy.layers.inet6 import IPv6
from scapy.layers.l2 import ARP, Dot1Q, Ether
from scapy.utils import wrpcap

from p4cats.switch.trace import TraceError
from p4cats.switch.trace.filters import compile_filter
from p4cats.switch.trace.packets import packets

UDP6 = bytes(Ether() / IPv6(src="2001:db8::1", dst="2001:db8::2") / UDP(sport=1000, dport=8080))
TCP4 = bytes(Ether() / IP(src="10.0.0.1", dst="10.0.0.2") / TCP(sport=22, dport=3000))
TAGGED = bytes(Ether() / Dot1Q(vlan=5) / IP(src="10.0.0.1", dst="10.0.0.2") / UDP(sport=1, dport=2))
TUNNEL = bytes(Ether() / IPv6(src="5f00::1", dst="5f00::2") / IPv6(dst="2001:db8::9") / UDP(dport=53))


@pytest.mark.parametrize(
    ("text", "frame", "expected"),
    [
        ("", UDP6, True),
        ("udp and dst port 8080", UDP6, True),
        ("udp and src port 8080", UDP6, False),
        ("port 8080", UDP6, True),
        ("tcp or dst port 8080", UDP6, True),
        ("not ip6", UDP6, False),
        ("not (tcp or icmp6) and ip6", UDP6, True),
        ("host 2001:db8::1", UDP6, True),
        ("dst host 2001:db8::1", UDP6, False),
        ("src net 2001:db8::/32 and dst net 2001:db8::/32", UDP6, True),
        ("tcp and host 10.0.0.2", TCP4, True),
        ("net 10.0.0.0/8", UDP6, False),
        ("ip and udp port 2".replace("udp port", "udp and port"), TAGGED, True),
        ("ether proto 0x8100", TAGGED, True),
        ("host 2001:db8::9 and udp and port 53", TUNNEL, True),
        ("host 5f00::2", TUNNEL, True),
        ("arp", bytes(Ether() / ARP()), True),
        ("udp or tcp and host 9.9.9.9", UDP6, True),
        ("udp and port 53", trace_edge.response(), False),
        ("udp and src port 8080", trace_edge.response(), True),
    ],
)
def test_filter(text: str, frame: bytes, expected: bool) -> None:
    assert compile_filter(text)(frame) is expected


@pytest.mark.parametrize(
    "text",
    ["udp and", "dst prot 80", "port x", "port 70000", "host nobody", "(udp", "udp udp", "net 1::/999"],
)
def test_bad_filter_is_told_in_one_line(text: str) -> None:
    with pytest.raises(TraceError) as caught:
        compile_filter(text)
    assert "\n" not in str(caught.value)
    assert "--filter" in str(caught.value)


@given(st.binary(max_size=120), st.sampled_from([b"\x86\xdd", b"\x08\x00", b"\x81\x00"]))
def test_any_frame_can_be_filtered(data: bytes, type_: bytes) -> None:
    assert compile_filter("udp and not udp")(bytes(12) + type_ + data) is False


@pytest.mark.parametrize("text", ["0x0102ff", "01:02:ff", "01 02 ff", "0102FF"])
def test_hexadecimal_forms(text: str) -> None:
    assert list(packets(text)) == [b"\x01\x02\xff"]


@pytest.mark.parametrize("text", ["012", "xyz", "", "nowhere.pcap"])
def test_bad_packet_is_told_in_one_line(text: str) -> None:
    with pytest.raises(TraceError) as caught:
        list(packets(text))
    assert "\n" not in str(caught.value)


def test_packets_of_a_capture_file(tmp_path: Path) -> None:
    path = tmp_path / "two.pcap"
    wrpcap(str(path), [Ether(UDP6), Ether(TCP4)])
    assert list(packets(str(path))) == [UDP6, TCP4]


def test_file_that_is_no_capture(tmp_path: Path) -> None:
    path = tmp_path / "none.pcap"
    path.write_bytes(b"nothing of the kind, but long enough to be read")
    with pytest.raises(TraceError, match="no capture file"):
        list(packets(str(path)))
