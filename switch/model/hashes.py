"""Hash algorithms of v1model, over bytes (facts of BMv2's calculations.cpp).

Generated code gives the listed fields joined MSB first, the last byte zero-padded at the right.
"""

from __future__ import annotations

from array import array
from dataclasses import dataclass
from zlib import crc32 as zlib_crc32


def reverse_bits(value: int, width: int) -> int:
    """The lowest `width` bits in reverse order."""
    return int(format(value, f"0{width}b")[::-1], 2)


@dataclass(slots=True)
class CrcParameters:
    """A CRC in the usual five parameters."""

    polynomial: int
    initial: int
    final_xor: int
    reflect_data: bool
    reflect_remainder: bool


class Crc:
    """A table-driven CRC of 16 or 32 bits that can be given other parameters while it runs."""

    def __init__(self, width: int, parameters: CrcParameters) -> None:
        self.width = width
        self.configure(parameters)

    def configure(self, parameters: CrcParameters) -> None:
        """Take new parameters."""
        self.parameters = parameters
        width, top = self.width, 1 << (self.width - 1)
        full = (1 << width) - 1
        table = []
        for byte in range(256):
            value = byte << (width - 8)
            for _ in range(8):
                value = (value << 1 ^ parameters.polynomial if value & top else value << 1) & full
            table.append(value)
        if parameters.reflect_data:
            # Work on reversed values throughout: entry of the reversed byte, reversed.
            table = [reverse_bits(table[reverse_bits(byte, 8)], width) for byte in range(256)]
        self._table = table

    def __call__(self, data: bytes) -> int:
        """The CRC of `data`."""
        p, width = self.parameters, self.width
        full = (1 << width) - 1
        table = self._table
        if p.reflect_data:
            value = reverse_bits(p.initial, width)
            for byte in data:
                value = table[(value ^ byte) & 0xFF] ^ value >> 8
            if not p.reflect_remainder:
                value = reverse_bits(value, width)
        else:
            value, shift = p.initial, width - 8
            for byte in data:
                value = table[value >> shift ^ byte] ^ value << 8 & full
            if p.reflect_remainder:
                value = reverse_bits(value, width)
        return value ^ p.final_xor


CRC16 = CrcParameters(0x8005, 0, 0, True, True)
CRC32 = CrcParameters(0x04C11DB7, 0xFFFFFFFF, 0xFFFFFFFF, True, True)


def _crc16_two_bytes() -> array[int]:
    """CRC-16/ARC of two bytes at a time: the table of the standard algorithm applied twice."""
    one = Crc(16, CRC16)._table
    return array("H", [one[(one[v & 0xFF] ^ v >> 8) & 0xFF] ^ one[v & 0xFF] >> 8 for v in range(1 << 16)])


_ARC_ONE = Crc(16, CRC16)._table
_ARC_TWO = _crc16_two_bytes()


def crc16(data: bytes) -> int:
    """CRC-16/ARC."""
    value = 0
    even = len(data) & ~1
    for word in memoryview(data[:even]).cast("H") if _LITTLE else array("H", data[:even]):
        value = _ARC_TWO[value ^ word]
    if even != len(data):
        value = _ARC_ONE[(value ^ data[-1]) & 0xFF] ^ value >> 8
    return value


_LITTLE = memoryview(b"\x01\x00").cast("H")[0] == 1


def crc32(data: bytes) -> int:
    """CRC-32 as zlib has it."""
    return zlib_crc32(data)


def csum16_of(value: int) -> int:
    """Internet checksum of 16-bit words joined to one integer.

    A number and the sum of its base-65536 digits are equal modulo 65535, so no loop is needed; one's
    complement has zero only for all-zero input, hence the two cases.
    """
    if not value:
        return 0xFFFF
    return 0xFFFF - (value % 0xFFFF or 0xFFFF)


def csum16(data: bytes) -> int:
    """Internet checksum, odd data padded with zero at the right."""
    value = int.from_bytes(data, "big")
    return csum16_of(value << 8 if len(data) & 1 else value)


def xor16(data: bytes) -> int:
    """XOR of big-endian 16-bit words, odd data padded with zero at the right."""
    if len(data) & 1:
        data += b"\0"
    value = int.from_bytes(data, "big")
    result = 0
    while value:
        result ^= value & 0xFFFF
        value >>= 16
    return result


def identity(data: bytes) -> int:
    """The first eight bytes as an integer."""
    return int.from_bytes(data[:8], "big")


def padded(value: int, bits: int) -> bytes:
    """`bits` bits as bytes, zero-padded at the right."""
    return (value << (-bits % 8)).to_bytes((bits + 7) // 8, "big")
