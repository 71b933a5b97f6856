"""The reference MAC against the vectors of docs/protocol.md, 4."""

import re
from ipaddress import IPv6Address
from pathlib import Path

import pytest

from p4cats.halfsiphash import tag
from p4cats.protocol import OPTION_DATA, metric_message

KEY = bytes(range(8))
PAGE = Path(__file__).resolve().parents[3] / "docs/protocol.md"
ROW = re.compile(r"^\| (empty|`[0-9a-f]+`) \| `([0-9a-f]{16})` \|$", re.M)
VECTORS = [
    ("" if row == "empty" else row.strip("`"), wanted) for row, wanted in ROW.findall(PAGE.read_text())
]


@pytest.mark.parametrize(("message", "wanted"), VECTORS)
def test_vector_of_the_page(message, wanted):
    assert tag(KEY, bytes.fromhex(message)).hex() == wanted


def test_the_page_has_the_published_vector_and_a_whole_message():
    assert ("", "218d1f59b9b83cc8") in VECTORS
    assert max(len(message) for message, _ in VECTORS) == 2 * 44


def test_the_whole_message_of_the_page_is_option_data_and_destination():
    data = OPTION_DATA.pack(0xCA75, 0x10, 1, 1, 7, 6, 8, 9, 7, 0, 2, 12500, 45000, 1, 0)
    message = metric_message(data, IPv6Address("2001:db8:1::10"))
    assert message.hex() == max(VECTORS, key=lambda vector: len(vector[0]))[0]


def test_every_bit_of_key_and_message_counts():
    message = bytes(range(44))
    tags = {tag(KEY, message)}
    for bit in range(8 * 44):
        changed = (int.from_bytes(message, "big") ^ 1 << bit).to_bytes(44, "big")
        tags.add(tag(KEY, changed))
    for bit in range(64):
        tags.add(tag((int.from_bytes(KEY, "big") ^ 1 << bit).to_bytes(8, "big"), message))
    assert len(tags) == 1 + 8 * 44 + 64


def test_a_key_of_another_size_is_refused():
    with pytest.raises(ValueError, match="a key has 8 octets, this one 16"):
        tag(bytes(16), b"")
