"""The typed tree: names resolved, types inferred, implicit casts explicit, calls matched to parameters.

Still generic and still one node per declaration: elaboration makes instances of it, lowering makes IR.
Type variables of a generic function may occur in the types inside its body.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from p4cats.compiler.parse import ast
from p4cats.compiler.source import Span
from p4cats.compiler.types.model import UNKNOWN, BlockDecl, Param, Signature, Type, TypeVar

# -- symbols ----------------------------------------------------------------------------------


@dataclass(eq=False, slots=True)
class Var:
    """A run-time variable or parameter."""

    name: str
    type: Type
    span: Span
    direction: str = ""
    role: str = "local"
    """"local", "parameter", "data" (an action's control-plane parameter) or "loop"."""
    annotations: list[ast.Annotation] = field(default_factory=list)
    used: bool = False
    written: bool = False

    @property
    def writable(self) -> bool:
        """May stand at the left of an assignment."""
        return self.role == "local" or self.direction in {"out", "inout"}


@dataclass(eq=False, slots=True)
class Const:
    """A constant, with its evaluated value."""

    name: str
    type: Type
    span: Span
    value: Expr


@dataclass(eq=False, slots=True)
class CtorParam:
    """A constructor parameter: a value or an instance, known once the block is instantiated."""

    name: str
    type: Type
    span: Span


@dataclass(eq=False, slots=True)
class TypeName:
    """A name of a type; `generic` is set where it needs arguments."""

    name: str
    type: Type
    span: Span
    params: list[TypeVar] = field(default_factory=list)
    generic: object = None


@dataclass(eq=False, slots=True)
class Overloads:
    """Functions of one name (6.7.2)."""

    name: str
    functions: list[Function]
    span: Span


# -- expressions ------------------------------------------------------------------------------


@dataclass(eq=False, slots=True)
class Expr:
    """Base of all typed expressions."""

    span: Span
    type: Type


@dataclass(eq=False, slots=True)
class Wrong(Expr):
    """An erroneous expression, already reported."""


def wrong(span: Span) -> Wrong:
    """An erroneous expression at this place."""
    return Wrong(span, UNKNOWN)


@dataclass(eq=False, slots=True)
class Constant(Expr):
    """A number, bool (0/1), string, error or enum member (its index, or value if serialisable)."""

    value: int | str


@dataclass(eq=False, slots=True)
class Ref(Expr):
    """A run-time variable."""

    symbol: Var


@dataclass(eq=False, slots=True)
class CtorRef(Expr):
    """A constructor parameter."""

    symbol: CtorParam


@dataclass(eq=False, slots=True)
class InstanceRef(Expr):
    """An instance of an extern, control, parser or package, or a parameter of extern type."""

    symbol: Instance | Var


@dataclass(eq=False, slots=True)
class Named(Expr):
    """A name of no value: type, function set, action, table, value set, state."""

    symbol: TypeName | Overloads | Action | Table | ValueSet


@dataclass(eq=False, slots=True)
class FieldRef(Expr):
    """`base.name`; tuple elements are f0, f1, …."""

    base: Expr
    name: str


@dataclass(eq=False, slots=True)
class Element(Expr):
    """`stack[index]` or `list[index]`."""

    base: Expr
    index: Expr


@dataclass(eq=False, slots=True)
class StackPart(Expr):
    """`stack.next`, `.last` or `.lastIndex`."""

    base: Expr
    part: str


@dataclass(eq=False, slots=True)
class SliceRef(Expr):
    """`base[high:low]`."""

    base: Expr
    high: int
    low: int


@dataclass(eq=False, slots=True)
class PartSelect(Expr):
    """`base[low +: width]` where `low` is known at run time only."""

    base: Expr
    low: Expr
    width: int


@dataclass(eq=False, slots=True)
class Unary(Expr):
    """`-`, `~`, `!`."""

    op: str
    operand: Expr


@dataclass(eq=False, slots=True)
class Binary(Expr):
    """Both operands have the same type but for shifts and `++`."""

    op: str
    left: Expr
    right: Expr


@dataclass(eq=False, slots=True)
class Mux(Expr):
    """`condition ? then : other`."""

    condition: Expr
    then: Expr
    other: Expr


@dataclass(eq=False, slots=True)
class Cast(Expr):
    """Explicit or implicit cast of a scalar, or renaming by `type`."""

    operand: Expr


@dataclass(eq=False, slots=True)
class Make(Expr):
    """A composite, tuple or list value; `names` where it was written as `{name = value}`."""

    values: list[Expr]
    names: list[str] | None = None
    rest: bool = False
    """Ends in `...`: the values after these are the default (8.12, 8.13); gone once converted."""


@dataclass(eq=False, slots=True)
class Invalid(Expr):
    """`{#}`, or the default value of a type (7.3): zero, invalid headers."""


@dataclass(eq=False, slots=True)
class Any(Expr):
    """`_` or `default` in a key set, `_` as an argument, `...` as a value."""


@dataclass(eq=False, slots=True)
class MaskSet(Expr):
    """`value &&& mask`."""

    value: Expr
    mask: Expr


@dataclass(eq=False, slots=True)
class RangeSet(Expr):
    """`low .. high`."""

    low: Expr
    high: Expr


@dataclass(eq=False, slots=True)
class SetRef(Expr):
    """A value set in a select."""

    symbol: ValueSet


@dataclass(eq=False, slots=True)
class Arg:
    """An argument matched to its parameter; None for `_` and for an omitted optional one."""

    param: Param
    value: Expr | None


@dataclass(eq=False, slots=True)
class Call(Expr):
    """Base of all calls."""

    args: list[Arg]


@dataclass(eq=False, slots=True)
class FunctionCall(Call):
    """A P4 function, or an extern function (`function.body` None)."""

    function: Function
    type_args: list[Type]


@dataclass(eq=False, slots=True)
class MethodCall(Call):
    """A method of an extern instance."""

    instance: Expr
    signature: Signature
    type_args: list[Type]


@dataclass(eq=False, slots=True)
class BuiltinCall(Call):
    """isValid, setValid, setInvalid, push_front, pop_front; the operand is `base`."""

    name: str
    base: Expr
    count: int = 0


@dataclass(eq=False, slots=True)
class ActionCall(Call):
    """A direct call of an action."""

    action: Action


@dataclass(eq=False, slots=True)
class ApplyTable(Call):
    """`t.apply()`; `part` is "", "hit", "miss" or "action_run"."""

    table: Table
    part: str = ""


@dataclass(eq=False, slots=True)
class ApplyBlock(Call):
    """`c.apply(…)`."""

    instance: Expr


@dataclass(eq=False, slots=True)
class Construct(Call):
    """`T(…)`: a new instance."""


# -- statements -------------------------------------------------------------------------------


@dataclass(eq=False, slots=True)
class Stmt:
    """Base of all typed statements."""

    span: Span


@dataclass(eq=False, slots=True)
class Assign(Stmt):
    """`target = value`; with `op`, `target = target op value` with the target evaluated once."""

    target: Expr
    value: Expr
    op: str = ""


@dataclass(eq=False, slots=True)
class CallStmt(Stmt):
    """A call for its effect."""

    call: Call


@dataclass(eq=False, slots=True)
class Declare(Stmt):
    """A variable, with its initialiser if there is one."""

    variable: Var
    value: Expr | None


@dataclass(eq=False, slots=True)
class If(Stmt):
    """Two-way branch."""

    condition: Expr
    then: list[Stmt]
    other: list[Stmt]


@dataclass(eq=False, slots=True)
class SwitchCase:
    """Labels (None is default) that share a body; fall-through is resolved."""

    labels: list[Expr | Action | None]
    body: list[Stmt]
    span: Span


@dataclass(eq=False, slots=True)
class Switch(Stmt):
    """On an expression, or on a table's action_run (labels are actions)."""

    subject: Expr
    cases: list[SwitchCase]


@dataclass(eq=False, slots=True)
class For(Stmt):
    """`for (init; condition; update) body`."""

    init: list[Stmt]
    condition: Expr
    update: list[Stmt]
    body: list[Stmt]


@dataclass(eq=False, slots=True)
class ForIn(Stmt):
    """`for (variable in collection)`: a RangeSet, a stack or a list constant."""

    variable: Var
    collection: Expr
    body: list[Stmt]


@dataclass(eq=False, slots=True)
class Return(Stmt):
    """`return`, with a value in functions."""

    value: Expr | None


@dataclass(eq=False, slots=True)
class Exit(Stmt):
    """`exit`."""


@dataclass(eq=False, slots=True)
class Break(Stmt):
    """`break`."""


@dataclass(eq=False, slots=True)
class Continue(Stmt):
    """`continue`."""


# -- declarations -----------------------------------------------------------------------------


@dataclass(eq=False, slots=True)
class Instance(Stmt):
    """An instantiation, at top level or in a block."""

    name: str
    type: Type
    args: list[Arg]
    annotations: list[ast.Annotation] = field(default_factory=list)
    has_members: bool = False
    used: bool = False


@dataclass(eq=False, slots=True)
class Function:
    """A function; `body` None for an extern function."""

    signature: Signature
    span: Span
    params: list[Var]
    body: list[Stmt] | None
    annotations: list[ast.Annotation] = field(default_factory=list)
    extern: bool = False

    @property
    def name(self) -> str:
        """The declared name."""
        return self.signature.name


@dataclass(eq=False, slots=True)
class Action(Stmt):
    """An action."""

    name: str
    signature: Signature
    params: list[Var]
    body: list[Stmt]
    annotations: list[ast.Annotation]
    used: bool = False


@dataclass(eq=False, slots=True)
class Key:
    """An element of a table's key."""

    expression: Expr
    match_kind: str
    name: str
    span: Span
    annotations: list[ast.Annotation]


@dataclass(eq=False, slots=True)
class ActionRef:
    """An entry of a table's action list; `bound` are the arguments of directional parameters."""

    action: Action
    bound: list[Arg]
    span: Span
    annotations: list[ast.Annotation]


@dataclass(eq=False, slots=True)
class ActionUse:
    """An action with its data: default action or entry."""

    action: Action
    data: list[Expr]
    span: Span


@dataclass(eq=False, slots=True)
class Entry:
    """An entry of a table."""

    keys: list[Expr]
    use: ActionUse
    priority: int | None
    const: bool
    span: Span
    annotations: list[ast.Annotation]


@dataclass(eq=False, slots=True)
class Table(Stmt):
    """A table."""

    name: str
    keys: list[Key]
    actions: list[ActionRef]
    default: ActionUse | None
    const_default: bool
    entries: list[Entry] | None
    const_entries: bool
    size: Expr | None
    annotations: list[ast.Annotation]
    properties: dict[str, Expr] = field(default_factory=dict)
    """implementation, counters, meters, support_timeout."""
    property_annotations: list[ast.Annotation] = field(default_factory=list)
    """Of the property that constructs an extern in place: they name it."""
    largest_priority_wins: bool = True
    priority_delta: int = 1
    used: bool = False

    def find(self, action: Action) -> ActionRef | None:
        """The reference to this action in the list."""
        return next((r for r in self.actions if r.action is action), None)


@dataclass(eq=False, slots=True)
class ValueSet(Stmt):
    """A parser value set."""

    name: str
    element: Type
    size: Expr
    annotations: list[ast.Annotation]


@dataclass(eq=False, slots=True)
class SelectCase:
    """A case of a select: one key set per subject (or one SetRef for all)."""

    keys: list[Expr]
    state: str
    span: Span


@dataclass(eq=False, slots=True)
class State:
    """A parser state; `cases` None: go to `next`."""

    name: str
    span: Span
    body: list[Stmt]
    next: str | None
    subjects: list[Expr]
    cases: list[SelectCase] | None
    annotations: list[ast.Annotation]


@dataclass(eq=False, slots=True)
class Control:
    """A control with its body."""

    declaration: BlockDecl
    params: list[Var]
    ctor_params: list[CtorParam]
    locals: list[Stmt]
    body: list[Stmt]


@dataclass(eq=False, slots=True)
class Parser:
    """A parser with its states."""

    declaration: BlockDecl
    params: list[Var]
    ctor_params: list[CtorParam]
    locals: list[Stmt]
    states: dict[str, State]


@dataclass(eq=False, slots=True)
class Package:
    """A package: nothing but its constructor."""

    declaration: BlockDecl


@dataclass(slots=True)
class Program:
    """Everything elaboration needs."""

    span: Span
    blocks: dict[BlockDecl, Control | Parser | Package]
    errors: list[str]
    instances: list[Instance]
    """Top-level instances, `main` among them."""
    actions: list[Action]
    """Top-level actions."""
    types: list[Type]
    """Types that are not generic, in order of declaration."""
    atomic: list[Span]
    """Where @atomic holds."""
    main: Instance | None = None


Symbol = (
    Var | Const | CtorParam | TypeName | Overloads | Action | Table | ValueSet | Instance
)  # fmt: skip
