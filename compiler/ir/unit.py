"""What one compilation shares while instances are elaborated, and what one instance knows."""

from __future__ import annotations

from dataclasses import dataclass, field

from p4cats.compiler.diagnostics import Reporter
from p4cats.compiler.ir import nodes as ir
from p4cats.compiler.ir.access import Effects
from p4cats.compiler.ir.convert import TypeConverter
from p4cats.compiler.ir.exits import Exits
from p4cats.compiler.parse import ast
from p4cats.compiler.types import tree
from p4cats.compiler.types.annotations import find, number_of, p4_annotations, text_of
from p4cats.compiler.types.model import Type, TypeVar

Instance = ir.ExternInstance | ir.Control | ir.Parser | ir.Expr


class Names:
    """Unique variable names of one block."""

    def __init__(self) -> None:
        self._next: dict[str, int] = {}

    def unique(self, name: str) -> str:
        """The name itself, or with a number."""
        count = self._next.get(name)
        if count is None:
            self._next[name] = 1
            return name
        while True:
            candidate = f"{name}_{count}"
            count += 1
            self._next[name] = count
            if candidate not in self._next:
                self._next[candidate] = 1
                return candidate


@dataclass(eq=False, slots=True)
class Environment:
    """The meaning of symbols in one instance of a block, or one specialisation of a function."""

    prefix: str = ""
    """Control-plane name of the instance, "" at top level."""
    names: Names = field(default_factory=Names)
    variables: dict[tree.Var, ir.Variable] = field(default_factory=dict)
    instances: dict[tree.Instance | tree.CtorParam | tree.Var, Instance] = field(default_factory=dict)
    actions: dict[tree.Action, ir.Action] = field(default_factory=dict)
    exiting: dict[tree.Action, ir.Action] = field(default_factory=dict)
    """Variants that report exit to their caller."""
    bound: dict[tuple[tree.Table, tree.Action], ir.Action] = field(default_factory=dict)
    """Actions of a table that take care of their bound arguments themselves."""
    tables: dict[tree.Table, ir.Table] = field(default_factory=dict)
    value_sets: dict[tree.ValueSet, ir.ValueSet] = field(default_factory=dict)
    key_preludes: dict[tree.Table, list[ir.Stmt]] = field(default_factory=dict)
    binding: dict[TypeVar, Type] = field(default_factory=dict)
    reporting: set[tree.Instance] = field(default_factory=set)
    """Instances here that report exit instead of leaving."""


@dataclass(eq=False, slots=True)
class Unit:
    """Everything made so far."""

    program: tree.Program
    reporter: Reporter
    types: TypeConverter = field(default_factory=TypeConverter)
    tables: list[ir.Table] = field(default_factory=list)
    actions: list[ir.Action] = field(default_factory=list)
    externs: list[ir.ExternInstance] = field(default_factory=list)
    value_sets: list[ir.ValueSet] = field(default_factory=list)
    digests: list[ir.Digest] = field(default_factory=list)
    functions: dict[tuple[object, ...], ir.Function] = field(default_factory=dict)
    effects: dict[ir.Action, Effects] = field(default_factory=dict)
    owner: dict[int, int] = field(default_factory=dict)
    """Of extern instances by id: the id of the block that declares them; none for top-level ones."""
    top: Environment = field(default_factory=Environment)
    blocks: int = 0
    """Instances of controls and parsers so far."""
    reporting: set[int] = field(default_factory=set)
    """Ids of the controls whose last parameter says whether they have exited."""
    exits: Exits = field(init=False)

    def __post_init__(self) -> None:
        self.exits = Exits(self.program)


def control_plane(prefix: str, name: str, annotations: list[ast.Annotation]) -> ir.ControlPlane:
    """Name and annotations of an object for the control plane (18.3.2); a leading dot is absolute."""
    local = text_of(annotations, "name") or name
    absolute = local.startswith(".")
    full = local[1:] if absolute else f"{prefix}.{local}" if prefix else local
    return ir.ControlPlane(
        full,
        p4_annotations(annotations, ("name", "id", "brief", "description")),
        find(annotations, "hidden") is not None,
        number_of(annotations, "id"),
        text_of(annotations, "brief"),
        text_of(annotations, "description"),
    )
