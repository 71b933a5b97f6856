"""Scapy layers of everything that p4cats puts on the wire (docs/protocol.md, 3, 5, 7).

Importing this module registers them, so that scapy takes packets apart by itself:

    from p4cats.packets.layers import MetricOption, metric_header
    packet = IPv6(src=service, dst=client) / metric_header(instance=3, expected_wait_us=250) / TCP() / b"…"
    signed(packet, key)             # in an IPv6 packet: the MAC
    packet[MetricOption].instance

Field names are those of the document's tables.
"""

from __future__ import annotations

import struct

from scapy.fields import (
    BitField,
    ByteEnumField,
    ByteField,
    FlagsField,
    IntField,
    ShortField,
    StrLenField,
    XByteField,
    XIntField,
    XLongField,
    XShortField,
)
from scapy.layers.inet import TCP, UDP
from scapy.layers.inet6 import IPv6, IPv6ExtHdrHopByHop, _hbhoptcls
from scapy.layers.l2 import Ether
from scapy.packet import Packet, Raw, bind_layers

from p4cats import halfsiphash, protocol

UNKNOWN = 0xFFFFFFFF
"""A wait or a power that is not known."""


class MetricOption(Packet):
    """The CATS metric option (3.1) of the IPv6 Hop-by-Hop header, 38 octets with type and length."""

    name = "CATS metric"
    fields_desc = [  # noqa: RUF012  scapy's way
        XByteField("option_type", protocol.OPTION_TYPE),
        ByteField("option_length", protocol.OPTION_LENGTH),
        XShortField("magic", protocol.MAGIC),
        BitField("version", protocol.VERSION, 4),
        FlagsField("flags", 0, 4, ["draining", "bit2", "bit1", "bit0"]),
        ByteField("key_id", 0),
        IntField("instance", 1),
        ByteField("norm_fi", 0xFF),
        ByteField("compute", 0xFF),
        ByteField("communication", 0xFF),
        ByteField("service", 0xFF),
        ByteField("composed", 0xFF),
        ByteField("reserved", 0),
        ShortField("in_flight", 0),
        IntField("expected_wait_us", UNKNOWN),
        IntField("power_mw", UNKNOWN),
        IntField("sequence", 1),
        XLongField("mac", 0),
    ]

    def alignment_delta(self, position: int) -> int:
        """Return the padding in front of the option: none, the header is laid out for it."""
        return 0

    def extract_padding(self, s: bytes) -> tuple[bytes, bytes]:
        """Return what belongs to this option, and what follows it."""
        return b"", s

    def mac_input(self, destination: str) -> bytes:
        """Return the 44 octets that the MAC covers in a packet to `destination` (4)."""
        covered = bytes(self)[2 : -halfsiphash.TAG_BYTES]
        return covered + bytes(IPv6(dst=destination))[24:40]


_hbhoptcls[protocol.OPTION_TYPE] = MetricOption


def metric_header(**fields: int) -> Packet:
    """Return a Hop-by-Hop header of 40 octets with the metric option; `fields` as in `MetricOption`."""
    return IPv6ExtHdrHopByHop(autopad=0, options=[MetricOption(**fields)])


def signed(packet: Packet, key: bytes) -> Packet:
    """Set the MAC of a packet's metric option, under a key of 8 octets; return the packet."""
    option = metric_of(packet)
    if option is None:
        raise ValueError("the packet carries no metric option")
    tag = halfsiphash.tag(key, option.mac_input(packet[IPv6].dst))
    option.mac = int.from_bytes(tag, "big")
    return packet


def metric_of(packet: Packet) -> MetricOption | None:
    """Return the first metric option of a packet, or None."""
    header = packet.getlayer(IPv6ExtHdrHopByHop)
    while header is not None:
        for option in header.options:
            if isinstance(option, MetricOption):
                return option
        header = header.payload.getlayer(IPv6ExtHdrHopByHop)
    return None


_BASELINE = (
    (0, "node_id", "!I"),
    (1, "ports", "!HH"),
    (2, "hop_latency_us", "!I"),
    (3, "queue", "!I"),
    (4, "ingress_timestamp_us", "!Q"),
    (5, "egress_timestamp_us", "!Q"),
    (6, "level2_ports", "!II"),
    (7, "tx_utilisation", "!I"),
    (8, "buffer", "!I"),
    (15, "checksum_complement", "!I"),
)
DECISION_BIT = 0x8000
"""Of the domain instructions: the source appends its decision (7.3)."""


def hop_words(instructions: int) -> int:
    """Return how many words of 4 octets a hop adds for an instruction bitmap of 16 bits."""
    return sum(struct.calcsize(form) for bit, _, form in _BASELINE if instructions & (0x8000 >> bit)) // 4


def hop_values(instructions: int, data: bytes) -> dict[str, int | tuple[int, ...]]:
    """Take the data of one hop apart; the names are those of 7.2, the values integers or pairs."""
    values: dict[str, int | tuple[int, ...]] = {}
    position = 0
    for bit, name, form in _BASELINE:
        if instructions & (0x8000 >> bit):
            found = struct.unpack_from(form, data, position)
            values[name] = found[0] if len(found) == 1 else found
            position += struct.calcsize(form)
    return values


class Decision(Packet):
    """What the ingress forwarder decided (7.3): at the bottom of the stack."""

    name = "CATS decision"
    fields_desc = [  # noqa: RUF012
        ShortField("instance", 0),
        ByteEnumField("policy", 0, {code: name for name, code in protocol.POLICIES.items()}),
        ByteField("placed", 0),
        XIntField("expected_wait_us", UNKNOWN),
        XIntField("age_us", UNKNOWN),
    ]

    def extract_padding(self, s: bytes) -> tuple[bytes, bytes]:
        """Return what belongs to this layer, and what follows it."""
        return b"", s


