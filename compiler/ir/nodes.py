"""The typed IR: what front end and back ends agree on.

Rules (checked by `p4cats.compiler.ir.verify`, always on in tests):

- All names are resolved, all generics specialised, all constants folded, all instances elaborated:
  every instance of a control or parser is a Block of its own, with its own tables and actions.
- Expressions are pure: no call, no side effect, evaluation order does not matter. What has an effect
  was hoisted into statements and temporaries, in the order that P4_16 demands; `&&` and `||` whose
  right side has an effect became If statements.
- Implicit casts are explicit; both operands of a binary operator have the same type (shifts and ++
  excepted: the right operand of a shift is unsigned or a non-negative constant).
- Comparison of composites was expanded to comparisons of fields and validity.
- Assignment of composites copies values (headers with validity, stacks with nextIndex).
- Arguments: an `out` or `inout` argument is an l-value that overlaps no other argument of its call and
  no variable that the callee can reach otherwise, and its indices are constants or temporaries; so a
  back end may pass references. `in` arguments are read-only to the callee, and nothing that the callee
  writes overlaps them. Copy-in and copy-out that the program can observe were made explicit.
- Every local and every temporary starts as zero (headers invalid) at each entry of the Block, function
  or action that holds it, unless a statement sets it. `out` parameters: zero at entry likewise.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from p4cats.compiler.ir.types import (
    Composite,
    Enum,
    Header,
    P4Annotation,
    Struct,
    Type,
    WrittenType,
)
from p4cats.compiler.source import Span


@dataclass(eq=False, slots=True)
class Variable:
    """A parameter, local or temporary. `name` is unique within its Block (its actions included)."""

    name: str
    type: Type
    span: Span
    direction: str = ""
    """"in", "out", "inout" for parameters; "" for locals and for action data (control-plane parameters)."""


# -- expressions (pure) -----------------------------------------------------------------------


@dataclass(eq=False, slots=True)
class Expr:
    """Base: every expression has a position and a type."""

    span: Span
    type: Type


@dataclass(eq=False, slots=True)
class Const(Expr):
    """A scalar: bits as a Python int in the type's range (negative for int<W>), bool as 0/1,
    error and enum as index, varbit never."""

    value: int


@dataclass(eq=False, slots=True)
class StringConst(Expr):
    """A string constant."""

    value: str


@dataclass(eq=False, slots=True)
class VarRef(Expr):
    """A variable. l-value."""

    variable: Variable


@dataclass(eq=False, slots=True)
class FieldRef(Expr):
    """`base.field` of a header, union or struct. l-value if base is."""

    base: Expr
    field: str


@dataclass(eq=False, slots=True)
class IndexRef(Expr):
    """Element of a stack; index out of range: reads give an invalid header, writes do nothing. l-value."""

    base: Expr
    index: Expr


@dataclass(eq=False, slots=True)
class StackNext(Expr):
    """`stack.next`: l-value in parsers; error.StackOutOfBounds where full (extract then advances it)."""

    base: Expr


@dataclass(eq=False, slots=True)
class StackLast(Expr):
    """`stack.last`: error.StackOutOfBounds where empty. Parsers only. l-value."""

    base: Expr


@dataclass(eq=False, slots=True)
class StackLastIndex(Expr):
    """`stack.lastIndex` (bit<32>): nextIndex - 1."""

    base: Expr


@dataclass(eq=False, slots=True)
class SliceRef(Expr):
    """`base[high:low]`, constants. l-value if base is."""

    base: Expr
    high: int
    low: int


@dataclass(eq=False, slots=True)
class Unary(Expr):
    """op: `-` (wraps), `~`, `!`."""

    op: str
    operand: Expr


@dataclass(eq=False, slots=True)
class Binary(Expr):
    """op: `+ - *` (wrap), `/ %` (bit only; by zero: undefined, 0 here), `|+| |-|` (saturate), `<< >>`
    (`>>` arithmetic on int), `& | ^`, `== != < <= > >=`, `&& ||`, `++`."""

    op: str
    left: Expr
    right: Expr


@dataclass(eq=False, slots=True)
class Cast(Expr):
    """Among bit, int, bool (bit<1>): truncate or extend by the operand's signedness, then reinterpret."""

    operand: Expr


@dataclass(eq=False, slots=True)
class Mux(Expr):
    """`condition ? then : other`; scalar or composite."""

    condition: Expr
    then: Expr
    other: Expr


@dataclass(eq=False, slots=True)
class IsValid(Expr):
    """Validity of a header, or of any field of a union."""

    operand: Expr


@dataclass(eq=False, slots=True)
class Make(Expr):
    """A composite value: fields in order (a header is valid); for a stack, its elements."""

    values: list[Expr]


