"""Which header fields a program reads and writes: what is never read need not be taken apart."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields, is_dataclass
from typing import Any

from p4cats.compiler.ir import nodes
from p4cats.compiler.ir.types import Composite, Stack, Struct, Type, Union

_children: dict[type, tuple[str, ...] | None] = {}
"""Attributes of each node class that may hold nodes; None for what is no node."""
_SKIPPED = ("span", "type", "name", "annotations", "control_plane", "written")


def _child_names(kind: type) -> tuple[str, ...] | None:
    if kind not in _children:
        is_node = is_dataclass(kind) and kind.__module__ == nodes.__name__
        names = tuple(f.name for f in reversed(fields(kind)) if f.name not in _SKIPPED) if is_node else None
        _children[kind] = names
    return _children[kind]


def walk(root: Any, follow: bool = True) -> Iterator[Any]:
    """Every IR node below `root`, each once; `follow` also enters called actions, tables and blocks."""
    seen: set[int] = set()
    stack = [root]
    while stack:
        node = stack.pop()
        kind = type(node)
        if kind is list or kind is tuple:
            stack.extend(reversed(node))
            continue
        if kind is dict:
            stack.extend(node.values())
            continue
        names = _child_names(kind)
        if names is None or id(node) in seen:
            continue
        if not follow and kind in _CALLED:
            continue
        seen.add(id(node))
        yield node
        for name in names:
            stack.append(getattr(node, name))


_CALLED = (nodes.Table, nodes.Action, nodes.Control, nodes.Parser, nodes.Function)


class Usage:
    """Reads and writes of header fields, by header type."""

    def __init__(self, program: nodes.Program) -> None:
        self._read: dict[Composite, set[str]] = {}
        self._written: set[Composite] = set()
        for node in walk(program):
            self._visit(node)

    def fields_read(self, type_: Composite) -> set[str]:
        """Names of the fields of this type that some expression reads."""
        return self._read.get(type_, set())

    def is_written(self, type_: Composite) -> bool:
        """True if some field of this type is assigned other than by extract or a copy of the whole."""
        return type_ in self._written

    def _visit(self, node: Any) -> None:
        match node:
            case nodes.FieldRef(base=base, field=name) if isinstance(base.type, Composite):
                self._read.setdefault(base.type, set()).add(name)
            case nodes.Assign(target=target, value=value):
                self._write(target)
                if isinstance(value, nodes.Make | nodes.Mux):
                    self._write_all(target.type)
            case nodes.CallFunction(target=target) if target is not None:
                self._write(target)
            case nodes.Lookahead(target=target):
                self._write(target)
                self._write_all(target.type)
            case nodes.Argument(direction="out" | "inout", value=value):
                self._write(value)
            case nodes.ExternCall(arguments=arguments, target=target):
                for argument in arguments:
                    self._read_all(argument.value.type)
                if target is not None:
                    self._write(target)
            case nodes.Make(type=type_):
                self._write_all(type_)

    def _write(self, target: nodes.Expr) -> None:
        while isinstance(target, nodes.SliceRef):
            target = target.base
        if isinstance(target, nodes.FieldRef) and isinstance(target.base.type, Composite):
            self._written.add(target.base.type)

    def _write_all(self, type_: Type) -> None:
        for composite in _composites(type_):
            self._written.add(composite)

    def _read_all(self, type_: Type) -> None:
        for composite in _composites(type_):
            self._read.setdefault(composite, set()).update(f.name for f in composite.fields)


def _composites(type_: Type) -> Iterator[Composite]:
    if isinstance(type_, Stack):
        yield from _composites(type_.element)
    elif isinstance(type_, Composite):
        yield type_
        if isinstance(type_, Struct | Union):
            for field in type_.fields:
                yield from _composites(field.type)
