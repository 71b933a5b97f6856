"""HalfSipHash-2-4 with a 64-bit tag: the MAC of CATS metrics (docs/protocol.md, 4), as a reference.

SipHash with words of 32 bits (J.-P. Aumasson and D. J. Bernstein, "SipHash: a fast short-input PRF",
2012, and the authors' variant for 32-bit machines). P4 (`p4src/include/halfsiphash.p4`) and C
compute the same; this one is for reading, tests and tools, not for speed.
"""

from __future__ import annotations

import struct

KEY_BYTES = 8
TAG_BYTES = 8

_WORD = 0xFFFFFFFF
_COMPRESSION_ROUNDS = 2
_FINAL_ROUNDS = 4

_State = tuple[int, int, int, int]


def tag(key: bytes, message: bytes) -> bytes:
    """Return the tag of 8 octets of a message of any length; ValueError if the key has not 8 octets."""
    if len(key) != KEY_BYTES:
        raise ValueError(f"a key has {KEY_BYTES} octets, this one {len(key)}")
    k0, k1 = struct.unpack("<2I", key)
    state = k0, k1 ^ 0xEE, 0x6C796765 ^ k0, 0x74656462 ^ k1  # 0xEE: a tag of 64 bits is asked for
    for (word,) in struct.iter_unpack("<I", _padded(message)):
        v0, v1, v2, v3 = _rounds((state[0], state[1], state[2], state[3] ^ word), _COMPRESSION_ROUNDS)
        state = v0 ^ word, v1, v2, v3
    v0, v1, v2, v3 = _rounds((state[0], state[1], state[2] ^ 0xEE, state[3]), _FINAL_ROUNDS)
    first = v1 ^ v3
    v0, v1, v2, v3 = _rounds((v0, v1 ^ 0xDD, v2, v3), _FINAL_ROUNDS)
    return struct.pack("<2I", first, v1 ^ v3)


def _padded(message: bytes) -> bytes:
    """Return the message filled up with zeros to whole words; the last octet is its length."""
    zeros = -(len(message) + 1) % 4
    return message + bytes(zeros) + bytes([len(message) & 0xFF])


def _rounds(state: _State, count: int) -> _State:
    v0, v1, v2, v3 = state
    for _ in range(count):
        v0 = (v0 + v1) & _WORD
        v1 = _rotate(v1, 5) ^ v0
        v0 = _rotate(v0, 16)
        v2 = (v2 + v3) & _WORD
        v3 = _rotate(v3, 8) ^ v2
        v0 = (v0 + v3) & _WORD
        v3 = _rotate(v3, 7) ^ v0
        v2 = (v2 + v1) & _WORD
        v1 = _rotate(v1, 13) ^ v2
        v2 = _rotate(v2, 16)
    return v0, v1, v2, v3


def _rotate(word: int, bits: int) -> int:
    return (word << bits | word >> (32 - bits)) & _WORD