@dataclass(eq=False, slots=True)
class MakeInvalid(Expr):
    """An invalid header or union, or the zero value of a struct or stack."""


@dataclass(eq=False, slots=True)
class PacketLength(Expr):
    """`packet.length()`: bytes of the packet under parse."""


# -- statements -------------------------------------------------------------------------------


@dataclass(eq=False, slots=True)
class Stmt:
    """Base."""

    span: Span


@dataclass(eq=False, slots=True)
class Assign(Stmt):
    """Copy `value` to the l-value."""

    target: Expr
    value: Expr


@dataclass(eq=False, slots=True)
class Zero(Stmt):
    """A declaration without initialiser is reached: the variable is zero (headers invalid) again."""

    variable: Variable


@dataclass(eq=False, slots=True)
class If(Stmt):
    """Two-way branch."""

    condition: Expr
    then: list[Stmt]
    other: list[Stmt]


@dataclass(eq=False, slots=True)
class Case:
    """`values` None is the default case. No fall-through is left."""

    values: list[int] | None
    body: list[Stmt]


@dataclass(eq=False, slots=True)
class Switch(Stmt):
    """Branch on a scalar (bits, enum, error; also the action_run of a table)."""

    subject: Expr
    cases: list[Case]


@dataclass(eq=False, slots=True)
class Loop(Stmt):
    """`while (prepare; condition) { body; update }`: Continue jumps to update, Break leaves."""

    prepare: list[Stmt]
    condition: Expr
    body: list[Stmt]
    update: list[Stmt]


@dataclass(eq=False, slots=True)
class Break(Stmt):
    """Leave the innermost loop."""


@dataclass(eq=False, slots=True)
class Continue(Stmt):
    """Go to the innermost loop's update."""


@dataclass(eq=False, slots=True)
class Return(Stmt):
    """Leave the action, function or control body."""

    value: Expr | None = None


@dataclass(eq=False, slots=True)
class Exit(Stmt):
    """End the whole top-level control (copy-out of the callers on the way is done)."""


@dataclass(eq=False, slots=True)
class Argument:
    """An argument; "" is the direction of action data and of direction-less extern parameters."""

    direction: str
    value: Expr


@dataclass(eq=False, slots=True)
class CallAction(Stmt):
    """A direct call of an action of this Block (or a top-level action)."""

    action: Action
    arguments: list[Argument]


@dataclass(eq=False, slots=True)
class CallFunction(Stmt):
    """`target = function(arguments)`; target None for void or an unused value."""

    function: Function
    arguments: list[Argument]
    target: Expr | None


@dataclass(eq=False, slots=True)
class CallBlock(Stmt):
    """Apply a control, or run a sub-parser (whose reject is the caller's reject). packet_in and
    packet_out are implicit: not among the arguments."""

    block: Control | Parser
    arguments: list[Argument]


@dataclass(eq=False, slots=True)
class ApplyTable(Stmt):
    """Apply; the results are written where asked for: `hit` bool, `action_run` index into table.actions."""

    table: Table
    hit: Variable | None
    action_run: Variable | None


@dataclass(eq=False, slots=True)
class ExternCall(Stmt):
    """Call of an extern function (`instance` None) or method.

    `name` is "mark_to_drop", "register.read", "hash", …, always the declared P4 name. Arguments in
    declared order, directions from the declaration. `target` takes a returned value.
    """

    name: str
    instance: ExternInstance | None
    arguments: list[Argument]
    target: Expr | None = None


@dataclass(eq=False, slots=True)
class SetValid(Stmt):
    """`header.setValid()` / `setInvalid()`; union members: the front end adds the others' setInvalid."""

    header: Expr
    valid: bool


@dataclass(eq=False, slots=True)
class Push(Stmt):
    """`stack.push_front(count)`."""

    stack: Expr
    count: int


@dataclass(eq=False, slots=True)
class Pop(Stmt):
    """`stack.pop_front(count)`."""

    stack: Expr
    count: int


@dataclass(eq=False, slots=True)
class Extract(Stmt):
    """Fill the header from the packet and set it valid; `varbit_bits` sizes its one varbit field.

    Errors: PacketTooShort, StackOutOfBounds, HeaderTooShort, ParserInvalidArgument.
    """

    header: Expr
    varbit_bits: Expr | None


@dataclass(eq=False, slots=True)
class Lookahead(Stmt):
    """`target = packet.lookahead<T>()`, T the target's type (scalar or composite); or PacketTooShort."""

    target: Expr


@dataclass(eq=False, slots=True)
class Advance(Stmt):
    """Skip bits; or PacketTooShort."""

    bits: Expr


