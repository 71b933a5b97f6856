"""What docs/protocol.md says, as values that can be compared with the code."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

PAGE = Path(__file__).resolve().parents[2] / "docs" / "protocol.md"


@dataclass(frozen=True)
class Part:
    """A field of a format: octet that it begins in, width in bits, name."""

    octet: int
    bits: int
    name: str


@dataclass(frozen=True)
class Table:
    """A table of the page; `lines` are those of its rows, without the head: first and one past the last."""

    section: str
    head: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    lines: tuple[int, int]


def tables(text: str) -> list[Table]:
    """All tables, in order."""
    section, found = "", []
    lines = text.splitlines()
    at = 0
    while at < len(lines):
        if heading := re.match(r"##+ ([\d.]+?)\.? ", lines[at]):
            section = heading[1]
        if not lines[at].startswith("|"):
            at += 1
            continue
        begin = at
        while at < len(lines) and lines[at].startswith("|"):
            at += 1
        head, _, *rows = (
            tuple(cell.strip() for cell in line.strip("|").split("|")) for line in lines[begin:at]
        )
        found.append(Table(section, head, tuple(rows), (begin + 2, at)))
    return found


def table(text: str, section: str, first: str, number: int = 0) -> Table:
    """The table of a section whose first column has this heading."""
    return [t for t in tables(text) if t.section == section and t.head[0] == first][number]


def parts(found: Table) -> list[Part]:
    """The fields of a table that begins with offset, bits and name."""
    return [Part(int(row[0]), int(row[1]), row[2]) for row in found.rows]


def values(found: Table) -> dict[str, int]:
    """The values of fields that have one alone: those whose meaning begins with a number and says no unit."""
    return {
        row[2]: int(match[1], 0)
        for row in found.rows
        if (match := re.match(r"`?(0x[0-9A-Fa-f]+|\d+)`?(?:$|[ :(,]+(?!to\b))", row[3]))
        and not re.match(r"\d+ to ", row[3])
    }


def header_bits(found: Table) -> Iterator[tuple[str, str, int]]:
    """Header, name and width of the fields of a table whose rows may hold several."""
    header = ""
    for row in found.rows:
        header = row[0] or header
        widths = [int(width) for width in row[1].split("+")]
        yield from ((header, name, width) for name, width in zip(row[2].split(", "), widths, strict=True))


def number(text: str, pattern: str) -> int:
    """The one number that the page has where a pattern says; 0x… and 131,072 are numbers."""
    [found] = set(re.findall(pattern, " ".join(text.split())))
    return int(found.replace(",", ""), 0)
