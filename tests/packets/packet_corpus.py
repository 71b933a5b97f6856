"""Packets of every format of docs/protocol.md, and what can be made of them by breaking them.

`originals` are whole; `Mutator` flips bits, cuts, lies about lengths, moves headers from one into another.
All addresses are those of one network: `ROUTER` is the switch under test.
"""

from __future__ import annotations

import random
import struct
from dataclasses import dataclass
from functools import cache
from ipaddress import IPv6Address

from scapy.layers.inet import TCP, UDP
from scapy.layers.inet6 import (
    ICMPv6EchoRequest,
    ICMPv6ND_NA,
    ICMPv6ND_NS,
    ICMPv6NDOptSrcLLAddr,
    ICMPv6PacketTooBig,
    IPv6,
    IPv6ExtHdrDestOpt,
    IPv6ExtHdrFragment,
    IPv6ExtHdrHopByHop,
    IPv6ExtHdrSegmentRouting,
    PadN,
)
from scapy.layers.l2 import Ether
from scapy.packet import Packet, Raw

from p4cats import protocol
from p4cats.halfsiphash import tag
from p4cats.packets.layers import Decision, IntMd, IntShim, Report, ReportGroup, hop_words, metric_header
from p4cats.protocol import metric_message

SERVICES = [str(IPv6Address("2001:db8:ca75::53") + i) for i in range(4)]
CLIENT, SERVER, ELSEWHERE = "2001:db8:1:1::2", "2001:db8:2:1::2", "2001:db8:77::1"
ROUTER, OTHER_ROUTER, COLLECTOR = "5f00:0:1::1", "5f00:0:2::1", "2001:db8:9::9"
END, DX6 = "5f00:0:1:1::", "5f00:0:1:1003::"
SIDS = {number: f"5f00:0:{number + 1:x}:{0x1000 + number:x}::" for number in range(1, 5)}
KEYS = {(1, 1): b"\1\2\3\4\5\6\7\x08", (1, 2): b"nextkey!", (2, 7): bytes(range(8)), (1023, 255): b"\xff" * 8}
"""By instance and key id; instance 4 is believed without."""
UNKEYED = 4
BELIEVED = ((UNKEYED, 0), *KEYS)
PORTS = {"host": 1, "core": 2}
OPTION_AT = 54
"""Where the Hop-by-Hop header of a packet with an option begins, in a frame."""
OPTION = bytes([4, protocol.OPTION_TYPE, protocol.OPTION_LENGTH])
"""What it has behind its next header."""
_ADDRESSES = (
    *SERVICES, CLIENT, SERVER, ELSEWHERE, ROUTER, OTHER_ROUTER, COLLECTOR, END, DX6, *SIDS.values(),
    "::", "::1", "ff02::1",
)  # fmt: skip
_NEXT_HEADERS = (0, 6, 17, 41, 43, 44, 51, 58, 59, 60)


@dataclass(frozen=True)
class Original:
    """A frame, where its layers begin, and the side that it comes from."""

    name: str
    frame: bytes
    layers: tuple[int, ...]
    side: str


def service_of(instance: int) -> str:
    """The address that an instance's metrics come from."""
    return SERVICES[instance % len(SERVICES)]


def has_option(frame: bytes) -> bool:
    """Whether a forwarder looks at a metric option in this frame."""
    return (
        len(frame) >= OPTION_AT + protocol.HBH_BYTES
        and frame[12:14] == b"\x86\xdd"
        and frame[20] == 0
        and frame[OPTION_AT + 1 : OPTION_AT + 4] == OPTION
    )


def blanked(frame: bytes) -> bytes:
    """The frame with zeros for the option's data."""
    begin = OPTION_AT + 4
    return frame[:begin] + bytes(protocol.OPTION_LENGTH) + frame[begin + protocol.OPTION_LENGTH :]


def resigned(frame: bytes, sequence: int) -> bytes:
    """The frame with another sequence number, and the MAC for it where the key is known."""
    begin, end = OPTION_AT + 4, OPTION_AT + protocol.HBH_BYTES
    data = frame[begin : end - 12] + struct.pack("!I", sequence & 0xFFFFFFFF) + bytes(8)
    key_id, instance = data[3], int.from_bytes(data[4:8], "big")
    if key := KEYS.get((instance, key_id)):
        data = data[:-8] + tag(key, metric_message(data, IPv6Address(frame[38:54])))
    return frame[:begin] + data + frame[end:]