@dataclass(eq=False, slots=True)
class Verify(Stmt):
    """`verify(condition, error)`: where false, set the parser error and reject."""

    condition: Expr
    error: Expr


@dataclass(eq=False, slots=True)
class Emit(Stmt):
    """Append a header (if valid); structs, unions and stacks were expanded."""

    header: Expr


# -- parsers ----------------------------------------------------------------------------------


@dataclass(eq=False, slots=True)
class Pattern:
    """One column of a select case, a key set of an entry, or a value set member.

    kind "any" | "exact" (value) | "mask" (value, mask) | "range" (low, high) | "value_set".
    Bit patterns are unsigned or two's complement as the subject's type says.
    In select, `value` and `mask`/`high` are usually Const; P4 permits run-time values there.
    """

    kind: str
    value: Expr | None = None
    mask: Expr | None = None
    """The mask, or the upper end of a range."""
    value_set: ValueSet | None = None


@dataclass(eq=False, slots=True)
class SelectCase:
    """First matching case wins. A value_set pattern stands alone and takes all subjects."""

    patterns: list[Pattern]
    state: str
    span: Span


@dataclass(eq=False, slots=True)
class Transition:
    """`cases` None: go to `state`. Else select over `subjects`; no match is error.NoMatch and reject.

    State names: those of the parser, "accept" and "reject".
    """

    state: str | None
    subjects: list[Expr] = field(default_factory=list)
    cases: list[SelectCase] | None = None


@dataclass(eq=False, slots=True)
class State:
    """A parser state."""

    name: str
    span: Span
    body: list[Stmt]
    transition: Transition
    annotations: tuple[P4Annotation, ...] = ()


# -- declarations -----------------------------------------------------------------------------


@dataclass(eq=False, slots=True)
class Function:
    """A top-level function (specialised)."""

    name: str
    span: Span
    parameters: list[Variable]
    locals: list[Variable]
    body: list[Stmt]
    return_type: Type


@dataclass(eq=False, slots=True)
class ControlPlane:
    """What the control plane sees of an object."""

    name: str
    """Hierarchical name as P4Info gives it, @name applied, without leading dot."""
    annotations: tuple[P4Annotation, ...] = ()
    hidden: bool = False
    id: int | None = None
    """From @id, as written."""
    doc_brief: str | None = None
    doc_description: str | None = None

    def annotation(self, name: str) -> P4Annotation | None:
        """The first annotation of that name."""
        return next((a for a in self.annotations if a.name == name), None)


@dataclass(eq=False, slots=True)
class ActionParameter:
    """What P4Info says of an action's control-plane parameter."""

    variable: Variable
    name: str
    """As P4Info gives it: as written or by @name, where the variable's is unique in its Block."""
    annotations: tuple[P4Annotation, ...] = ()
    written: WrittenType | None = None


@dataclass(eq=False, slots=True)
class Action:
    """An action of a Block instance, or a top-level action (shared by all)."""

    control_plane: ControlPlane
    span: Span
    parameters: list[Variable]
    """Directional parameters first, then action data (direction "")."""
    data: list[ActionParameter]
    """Those of `parameters` that have no direction, in order."""
    locals: list[Variable]
    body: list[Stmt]

    @property
    def name(self) -> str:
        """The control-plane name."""
        return self.control_plane.name


@dataclass(eq=False, slots=True)
class Key:
    """A key field of a table."""

    expression: Expr
    match_kind: str
    """exact, lpm, ternary, range, optional, selector (or a program's own kind: refused by targets)."""
    name: str
    """As P4Info gives it."""
    span: Span
    annotations: tuple[P4Annotation, ...] = ()
    written: WrittenType | None = None


@dataclass(eq=False, slots=True)
class ActionRef:
    """An action in a table's list; `bound` are the arguments of its directional parameters."""

    action: Action
    bound: list[Argument]
    annotations: tuple[P4Annotation, ...]
    table_only: bool = False
    default_only: bool = False


@dataclass(eq=False, slots=True)
class ActionCall:
    """An action of a table with its action data (constants, in order of `action.data`)."""

    action: Action
    data: list[int]


@dataclass(eq=False, slots=True)
class Entry:
    """An entry written in the program. `patterns` one per key (selector keys excluded)."""

    patterns: list[Pattern]
    call: ActionCall
    priority: int
    """Larger wins, as in P4Runtime; 0 in tables without ternary, range or optional keys."""
    const: bool
    span: Span
    annotations: tuple[P4Annotation, ...] = ()


