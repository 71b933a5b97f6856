"""docs/p4runtime.md stays true: it names what P4Runtime has, and its tests exist."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from finsy.proto import p4r

from p4cats.switch.service import API_VERSION

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "p4runtime.md").read_text()
FILE = p4r.WriteRequest.DESCRIPTOR.file


def first_cells(section: str) -> set[str]:
    """Names in backquotes in the first column of a section's table."""
    text = PAGE.split(f"## {section}\n")[1].split("\n## ")[0]
    rows = [line.split("|")[1] for line in text.splitlines() if line.startswith("| ")]
    return {name for cell in rows for name in re.findall(r"`(\w+)`", cell)}


def values(enum: object) -> set[str]:
    return {v.name for v in enum.DESCRIPTOR.values}  # type: ignore[attr-defined]


def fields(message: object, oneof: str) -> set[str]:
    return {f.name for f in message.DESCRIPTOR.oneofs_by_name[oneof].fields}  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("section", "names"),
    [
        ("RPCs", {m.name for m in FILE.services_by_name["P4Runtime"].methods}),
        ("Pipeline actions", values(p4r.SetForwardingPipelineConfigRequest.Action)),
        ("Batches", values(p4r.WriteRequest.Atomicity)),
        ("Entities", fields(p4r.Entity, "entity")),
        (
            "Stream messages",
            fields(p4r.StreamMessageRequest, "update") | fields(p4r.StreamMessageResponse, "update"),
        ),
    ],
)
def test_page_has_a_row_for_everything_that_the_protocol_has(section: str, names: set[str]) -> None:
    assert first_cells(section) == names


def test_page_names_tests_that_exist() -> None:
    named = set(re.findall(r"`(test_\w+)`", PAGE))
    assert len(named) > 40
    tests = "\n".join(p.read_text() for p in (ROOT / "tests").rglob("test_*.py"))
    assert {n for n in named if f"def {n}(" not in tests} == set()


def test_page_names_the_version() -> None:
    assert f"P4Runtime {API_VERSION}" in PAGE