@cache
def originals() -> tuple[Original, ...]:
    """One or more of every format."""
    found = []
    ethernet = Ether(src="02:00:00:00:00:01", dst="02:00:00:00:00:02")

    def add(name: str, side: str, packet: Packet) -> None:
        frame = bytes(ethernet / packet)
        whole, starts = Ether(frame), []
        while whole:
            starts.append(len(frame) - len(bytes(whole)))
            whole = whole.payload
        found.append(Original(name, resigned(frame, 1) if has_option(frame) else frame, tuple(starts), side))

    transports = {
        "tcp": TCP(sport=443, dport=40_000, flags="PA") / Raw(b"answer"),
        "tcp options": TCP(sport=443, dport=40_000, options=[("MSS", 1440), ("Timestamp", (1, 2))]),
        "udp": UDP(sport=53, dport=40_000) / Raw(b"answer"),
        "udp unsummed": UDP(sport=53, dport=40_000, chksum=0) / Raw(b"answer"),
    }
    for name, transport in transports.items():
        nh = 6 if TCP in transport else 17
        for option in BELIEVED:
            stamped = IPv6(src=service_of(option[0]), dst=CLIENT) / _option(option) / transport
            add(f"response {name}", "core", stamped)
        add(f"plain {name}", "core", IPv6(src=SERVER, dst=CLIENT) / transport)
        add(f"out {name}", "host", IPv6(src=CLIENT, dst=SERVER) / transport)
        for service in SERVICES:
            add(f"answer {name}", "core", IPv6(src=service, dst=CLIENT) / transport)
            add(f"request {name}", "host", IPv6(src=CLIENT, dst=service) / transport)
            inner = IPv6(src=CLIENT, dst=service) / transport
            add(f"tunnel {name}", "core", IPv6(src=OTHER_ROUTER, dst=DX6) / inner)
            segments = [DX6, END]
            routing = IPv6ExtHdrSegmentRouting(addresses=segments, segleft=1, lastentry=1, nh=41)
            add(f"segments {name}", "core", IPv6(src=OTHER_ROUTER, dst=END) / routing / inner)
            add(f"int tunnel {name}", "core", _telemetry(IPv6(src=OTHER_ROUTER, dst=DX6), 41, inner))
            reduced = IPv6ExtHdrSegmentRouting(addresses=[DX6], segleft=1, lastentry=0, nh=17)
            add(
                f"int segments {name}",
                "core",
                _telemetry(IPv6(src=OTHER_ROUTER, dst=END) / reduced, 41, inner),
            )
        plain = _telemetry(IPv6(src=SERVER, dst=CLIENT), nh, transport)
        add(f"int {name}", "core", plain)
        stamped = IPv6(src=SERVICES[0], dst=CLIENT) / _option(BELIEVED[0], nh=17)
        add(f"int response {name}", "core", _telemetry(stamped, nh, transport))
        report = UDP(sport=protocol.REPORT_PORT, dport=protocol.REPORT_PORT, chksum=0) / ReportGroup(
            node_id=2
        )
        report = report / Report() / ethernet / plain
        add(f"report {name}", "core", IPv6(src=OTHER_ROUTER, dst=COLLECTOR) / report)
    beacon = UDP(sport=7, dport=protocol.BEACON_PORT)
    for router in (ROUTER, OTHER_ROUTER, "::1"):
        for option in BELIEVED:
            add("beacon", "host", IPv6(src=service_of(option[0]), dst=router) / _option(option) / beacon)
    smuggled = _telemetry(
        IPv6(src=service_of(UNKEYED), dst=OTHER_ROUTER) / _option(BELIEVED[0], nh=17), 17, beacon
    )
    add("int beacon", "host", smuggled)
    zeros = dict.fromkeys([f.name for f in metric_header().options[0].fields_desc][2:], 0)
    add("blanked", "core", IPv6(src=SERVICES[0], dst=CLIENT) / metric_header(**zeros) / transports["udp"])
    padded = IPv6ExtHdrHopByHop(options=[PadN(optdata=bytes(4))])
    add("other option", "core", IPv6(src=SERVICES[0], dst=CLIENT) / padded / transports["udp"])
    add(
        "two headers",
        "core",
        IPv6(src=SERVICES[0], dst=CLIENT) / _option(BELIEVED[0], nh=60) / IPv6ExtHdrDestOpt() / UDP(),
    )
    add("fragment", "core", IPv6(src=SERVICES[0], dst=CLIENT) / IPv6ExtHdrFragment(nh=17, m=1) / UDP())
    solicit = ICMPv6ND_NS(tgt=ROUTER) / ICMPv6NDOptSrcLLAddr(lladdr="02:00:00:00:00:01")
    add("solicitation", "host", IPv6(src=CLIENT, dst="ff02::1:ff00:1", hlim=255) / solicit)
    add("advertisement", "host", IPv6(src=CLIENT, dst=ROUTER, hlim=255) / ICMPv6ND_NA(tgt=CLIENT))
    add("echo", "host", IPv6(src=CLIENT, dst=SERVER) / ICMPv6EchoRequest(data=b"ping"))
    quoted = IPv6(src=SERVICES[0], dst=CLIENT) / UDP(sport=53, dport=9) / Raw(bytes(800))
    add("too big", "host", IPv6(src=ELSEWHERE, dst=SERVICES[0]) / ICMPv6PacketTooBig(mtu=1400) / quoted)
    add("to a SID", "host", IPv6(src=CLIENT, dst=SIDS[1]) / IPv6(src=CLIENT, dst=SERVICES[0]) / UDP())
    add("UDP to a SID", "core", IPv6(src=CLIENT, dst=DX6) / UDP(sport=1, dport=2) / Raw(b"x"))
    full = Raw(bytes(1500 - 48))
    add("full", "host", IPv6(src=CLIENT, dst=SERVICES[1]) / UDP(sport=9, dport=53) / full)
    add("full response", "core", IPv6(src=SERVICES[1], dst=CLIENT) / UDP(sport=53, dport=9) / full)
    return tuple(found)


