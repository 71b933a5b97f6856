"""Table search against a naive oracle: every entry looked at, the rules of the match kinds applied."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from p4cats.compiler.ir import nodes
from p4cats.compiler.ir.types import Bits
from p4cats.compiler.source import BUILTIN
from p4cats.switch.dataplane import Exact, Lpm, Optional, Range, Ternary
from p4cats.switch.model.tables import Entry, Table, matches

WIDTH = 6
FULL = (1 << WIDTH) - 1


def make_table(*kinds):
    variable = nodes.Variable("x", Bits(WIDTH), BUILTIN)
    reference = nodes.VarRef(BUILTIN, Bits(WIDTH), variable)
    action = nodes.Action(nodes.ControlPlane("a"), BUILTIN, [], [], [], [])
    return Table(
        nodes.Table(
            nodes.ControlPlane("t"),
            BUILTIN,
            [nodes.Key(reference, kind, f"k{n}", BUILTIN) for n, kind in enumerate(kinds)],
            [nodes.ActionRef(action, [], ())],
            nodes.ActionCall(action, []),
            False,
            False,
            [],
            False,
            1024,
        )
    )


value = st.integers(0, FULL)


def lpm(length_and_value):
    length, v = length_and_value
    return Lpm(v & (FULL ^ FULL >> length), length)


MATCHES = {
    "exact": st.builds(Exact, value),
    "lpm": st.tuples(st.integers(0, WIDTH), value).map(lpm),
    "ternary": st.tuples(value, value).map(lambda vm: Ternary(vm[0] & vm[1], vm[1])),
    "range": st.tuples(value, value).map(lambda ab: Range(min(ab), max(ab))),
    "optional": st.builds(Optional, st.none() | value),
}


def oracle(entries, key, prioritised):
    fitting = [e for e in entries if all(matches(m, k, WIDTH) for m, k in zip(e.key, key, strict=True))]
    if not fitting:
        return None
    if prioritised:
        return min(fitting, key=lambda e: (-e.priority, e.order))
    return max(fitting, key=lambda e: sum(m.prefix_len for m in e.key if isinstance(m, Lpm)))


@st.composite
def filled(draw):
    kinds = draw(
        st.sampled_from(
            [
                ["lpm"],
                ["exact", "lpm"],
                ["ternary"],
                ["range"],
                ["optional"],
                ["ternary", "lpm"],
                ["range", "ternary", "exact"],
                ["optional", "range"],
            ]
        )
    )
    rows = draw(st.lists(st.tuples(st.tuples(*(MATCHES[k] for k in kinds)), st.integers(1, 9)), max_size=25))
    return kinds, rows


@settings(max_examples=300, deadline=None)
@given(filled(), st.data())
def test_search_equals_the_oracle_also_after_deletions(table_and_rows, data):
    kinds, rows = table_and_rows
    table = make_table(*kinds)
    entries = []
    for key, priority in rows:
        row = Entry(key, priority if table.prioritised else 0, 0, ())
        if (row.key, row.priority) not in table.entries:
            table.insert(row)
            entries.append(row)
    for _ in range(3):
        for key in data.draw(st.lists(st.tuples(*(value for _ in kinds)), min_size=3, max_size=10)):
            asked = key[0] if len(kinds) == 1 else key
            found = table.index.get(asked) or table.find(asked)
            expected = oracle(entries, key, table.prioritised)
            assert found is (expected or table.miss)
        if entries:
            gone = entries.pop(data.draw(st.integers(0, len(entries) - 1)))
            table.delete(gone.key, gone.priority)


def test_exact_table_is_its_own_index():
    table = make_table("exact", "exact")
    row = Entry((Exact(1), Exact(2)), 0, 0, ())
    table.insert(row)
    assert table.index.get((1, 2)) is row
    with pytest.raises(KeyError, match="there already"):
        table.insert(Entry((Exact(1), Exact(2)), 0, 0, ()))
    table.delete(row.key, 0)
    assert table.index.get((1, 2)) is None


def test_cache_of_results_is_bounded(monkeypatch):
    monkeypatch.setattr("p4cats.switch.model.tables.CACHE_LIMIT", 8)
    table = make_table("lpm")
    for key in range(40):
        table.find(key)
    assert len(table.index) <= 8