_NEXT: dict[int, type[Packet]] = {6: TCP, 17: UDP, 41: IPv6}
_REPORTED: dict[int, type[Packet]] = {3: Ether, 5: IPv6}


class IntShim(Packet):
    """The shim behind the UDP header of port 51830 (7.2). `length` is counted in words of 4 octets."""

    name = "INT shim"
    fields_desc = [  # noqa: RUF012
        BitField("type", 1, 4),
        BitField("npt", 2, 2),
        BitField("reserved", 0, 2),
        ByteField("length", None),
        ByteField("reserved2", 0),
        ByteEnumField("protocol", 6, {number: layer.__name__ for number, layer in _NEXT.items()}),
    ]

    def post_build(self, pkt: bytes, pay: bytes) -> bytes:
        """Fill in the length."""
        if self.length is None and isinstance(self.payload, IntMd):
            pkt = pkt[:1] + bytes([(IntMd.HEADER_BYTES + len(self.payload.stack)) // 4]) + pkt[2:]
        return pkt + pay

    def guess_payload_class(self, payload: bytes) -> type[Packet]:
        """Return the layer of the payload: an MD header if the shim says so and there is room for one."""
        return IntMd if self.type == 1 and 4 * self.length >= IntMd.HEADER_BYTES else Raw


class IntMd(Packet):
    """The INT-MD header and its stack, newest hop first (7.2). `stack` holds octets."""

    HEADER_BYTES = 12
    name = "INT-MD"
    fields_desc = [  # noqa: RUF012
        BitField("version", 2, 4),
        BitField("discard", 0, 1),
        BitField("exceeded", 0, 1),
        BitField("mtu_exceeded", 0, 1),
        BitField("reserved", 0, 12),
        BitField("hop_words", 0, 5),
        ByteField("remaining_hops", 8),
        XShortField("instructions", 0),
        XShortField("domain", 0),
        XShortField("domain_instructions", 0),
        XShortField("domain_flags", 0),
        StrLenField("stack", b"", length_from=lambda packet: packet._stack_bytes()),
    ]

    def _stack_bytes(self) -> int:
        shim = self.underlayer
        return 4 * shim.length - self.HEADER_BYTES if isinstance(shim, IntShim) else 0

    @property
    def has_decision(self) -> bool:
        """True if the bottom of the stack is the decision of the source."""
        return self.domain == protocol.INT_DOMAIN and bool(self.domain_instructions & DECISION_BIT)

    def hops(self) -> list[dict[str, int | tuple[int, ...]]]:
        """Return the data of the hops, newest first; what is cut off is left out."""
        size = 4 * self.hop_words
        end = len(self.stack) - (len(Decision()) if self.has_decision else 0)
        if not size or hop_words(self.instructions) != self.hop_words:
            return []
        starts = range(0, end - size + 1, size)
        return [hop_values(self.instructions, self.stack[start : start + size]) for start in starts]

    def decision(self) -> Decision | None:
        """Return what the ingress forwarder decided, if it is there."""
        size = len(Decision())
        return Decision(self.stack[-size:]) if self.has_decision and len(self.stack) >= size else None

    def guess_payload_class(self, payload: bytes) -> type[Packet]:
        """Return the layer of what followed the IPv6 header before INT came."""
        shim = self.underlayer
        return _NEXT.get(shim.protocol, Raw) if isinstance(shim, IntShim) else Raw


class ReportGroup(Packet):
    """The group header of a telemetry report v2.0 (7.5)."""

    name = "Telemetry report"
    fields_desc = [  # noqa: RUF012
        BitField("version", 2, 4),
        BitField("hw_id", 0, 6),
        BitField("sequence", 0, 22),
        IntField("node_id", 0),
    ]

    def guess_payload_class(self, payload: bytes) -> type[Packet]:
        """Return the layer of the payload: individual reports."""
        return Report


class Report(Packet):
    """An individual report of RepType 1: INT. `report_length` and `md_length` are words of 4 octets."""

    name = "Individual report"
    fields_desc = [  # noqa: RUF012
        BitField("rep_type", 1, 4),
        BitField("in_type", 3, 4),
        ByteField("report_length", None),
        ByteField("md_length", 0),
        BitField("dropped", 0, 1),
        BitField("congested", 0, 1),
        BitField("tracked", 1, 1),
        BitField("intermediate", 0, 1),
        BitField("reserved", 0, 4),
        XShortField("rep_md_bits", 0),
        XShortField("domain", 0),
        XShortField("ds_md_bits", 0),
        XShortField("ds_md_status", 0),
        StrLenField("metadata", b"", length_from=lambda packet: 4 * packet.md_length),
    ]

    def post_build(self, pkt: bytes, pay: bytes) -> bytes:
        """Fill in the length: all that follows the first word, at most 255 words."""
        if self.report_length is None:
            words = (len(pkt) - 4 + len(pay) + 3) // 4
            pkt = pkt[:1] + bytes([min(words, 255)]) + pkt[2:]
        return pkt + pay

    def guess_payload_class(self, payload: bytes) -> type[Packet]:
        """Return the layer of what is reported: an Ethernet frame for InType 3."""
        return _REPORTED.get(self.in_type, Raw)


bind_layers(UDP, IntShim, dport=protocol.INT_PORT)
bind_layers(UDP, ReportGroup, dport=protocol.REPORT_PORT)