@cache
def _of(kind: str) -> tuple[Original, ...]:
    return tuple(original for original in originals() if original.name.startswith(kind))


def _option(believed: tuple[int, int], nh: int | None = None) -> Packet:
    """The header of an instance under a key id."""
    instance, key_id = believed
    header = metric_header(
        instance=instance, key_id=key_id, expected_wait_us=1500 * instance, in_flight=key_id
    )
    if nh is not None:
        header.nh = nh
    return header


def _telemetry(head: Packet, next_header: int, rest: Packet) -> Packet:
    """INT between a head and what followed it, with two hops and a decision."""
    instructions = 0xFC00
    stack = bytes(range(2 * 4 * hop_words(instructions)))
    stack += bytes(Decision(instance=3, policy=2, placed=1, expected_wait_us=900, age_us=4000))
    md = IntMd(
        instructions=instructions, hop_words=hop_words(instructions), domain=protocol.INT_DOMAIN,
        domain_instructions=0x8000, stack=stack, remaining_hops=5,
    )  # fmt: skip
    udp = UDP(sport=50_000, dport=protocol.INT_PORT, chksum=0)
    return head / udp / IntShim(protocol=next_header) / md / rest


class Mutator:
    """Draws packets; equal seeds draw equal packets."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self._sequence = 1

    def draw(self, kind: str = "") -> tuple[Original, bytes]:
        """A packet, of one kind if given: as it was, or broken in up to four ways."""
        pick = self.random
        origin = pick.choice(_of(kind))
        frame = bytearray(origin.frame)
        changes = (self._flip, self._flip, self._cut, self._grow, self._length, self._splice, self._duplicate,
                   self._remove, self._address, self._next_header)  # fmt: skip
        for _ in range(pick.choice((0, 1, 1, 1, 2, 4))):
            if len(frame) > 14:
                pick.choice(changes)(frame, origin)
        made = bytes(frame[:3000])
        if has_option(made) and pick.random() < 0.6:
            self._sequence += pick.choice((0, 1, 1, 1, 1, 100, -1))
            made = resigned(made, self._sequence)
        return origin, made

    def _flip(self, frame: bytearray, origin: Original) -> None:
        for _ in range(self.random.choice((1, 1, 2, 5))):
            # Headers are where it matters.
            at = self.random.randrange(min(len(frame), self.random.choice((60, 110, 3000))))
            frame[at] ^= 1 << self.random.randrange(8)

    def _cut(self, frame: bytearray, origin: Original) -> None:
        del frame[self.random.randrange(14, len(frame)) :]

    def _grow(self, frame: bytearray, origin: Original) -> None:
        frame += self.random.randbytes(self.random.choice((1, 2, 40, 1000)))

    def _length(self, frame: bytearray, origin: Original) -> None:
        """Another value in one octet of where formats have lengths and counts, or in both of two."""
        start = self.random.choice(origin.layers)
        at = start + self.random.choice((0, 1, 2, 3, 4, 5, 6, 7))
        value = self.random.choice((0, 1, 2, 3, 4, 5, 7, 8, 0x10, 0x40, 0x7F, 0x80, 0xFE, 0xFF))
        if at < len(frame):
            frame[at] = value
            if self.random.random() < 0.3 and at + 1 < len(frame):
                frame[at + 1] = self.random.choice((0, value, 0xFF))

    def _splice(self, frame: bytearray, origin: Original) -> None:
        """One layer of another packet between two of this."""
        other = self.random.choice(originals())
        number = self.random.randrange(len(other.layers))
        ends = (*other.layers[1:], len(other.frame))
        at = min(self.random.choice(origin.layers), len(frame))
        frame[at:at] = other.frame[other.layers[number] : ends[number]]

    def _duplicate(self, frame: bytearray, origin: Original) -> None:
        number = self.random.randrange(len(origin.layers))
        ends = (*origin.layers[1:], len(origin.frame))
        frame[origin.layers[number] : origin.layers[number]] = frame[origin.layers[number] : ends[number]]

    def _remove(self, frame: bytearray, origin: Original) -> None:
        number = self.random.randrange(len(origin.layers))
        ends = (*origin.layers[1:], len(origin.frame))
        if origin.layers[number]:
            del frame[origin.layers[number] : ends[number]]

    def _address(self, frame: bytearray, origin: Original) -> None:
        start = self.random.choice(origin.layers) + self.random.choice((8, 24))
        if start + 16 <= len(frame):
            frame[start : start + 16] = IPv6Address(self.random.choice(_ADDRESSES)).packed

    def _next_header(self, frame: bytearray, origin: Original) -> None:
        at = self.random.choice((20, 20, *origin.layers, *(start + 3 for start in origin.layers)))
        if at < len(frame):
            frame[at] = self.random.choice(_NEXT_HEADERS)
