"""What the kernel leaves undone in frames of packet sockets: checksums, VLAN tags, segmentation.

Hosts behind a switch in user space should turn off TX checksum, TSO and GSO offload. Where they did not,
a frame arrives with a partial checksum (we complete it: otherwise ping works and TCP does not) or as one
frame of many segments (it fits no link; it is dropped and counted).
"""

from __future__ import annotations

import socket
import struct

VNET_HEADER = struct.Struct("=BBHHHH")
"""struct virtio_net_hdr: flags, gso_type, hdr_len, gso_size, csum_start, csum_offset (host order)."""
NO_VNET_HEADER = bytes(VNET_HEADER.size)
"""Before a frame that we send: nothing is left undone."""
_NEEDS_CSUM = 1
_AUXDATA = struct.Struct("=IIIHHHH")
"""struct tpacket_auxdata: status, len, snaplen, mac, net, vlan_tci, vlan_tpid."""
SOL_PACKET = 263
PACKET_AUXDATA = 8
_VLAN_VALID = 1 << 4
_VLAN_TPID_VALID = 1 << 6
_TPID_8021Q = 0x8100

CONTROL_BYTES = socket.CMSG_SPACE(_AUXDATA.size)
"""Room for the ancillary data of one frame."""


class SegmentedError(Exception):
    """A frame of several segments, from a host with segmentation offload."""


def complete(buffer: memoryview, ancillary: list[tuple[int, int, bytes]]) -> bytes:
    """The frame as it would be on a wire, from what a packet socket with PACKET_VNET_HDR received.

    Raises SegmentedError for a frame that no wire could carry.
    """
    flags, gso_type, _, _, start, offset = VNET_HEADER.unpack_from(buffer)
    if gso_type:
        raise SegmentedError
    frame = buffer[VNET_HEADER.size :]
    if flags & _NEEDS_CSUM:
        frame = memoryview(fill_checksum(frame, start, offset))
    for level, type_, data in ancillary:
        if level == SOL_PACKET and type_ == PACKET_AUXDATA and len(data) >= _AUXDATA.size:
            status, _, _, _, _, tci, tpid = _AUXDATA.unpack_from(data)
            if status & _VLAN_VALID:
                tag = struct.pack("!HH", tpid if status & _VLAN_TPID_VALID else _TPID_8021Q, tci)
                return b"".join((frame[:12], tag, frame[12:]))
    return bytes(frame)


def fill_checksum(frame: memoryview, start: int, offset: int) -> bytes:
    """Finish a partial checksum: the field at start + offset holds the pseudo-header's sum."""
    where = start + offset
    if where + 2 > len(frame):
        return bytes(frame)
    data = bytes(frame[start:])
    if len(data) & 1:
        data += b"\0"
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    checksum = ~total & 0xFFFF or 0xFFFF  # 0 would say "no checksum" in UDP
    return b"".join((frame[:where], checksum.to_bytes(2, "big"), frame[where + 2 :]))


__all__ = [
    "CONTROL_BYTES",
    "NO_VNET_HEADER",
    "PACKET_AUXDATA",
    "SOL_PACKET",
    "SegmentedError",
    "complete",
    "fill_checksum",
]
