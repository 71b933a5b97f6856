"""Semantic types of P4_16 (spec v1.2.5, section 7): what the checker computes with.

Scalars without structure are those of the IR (`Bits`, `Bool`, …); what the IR has lowered away or
specialised (int, newtypes, serialisable enums, generics, externs, blocks) is added here. Types that a
program declares are compared by identity: a generic type keeps one object per argument list.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from p4cats.compiler.ir.types import BOOL, ERROR, STRING, VOID, Bits, Bool, Error, String, Varbit, Void
from p4cats.compiler.parse import ast
from p4cats.compiler.source import Span


@dataclass(frozen=True, slots=True)
class Int:
    """`int`: arbitrary precision, compile-time only (7.1.6.5)."""

    def __str__(self) -> str:
        return "int"


@dataclass(frozen=True, slots=True)
class MatchKind:
    """`match_kind` (7.1.3)."""

    def __str__(self) -> str:
        return "match_kind"


@dataclass(frozen=True, slots=True)
class Unknown:
    """The type of an erroneous expression: silences every follow-up message."""

    def __str__(self) -> str:
        return "<unknown>"


@dataclass(frozen=True, slots=True)
class DontCare:
    """The type of `_` in a call, and of `...`."""

    def __str__(self) -> str:
        return "_"


@dataclass(eq=False, slots=True)
class Enum:
    """An enum without underlying type (7.2.1)."""

    name: str
    members: list[str]

    def __str__(self) -> str:
        return self.name


@dataclass(eq=False, slots=True)
class SerEnum:
    """An enum with an underlying type and values (7.2.1)."""

    name: str
    underlying: Bits
    values: dict[str, int]
    annotations: list[ast.Annotation] = field(default_factory=list)

    def __str__(self) -> str:
        return self.name


@dataclass(eq=False, slots=True)
class New:
    """`type T name`: a type of its own (7.3)."""

    name: str
    underlying: Type
    annotations: list[ast.Annotation] = field(default_factory=list)

    def __str__(self) -> str:
        return self.name


@dataclass(eq=False, slots=True)
class Member:
    """A field of a composite."""

    name: str
    type: Type
    span: Span
    annotations: list[ast.Annotation] = field(default_factory=list)


@dataclass(eq=False, slots=True)
class Composite:
    """A struct, header or header union (7.2.2 to 7.2.5), generic arguments applied."""

    kind: str
    """"struct", "header" or "header_union"."""
    name: str
    fields: dict[str, Member]
    span: Span
    annotations: list[ast.Annotation] = field(default_factory=list)
    generic: Generic | None = None
    arguments: tuple[Type, ...] = ()

    def __str__(self) -> str:
        return f"{self.name}<{listed(self.arguments)}>" if self.arguments else self.name


@dataclass(frozen=True, slots=True)
class Stack:
    """`H[n]` (7.2.3)."""

    element: Type
    size: int

    def __str__(self) -> str:
        return f"{self.element}[{self.size}]"


@dataclass(frozen=True, slots=True)
class Tuple:
    """`tuple<…>`, and the type of a list expression (7.2.6)."""

    elements: tuple[Type, ...]

    def __str__(self) -> str:
        return f"tuple<{listed(self.elements)}>"


@dataclass(frozen=True, slots=True)
class List:
    """`list<T>`: compile-time only (7.2.7)."""

    element: Type

    def __str__(self) -> str:
        return f"list<{self.element}>"


@dataclass(frozen=True, slots=True)
class Set:
    """The type of a key set (7.2.9.4)."""

    element: Type

    def __str__(self) -> str:
        return f"set<{self.element}>"


@dataclass(eq=False, slots=True)
class TypeVar:
    """A type parameter (7.2.10), opaque inside its declaration, bound at each use."""

    name: str

    def __str__(self) -> str:
        return self.name


@dataclass(eq=False, slots=True)
class Param:
    """A parameter of anything callable (6.8)."""

    name: str
    type: Type
    direction: str
    span: Span
    default: ast.Expression | None = None
    optional: bool = False
    annotations: list[ast.Annotation] = field(default_factory=list)


@dataclass(eq=False, slots=True)
class Signature:
    """What can be called: parameters, type parameters, result."""

    name: str
    type_params: list[TypeVar]
    params: list[Param]
    result: Type
    span: Span


@dataclass(eq=False, slots=True)
class ExternDecl:
    """An extern object type as declared (7.2.9.1)."""

    name: str
    type_params: list[TypeVar]
    span: Span
    constructors: list[Signature] = field(default_factory=list)
    methods: dict[str, list[Signature]] = field(default_factory=dict)
    abstract: set[str] = field(default_factory=set)
    memo: dict[tuple[Type, ...], Extern] = field(default_factory=dict)

    def of(self, arguments: tuple[Type, ...]) -> Extern:
        """The type with these arguments; always the same object."""
        found = self.memo.get(arguments)
        if found is None:
            found = self.memo[arguments] = Extern(self, arguments)
        return found


@dataclass(eq=False, slots=True)
class Extern:
    """An extern object type with its arguments."""

    declaration: ExternDecl
    arguments: tuple[Type, ...]

    @property
    def name(self) -> str:
        """The declared name."""
        return self.declaration.name

    def __str__(self) -> str:
        return f"{self.name}<{listed(self.arguments)}>" if self.arguments else self.name


@dataclass(eq=False, slots=True)
class BlockDecl:
    """A parser, control or package (type) as declared (7.2.11, 7.2.12)."""

    kind: str
    """"parser", "control" or "package"."""
    name: str
    type_params: list[TypeVar]
    params: list[Param]
    ctor_params: list[Param]
    span: Span
    concrete: bool
    """A parser or control with a body, or a package: it can be instantiated."""
    annotations: list[ast.Annotation] = field(default_factory=list)
    memo: dict[tuple[Type, ...], Block] = field(default_factory=dict)

    def of(self, arguments: tuple[Type, ...]) -> Block:
        """The type with these arguments; always the same object."""
        found = self.memo.get(arguments)
        if found is None:
            found = self.memo[arguments] = Block(self, arguments)
        return found


@dataclass(eq=False, slots=True)
class Block:
    """A parser, control or package type with its arguments."""

    declaration: BlockDecl
    arguments: tuple[Type, ...]

    @property
    def name(self) -> str:
        """The declared name."""
        return self.declaration.name

    @property
    def kind(self) -> str:
        """ "parser", "control" or "package"."""
        return self.declaration.kind

    def parameters(self) -> list[Param]:
        """Parameters of apply, type arguments applied."""
        return self._applied(self.declaration.params)

    def constructor_parameters(self) -> list[Param]:
        """Constructor parameters, type arguments applied."""
        return self._applied(self.declaration.ctor_params)

    def _applied(self, params: list[Param]) -> list[Param]:
        if not self.arguments:
            return params
        binding = dict(zip(self.declaration.type_params, self.arguments, strict=True))
        return [applied(p, binding) for p in params]

    def __str__(self) -> str:
        return f"{self.name}<{listed(self.arguments)}>" if self.arguments else self.name


@dataclass(eq=False, slots=True)
class Generic:
    """A generic struct, header or union: makes a type from arguments (7.2.2)."""

    name: str
    params: list[TypeVar]
    make: Callable[[tuple[Type, ...]], Composite]
    memo: dict[tuple[Type, ...], Composite] = field(default_factory=dict)

    def of(self, arguments: tuple[Type, ...]) -> Composite:
        """The type with these arguments; always the same object."""
        found = self.memo.get(arguments)
        if found is None:
            found = self.make(arguments)
        return found


@dataclass(eq=False, slots=True)
class Opaque:
    """The type of what is named but is no value: a table, an action, a function, a state, a type."""

    what: str

    def __str__(self) -> str:
        return self.what


@dataclass(eq=False, slots=True)
class TableType:
    """The type of a table, of the result of its apply, and of `action_run`."""

    name: str
    part: str = "table"
    """"table", "result" or "action_run"."""

    def __str__(self) -> str:
        return self.name if self.part == "table" else f"{self.name}.apply() {self.part}"


Type = (
    Bits | Bool | Varbit | Error | String | Void | Int | MatchKind | Unknown | DontCare | Enum | SerEnum | New
    | Composite | Stack | Tuple | List | Set | TypeVar | Extern | Block | Opaque | TableType
)  # fmt: skip

INT = Int()
MATCH_KIND = MatchKind()
UNKNOWN = Unknown()
DONT_CARE = DontCare()


def listed(types: Iterable[Type]) -> str:
    """Types separated by commas."""
    return ", ".join(str(t) for t in types)


def substitute(type_: Type, binding: dict[TypeVar, Type]) -> Type:
    """Replace type variables; types without any come back as they are."""
    if not binding:
        return type_
    match type_:
        case TypeVar():
            return binding.get(type_, type_)
        case Stack():
            return Stack(substitute(type_.element, binding), type_.size)
        case Tuple():
            return Tuple(tuple(substitute(t, binding) for t in type_.elements))
        case List():
            return List(substitute(type_.element, binding))
        case Set():
            return Set(substitute(type_.element, binding))
        case Composite(generic=Generic() as generic, arguments=(_, *_)):
            return generic.of(tuple(substitute(t, binding) for t in type_.arguments))
        case Extern(arguments=(_, *_)) | Block(arguments=(_, *_)):
            return type_.declaration.of(tuple(substitute(t, binding) for t in type_.arguments))
        case _:
            return type_


def applied(param: Param, binding: dict[TypeVar, Type]) -> Param:
    """A parameter with its type variables replaced."""
    if not binding:
        return param
    return Param(
        param.name, substitute(param.type, binding), param.direction, param.span, param.default,
        param.optional, param.annotations,
    )  # fmt: skip


def underlying(type_: Type) -> Type:
    """Without `type` names around it (7.3)."""
    while isinstance(type_, New):
        type_ = type_.underlying
    return type_


def representation(type_: Type) -> Type:
    """Without `type` names and serialisable enums around it: what the bits are."""
    while isinstance(type_, New | SerEnum):
        type_ = type_.underlying
    return type_


def is_header(type_: Type) -> bool:
    """A header type."""
    return isinstance(type_, Composite) and type_.kind == "header"


def is_union(type_: Type) -> bool:
    """A header union type."""
    return isinstance(type_, Composite) and type_.kind == "header_union"


def is_unknown(type_: Type) -> bool:
    """The error type, or something built from it."""
    match type_:
        case Unknown():
            return True
        case Tuple(elements=elements):
            return any(is_unknown(t) for t in elements)
        case Stack(element=element) | List(element=element) | Set(element=element):
            return is_unknown(element)
        case _:
            return False


def contains_int(type_: Type) -> bool:
    """Holds an `int`, which no run-time value can have."""
    match type_:
        case Int():
            return True
        case Tuple(elements=elements):
            return any(contains_int(t) for t in elements)
        case List(element=element):
            return contains_int(element)
        case Composite(fields=fields):
            return any(contains_int(f.type) for f in fields.values())
        case _:
            return False


__all__ = [
    "BOOL", "DONT_CARE", "ERROR", "INT", "MATCH_KIND", "STRING", "UNKNOWN", "VOID", "Bits", "Block",
    "BlockDecl", "Bool", "Composite", "DontCare", "Enum", "Error", "Extern", "ExternDecl", "Generic", "Int",
    "List", "MatchKind", "Member", "New", "Opaque", "Param", "SerEnum", "Set", "Signature", "Stack", "String",
    "TableType", "Tuple", "Type", "TypeVar", "Unknown", "Varbit", "Void", "applied", "contains_int",
    "is_header", "is_union", "is_unknown", "listed", "representation", "substitute", "underlying",
]  # fmt: skip
