"""Hash algorithms against the check values of the reference and against bitwise definitions."""

import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from p4cats.switch.model import hashes

CHECK = b"123456789"


@pytest.mark.parametrize(
    ("function", "value"),
    [
        (hashes.crc16, 0xBB3D),
        (hashes.crc32, 0xCBF43926),
        (hashes.Crc(16, hashes.CRC16), 0xBB3D),
        (hashes.Crc(32, hashes.CRC32), 0xCBF43926),
        (hashes.csum16, 0xF62A),
        (hashes.xor16, 0x3908),
        (hashes.identity, 0x3132333435363738),
    ],
)
def test_check_value(function, value):
    assert function(CHECK) == value


def test_ipv4_header_checksum():
    header = bytes.fromhex("450000730000400040110000c0a80001c0a800c7")
    assert hashes.csum16(header) == 0xB861


@pytest.mark.parametrize(
    ("width", "parameters", "value"),
    [
        (16, hashes.CrcParameters(0x1021, 0xFFFF, 0, False, False), 0x29B1),  # CRC-16/CCITT-FALSE
        (16, hashes.CrcParameters(0x1021, 0, 0, True, True), 0x2189),  # CRC-16/KERMIT
        (16, hashes.CrcParameters(0x8005, 0xFFFF, 0xFFFF, True, True), 0xB4C8),  # CRC-16/USB
        (
            32,
            hashes.CrcParameters(0x04C11DB7, 0xFFFFFFFF, 0xFFFFFFFF, False, False),
            0xFC891918,
        ),  # CRC-32/BZIP2
        (32, hashes.CrcParameters(0x1EDC6F41, 0xFFFFFFFF, 0xFFFFFFFF, True, True), 0xE3069283),  # CRC-32C
    ],
)
def test_custom_crc_takes_other_parameters(width, parameters, value):
    crc = hashes.Crc(width, hashes.CRC16)
    crc.configure(parameters)
    assert crc(CHECK) == value


@given(st.binary(max_size=64))
def test_fast_forms_equal_the_definitions(data):
    assert hashes.crc16(data) == hashes.Crc(16, hashes.CRC16)(data)
    assert hashes.Crc(32, hashes.CRC32)(data) == zlib.crc32(data)
    even = data + b"\0" * (len(data) % 2)
    words = [int.from_bytes(even[i : i + 2], "big") for i in range(0, len(even), 2)]
    total = 0
    for word in words:
        total += word
        total = (total & 0xFFFF) + (total >> 16)
    assert hashes.csum16(data) == total ^ 0xFFFF
    folded = 0
    for word in words:
        folded ^= word
    assert hashes.xor16(data) == folded


@given(st.integers(0, 1 << 70), st.integers(71, 90))
def test_padding_is_at_the_right(value, bits):
    data = hashes.padded(value, bits)
    assert len(data) == (bits + 7) // 8
    assert int.from_bytes(data, "big") >> (-bits % 8) == value
