"""Ids, numbers and aliases: P4Runtime sections 6.2 and 6.3, check values from p4c's outputs."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from p4cats.compiler.backends.p4info_ids import IdError, Prefix, aliases, assign_ids, number_fields


@pytest.mark.parametrize(
    ("prefix", "name", "id_"),
    [
        (Prefix.ACTION, "NoAction", 21257015),
        (Prefix.TABLE, "MyIngress.ipv4_lpm", 37375156),
        (Prefix.ACTION, "MyIngress.drop", 25652968),
        (Prefix.CONTROLLER_HEADER, "packet_in_header_t", 81826293),
        (Prefix.CONTROLLER_HEADER, "packet_out_header_t", 76689799),
    ],
)
def test_ids_are_those_of_p4c(prefix: Prefix, name: str, id_: int) -> None:
    assert assign_ids(prefix, [(name, None)]) == {name: id_}


def test_id_annotation_gets_the_prefix_unless_it_has_it() -> None:
    ids = assign_ids(Prefix.TABLE, [("a", 7), ("b", 0x02000008)])
    assert ids == {"a": 0x02000007, "b": 0x02000008}


@pytest.mark.parametrize(
    "names", [[("a", 0x01000001)], [("a", 1), ("b", 1)], [("a", None), ("a", None)], [("a", 0)]]
)
def test_unusable_ids_and_names_are_errors(names: list[tuple[str, int | None]]) -> None:
    with pytest.raises(IdError):
        assign_ids(Prefix.TABLE, names)


def test_hash_gives_way_to_an_annotated_id() -> None:
    taken = 21257015 & 0xFFFFFF
    ids = assign_ids(Prefix.ACTION, [("other", taken), ("NoAction", None)])
    assert ids["NoAction"] == 21257015 + 1


@given(st.lists(st.text(min_size=1), unique=True, max_size=50), st.randoms())
def test_ids_do_not_depend_on_the_order_of_declaration(names: list[str], random: object) -> None:
    shuffled = names.copy()
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    ids = assign_ids(Prefix.TABLE, [(n, None) for n in names])
    assert ids == assign_ids(Prefix.TABLE, [(n, None) for n in shuffled])
    assert len(set(ids.values())) == len(names)
    assert all(i >> 24 == Prefix.TABLE for i in ids.values())


@pytest.mark.parametrize(
    ("given_", "numbers"),
    [
        ([None, None, None], [1, 2, 3]),
        ([5, None, None], [5, 2, 3]),
        ([None, 1, None], [2, 1, 4]),
        ([None, 2, None], [1, 2, 3]),
    ],
)
def test_fields_are_numbered_around_annotated_ones(given_: list[int | None], numbers: list[int]) -> None:
    assert number_fields(given_) == numbers


@pytest.mark.parametrize("given_", [[0], [1, 1]])
def test_unusable_field_numbers_are_errors(given_: list[int | None]) -> None:
    with pytest.raises(IdError):
        number_fields(given_)


def test_alias_is_the_shortest_suffix_that_is_unique() -> None:
    assert aliases(["I.a.t", "I.b.t", "I.drop", "NoAction"]) == {
        "I.a.t": "a.t",
        "I.b.t": "b.t",
        "I.drop": "drop",
        "NoAction": "NoAction",
    }


def test_name_that_ends_another_name_keeps_itself_as_alias() -> None:
    assert aliases(["t", "I.t"]) == {"t": "t", "I.t": "I.t"}


names = st.lists(
    st.lists(st.sampled_from("abc"), min_size=1, max_size=4).map(".".join), unique=True, max_size=20
)


@given(names)
def test_aliases_are_unique_suffixes(full: list[str]) -> None:
    found = aliases(full)
    assert len(set(found.values())) == len(full)
    assert all(name == alias or name.endswith("." + alias) for name, alias in found.items())