@dataclass(eq=False, slots=True)
class Table:
    """A table of a Block instance."""

    control_plane: ControlPlane
    span: Span
    keys: list[Key]
    actions: list[ActionRef]
    default: ActionCall
    """NoAction where the program names none (then the NoAction reference is default_only)."""
    const_default: bool
    default_written: bool
    """The program has a default_action property."""
    entries: list[Entry]
    const_entries: bool
    size: int
    implementation: ExternInstance | None = None
    direct_counter: ExternInstance | None = None
    direct_meter: ExternInstance | None = None
    support_timeout: bool = False

    @property
    def name(self) -> str:
        """The control-plane name."""
        return self.control_plane.name


@dataclass(eq=False, slots=True)
class ExternInstance:
    """An instance: counter, direct_counter, meter, direct_meter, register, action_profile, …"""

    kind: str
    control_plane: ControlPlane
    span: Span
    type_arguments: list[Type]
    arguments: list[Const | StringConst]
    """Constructor arguments in declared order, evaluated (enum values as Const of Enum type)."""
    written: WrittenType | None = None
    """Of a register's element type, where a newtype or serialisable enum."""
    tables: list[Table] = field(default_factory=list)
    """Tables that use it (direct resources, implementations)."""

    @property
    def name(self) -> str:
        """The control-plane name."""
        return self.control_plane.name


@dataclass(eq=False, slots=True)
class ValueSet:
    """A parser value set; its element type is Bits/Bool/Enum or a struct of such."""

    control_plane: ControlPlane
    span: Span
    element: Type
    size: int

    @property
    def name(self) -> str:
        """The control-plane name."""
        return self.control_plane.name


@dataclass(eq=False, slots=True)
class Parser:
    """A parser instance. Execution begins in state "start"."""

    name: str
    span: Span
    parameters: list[Variable]
    locals: list[Variable]
    init: list[Stmt]
    """Initialisers of the parser's own variables, run at entry."""
    states: dict[str, State]


@dataclass(eq=False, slots=True)
class Control:
    """A control instance. Its actions may use its parameters and locals."""

    name: str
    span: Span
    parameters: list[Variable]
    locals: list[Variable]
    actions: list[Action]
    tables: list[Table]
    body: list[Stmt]
    """Begins with the initialisers of the control's own variables."""


@dataclass(eq=False, slots=True)
class ControllerHeader:
    """A header with @controller_header("packet_in" | "packet_out")."""

    name: str
    header: Header
    annotations: tuple[P4Annotation, ...]
    id: int | None = None


@dataclass(eq=False, slots=True)
class Digest:
    """A digest type, by its control-plane name, in order of first use."""

    name: str
    type: Struct | Header
    annotations: tuple[P4Annotation, ...] = ()


@dataclass(eq=False, slots=True)
class Program:
    """A v1model program, elaborated."""

    span: Span
    errors: list[str]
    parser: Parser
    verify_checksum: Control
    ingress: Control
    egress: Control
    compute_checksum: Control
    deparser: Control
    headers: Struct
    metadata: Struct
    standard_metadata: Struct
    tables: list[Table]
    """All tables, in order of declaration and elaboration."""
    actions: list[Action]
    """All actions that any block holds, top-level ones included, in order of first appearance."""
    externs: list[ExternInstance]
    value_sets: list[ValueSet]
    controller_headers: list[ControllerHeader]
    digests: list[Digest]
    composites: list[Composite]
    """Struct, header and union types of the program in declaration order (for P4Info type_info)."""
    written_types: list[WrittenType]
    """Newtypes and serialisable enums of the program (for P4Info type_info)."""
    enums: list[Enum]
    annotations: tuple[P4Annotation, ...]
    """Of `main` (@pkginfo, @platform_property)."""
    functions: list[Function]
    atomic: list[Span]
    """Where @atomic holds (18.4.1): statements whose span lies in one of these run as if alone."""


__all__ = [
    "Action", "ActionCall", "ActionParameter", "ActionRef", "Advance", "ApplyTable", "Argument", "Assign",
    "Binary", "Break", "CallAction", "CallBlock", "CallFunction", "Case", "Cast", "Const", "Continue",
    "Control", "ControlPlane", "ControllerHeader", "Digest", "Emit", "Entry", "Exit", "Expr", "ExternCall",
    "ExternInstance", "Extract", "FieldRef", "Function", "If", "IndexRef", "IsValid", "Key", "Lookahead",
    "Loop", "Make", "MakeInvalid", "Mux", "PacketLength", "Parser", "Pattern", "Pop", "Program", "Push",
    "Return", "SelectCase", "SetValid", "SliceRef", "StackLast", "StackLastIndex",
    "StackNext", "State", "Stmt", "StringConst", "Switch", "Table", "Transition", "Unary", "ValueSet",
    "VarRef", "Variable", "Verify", "Zero",
]  # fmt: skip
