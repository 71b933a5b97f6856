"""P4Runtime section 8.3: canonical binary strings."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from p4cats.switch import bytestrings
from p4cats.switch.errors import Code, P4RuntimeError


@given(st.integers(0, 1 << 200), st.integers(0, 20))
def test_any_padding_decodes_to_the_value_and_answers_are_shortest(value: int, padding: int) -> None:
    canonical = bytestrings.encode(value)
    assert len(canonical) == max(1, (value.bit_length() + 7) // 8)
    assert bytestrings.decode(bytes(padding) + canonical, 201, "it") == value


@given(st.integers(1, 128).flatmap(lambda w: st.tuples(st.just(w), st.integers(0, (1 << w) - 1))))
def test_signed_values_survive_a_round_trip(case: tuple[int, int]) -> None:
    width, pattern = case
    assert bytestrings.decode_signed(bytestrings.encode_signed(pattern, width), width, "it") == pattern


@pytest.mark.parametrize(("pattern", "data"), [(0, b"\0"), (0xFF, b"\xff"), (0x80, b"\x80"), (0x7F, b"\x7f")])
def test_signed_values_are_the_shortest_twos_complement(pattern: int, data: bytes) -> None:
    assert bytestrings.encode_signed(pattern, 8) == data


@pytest.mark.parametrize(("data", "width"), [(b"", 8), (b"\x02", 1), (b"\x01\x00", 8)])
def test_what_does_not_fit_is_out_of_range(data: bytes, width: int) -> None:
    with pytest.raises(P4RuntimeError) as refused:
        bytestrings.decode(data, width, "it")
    assert refused.value.code == Code.OUT_OF_RANGE
