"""State of extern instances: registers, counters, action profiles."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from p4cats.compiler.ir import nodes
from p4cats.compiler.ir.types import Bits, Composite, Type
from p4cats.switch.dataplane import ActionCall, CounterData

_LARGEST_LIST = 1 << 20
"""Cells of an array kept in a list; a larger one keeps only the cells that were touched."""


class Sparse(dict[int, int]):
    """Cells of a very large array: zero until written."""

    def __missing__(self, index: int) -> int:
        return 0


def zeros(size: int) -> list[Any] | Sparse:
    """An array of zeros."""
    return [0] * size if size <= _LARGEST_LIST else Sparse()


class Registers:
    """A register array; generated code reads and writes `cells`."""

    def __init__(self, instance: nodes.ExternInstance) -> None:
        self.name = instance.name
        self.size = size_of(instance)
        self.type = instance.type_arguments[0]
        self.cells: Any = zeros(self.size)

    def objects(self, kind: Callable[[], Any]) -> Any:
        """Make the cells objects (struct elements)."""
        self.cells = [kind() for _ in range(self.size)]
        return self.cells

    def read(self, index: int) -> object:
        """A cell as the control plane sees it: unsigned pattern, or a tuple."""
        return self._outside(self._check(index), self.type)

    @property
    def signature(self) -> str:
        """Size and type of the cells."""
        return f"{self.size} {self.type}"

    def written(self) -> Iterator[tuple[int, object]]:
        """Yield index and value of the cells that are not zero (of structs: of all)."""
        cells = self.cells.items() if isinstance(self.cells, dict) else enumerate(self.cells)
        return ((index, self._outside(cell, self.type)) for index, cell in cells if cell)

    def _check(self, index: int) -> Any:
        if not 0 <= index < self.size:
            raise IndexError(f"{self.name}: index {index} is outside 0..{self.size - 1}")
        return self.cells[index]

    def write(self, index: int, value: object) -> None:
        """Set a cell from the control plane's form."""
        cell = self._check(index)
        if isinstance(self.type, Composite):
            self._fill(cell, self.type, value)
        else:
            assert isinstance(value, int)
            self.cells[index] = inside(value, self.type)

    def _outside(self, value: Any, type_: Type) -> object:
        if isinstance(type_, Composite):
            names = type(value).__slots__[-len(type_.fields) :] if type_.fields else ()
            return tuple(
                self._outside(getattr(value, n), f.type) for n, f in zip(names, type_.fields, strict=True)
            )
        return int(value) & ((1 << type_.width) - 1) if isinstance(type_, Bits) else int(value)

    def _fill(self, cell: Any, type_: Composite, value: object) -> None:
        assert isinstance(value, Sequence)
        names = type(cell).__slots__[-len(type_.fields) :] if type_.fields else ()
        for name, field, part in zip(names, type_.fields, value, strict=True):
            if isinstance(field.type, Composite):
                self._fill(getattr(cell, name), field.type, part)
            else:
                setattr(cell, name, inside(part, field.type))


def inside(value: int, type_: Type) -> int:
    """An unsigned pattern as generated code keeps it."""
    if isinstance(type_, Bits) and type_.width:
        value &= (1 << type_.width) - 1
        if type_.signed and value >> (type_.width - 1):
            value -= 1 << type_.width
    return value


class Counters:
    """An indirect counter; generated code adds to the two lists."""

    def __init__(self, instance: nodes.ExternInstance) -> None:
        self.name = instance.name
        self.size = size_of(instance)
        self.packets = zeros(self.size)
        self.bytes = zeros(self.size)

    def read(self, index: int) -> CounterData:
        """One cell."""
        if not 0 <= index < self.size:
            raise IndexError(f"{self.name}: index {index} is outside 0..{self.size - 1}")
        return CounterData(self.packets[index], self.bytes[index])

    def write(self, index: int, data: CounterData) -> None:
        """Set one cell."""
        if not 0 <= index < self.size:
            raise IndexError(f"{self.name}: index {index} is outside 0..{self.size - 1}")
        self.packets[index] = data.packets
        self.bytes[index] = data.bytes


class Choice:
    """A member as a table sees it: the action by its place in that table's list."""

    __slots__ = ("action", "data", "hit")

    def __init__(self, action: int, data: tuple[int, ...]) -> None:
        self.action = action
        self.data = data
        self.hit = True


class Profile:
    """An action profile or selector: members and groups by id."""

    def __init__(self, instance: nodes.ExternInstance) -> None:
        self.name = instance.name
        self.tables = [table.name for table in instance.tables]
        self.members: dict[int, ActionCall] = {}
        self.groups: dict[int, list[int]] = {}


def size_of(instance: nodes.ExternInstance) -> int:
    """Constructor argument `size`."""
    first = instance.arguments[0]
    assert isinstance(first, nodes.Const)
    return first.value
