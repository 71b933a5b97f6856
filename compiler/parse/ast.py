"""The syntax tree of P4_16 (spec v1.2.5, appendix "P4 grammar"): what was written, nothing resolved.

Every node carries the span of its text. Nodes are compared by identity.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from p4cats.compiler.source import Span


@dataclass(eq=False, slots=True)
class Node:
    """Base of all nodes."""

    span: Span


# -- annotations ------------------------------------------------------------------------------


@dataclass(eq=False, slots=True)
class Annotation(Node):
    """`@name`, `@name(text…)` (unstructured) or `@name[expressions | key=value, …]` (structured)."""

    name: str
    body: str | None
    """Unstructured body as written, without the parentheses; None where there are none."""
    values: list[Expression] | None = None
    """Unstructured body parsed as an expression list where that is possible."""
    structured: list[Expression] | list[NamedValue] | None = None
    pairs: list[NamedValue] | None = None
    """Unstructured body parsed as `name=value, …` where that is possible, as in `@pkginfo(name="x")`."""


@dataclass(eq=False, slots=True)
class NamedValue(Node):
    """`name = value` of a structured annotation, a struct initialiser or a property list."""

    name: str
    value: Expression


# -- types ------------------------------------------------------------------------------------


@dataclass(eq=False, slots=True)
class TypeRef(Node):
    """Base of all written types."""


@dataclass(eq=False, slots=True)
class BaseType(TypeRef):
    """`bit`, `bit<w>`, `int`, `int<w>`, `varbit<w>`, `bool`, `error`, `match_kind`, `string`, `void`."""

    name: str
    width: Expression | None = None


@dataclass(eq=False, slots=True)
class NamedType(TypeRef):
    """A type's name, with type arguments where given; `dotted` for `.name` (top level)."""

    name: str
    arguments: list[TypeRef] = field(default_factory=list)
    dotted: bool = False


@dataclass(eq=False, slots=True)
class StackTypeRef(TypeRef):
    """`H[size]`."""

    element: TypeRef
    size: Expression


@dataclass(eq=False, slots=True)
class TupleTypeRef(TypeRef):
    """`tuple<…>`."""

    elements: list[TypeRef]


@dataclass(eq=False, slots=True)
class ListTypeRef(TypeRef):
    """`list<T>`."""

    element: TypeRef


@dataclass(eq=False, slots=True)
class DontCareType(TypeRef):
    """`_` as a type argument."""


# -- expressions ------------------------------------------------------------------------------


@dataclass(eq=False, slots=True)
class Expression(Node):
    """Base of all expressions."""


@dataclass(eq=False, slots=True)
class IntLiteral(Expression):
    """`8w0xFF`: width 8, unsigned; width None is the arbitrary-precision `int`."""

    value: int
    width: int | None = None
    signed: bool = False
    text: str = ""


@dataclass(eq=False, slots=True)
class BoolLiteral(Expression):
    """`true` or `false`."""

    value: bool


@dataclass(eq=False, slots=True)
class StringLiteral(Expression):
    """A string, escapes resolved."""

    value: str


@dataclass(eq=False, slots=True)
class Name(Expression):
    """A non-type name; `dotted` for `.name` (top level). `this` is a Name too."""

    name: str
    dotted: bool = False


@dataclass(eq=False, slots=True)
class TypeExpression(Expression):
    """A type where an expression stands: `T.member`, `T(…)` (constructor), `error.X`."""

    type: TypeRef


@dataclass(eq=False, slots=True)
class Member(Expression):
    """`base.name`."""

    base: Expression
    name: str
    name_span: Span


@dataclass(eq=False, slots=True)
class Index(Expression):
    """`base[index]`."""

    base: Expression
    index: Expression


@dataclass(eq=False, slots=True)
class Slice(Expression):
    """`base[high:low]`."""

    base: Expression
    high: Expression
    low: Expression


@dataclass(eq=False, slots=True)
class PartSelect(Expression):
    """`base[low +: width]`."""

    base: Expression
    low: Expression
    width: Expression


@dataclass(eq=False, slots=True)
class Argument(Node):
    """`value`, `name = value`; the value DontCare is `_`."""

    name: str | None
    value: Expression


@dataclass(eq=False, slots=True)
class Call(Expression):
    """`callee<types>(arguments)`: function, method, action, constructor (callee TypeExpression)."""

    callee: Expression
    type_arguments: list[TypeRef]
    arguments: list[Argument]


@dataclass(eq=False, slots=True)
class Unary(Expression):
    """`!` `~` `-` `+`."""

    op: str
    operand: Expression


@dataclass(eq=False, slots=True)
class Binary(Expression):
    """`* / % + - |+| |-| << >> <= >= < > != == & ^ | ++ && ||`."""

    op: str
    left: Expression
    right: Expression


@dataclass(eq=False, slots=True)
class Ternary(Expression):
    """`condition ? then : other`."""

    condition: Expression
    then: Expression
    other: Expression


@dataclass(eq=False, slots=True)
class Cast(Expression):
    """`(type) operand`."""

    type: TypeRef
    operand: Expression


@dataclass(eq=False, slots=True)
class ListExpression(Expression):
    """`{a, b, …}`; `rest` where it ends in `...`."""

    elements: list[Expression]
    rest: bool = False


@dataclass(eq=False, slots=True)
class StructExpression(Expression):
    """`{name = value, …}`; `rest` where it ends in `...`."""

    fields: list[NamedValue]
    rest: bool = False


@dataclass(eq=False, slots=True)
class InvalidHeader(Expression):
    """`{#}`."""


@dataclass(eq=False, slots=True)
class DontCare(Expression):
    """`_` as an argument or in a key set."""


@dataclass(eq=False, slots=True)
class DefaultKeyset(Expression):
    """`default` in a key set."""


@dataclass(eq=False, slots=True)
class Rest(Expression):
    """`...` as a value."""


@dataclass(eq=False, slots=True)
class Mask(Expression):
    """`value &&& mask`."""

    value: Expression
    mask: Expression


@dataclass(eq=False, slots=True)
class Range(Expression):
    """`low .. high`."""

    low: Expression
    high: Expression


@dataclass(eq=False, slots=True)
class TupleKeyset(Expression):
    """`(a, b, …)` in a key set."""

    elements: list[Expression]


# -- statements -------------------------------------------------------------------------------


@dataclass(eq=False, slots=True)
class Statement(Node):
    """Base of all statements; declarations stand in statement lists too."""


@dataclass(eq=False, slots=True)
class Assign(Statement):
    """`target op value`, op `=` or a compound assignment such as `+=` or `|+|=`."""

    op: str
    target: Expression
    value: Expression


@dataclass(eq=False, slots=True)
class CallStatement(Statement):
    """A call for its effect; `T.apply(…)` on a type name is a Call of a Member of a TypeExpression."""

    call: Call


@dataclass(eq=False, slots=True)
class Block(Statement):
    """`{ … }`."""

    annotations: list[Annotation]
    statements: list[Statement]


@dataclass(eq=False, slots=True)
class If(Statement):
    """`if (condition) then else other`."""

    condition: Expression
    then: Statement
    other: Statement | None


@dataclass(eq=False, slots=True)
class SwitchCase(Node):
    """`label:` or `label: { … }`; body None falls through to the next case."""

    label: Expression
    body: Block | None


@dataclass(eq=False, slots=True)
class Switch(Statement):
    """`switch (subject) { … }`."""

    subject: Expression
    cases: list[SwitchCase]


@dataclass(eq=False, slots=True)
class For(Statement):
    """`for (init; condition; update) body`."""

    annotations: list[Annotation]
    init: list[Statement]
    condition: Expression
    update: list[Statement]
    body: Statement


@dataclass(eq=False, slots=True)
class ForIn(Statement):
    """`for (type name in collection) body`; type None where an existing variable is named."""

    annotations: list[Annotation]
    type: TypeRef | None
    name: str
    collection: Expression
    body: Statement


@dataclass(eq=False, slots=True)
class Return(Statement):
    """`return;` or `return value;`."""

    value: Expression | None


@dataclass(eq=False, slots=True)
class Exit(Statement):
    """`exit;`."""


@dataclass(eq=False, slots=True)
class Break(Statement):
    """`break;`."""


@dataclass(eq=False, slots=True)
class Continue(Statement):
    """`continue;`."""


@dataclass(eq=False, slots=True)
class Empty(Statement):
    """`;`."""


# -- declarations -----------------------------------------------------------------------------


@dataclass(eq=False, slots=True)
class Declaration(Statement):
    """Base of all declarations. `name_span` is the span of the declared name alone."""

    annotations: list[Annotation]
    name: str
    name_span: Span


@dataclass(eq=False, slots=True)
class TypeParameter(Node):
    """`T` of `<T, U>`."""

    name: str


@dataclass(eq=False, slots=True)
class Parameter(Declaration):
    """`direction type name = default`; direction "" where none is written."""

    direction: str
    type: TypeRef
    default: Expression | None = None


@dataclass(eq=False, slots=True)
class Constant(Declaration):
    """`const type name = value;`."""

    type: TypeRef
    value: Expression


@dataclass(eq=False, slots=True)
class Variable(Declaration):
    """`type name = initialiser;`."""

    type: TypeRef
    initializer: Expression | None


@dataclass(eq=False, slots=True)
class Instantiation(Declaration):
    """`type(arguments) name = { members };`."""

    type: TypeRef
    arguments: list[Argument]
    members: list[Declaration] | None = None


@dataclass(eq=False, slots=True)
class Field(Declaration):
    """A field of a header, struct or union."""

    type: TypeRef


@dataclass(eq=False, slots=True)
class Header(Declaration):
    """`header Name<T> { … }`."""

    type_parameters: list[TypeParameter]
    fields: list[Field]


@dataclass(eq=False, slots=True)
class HeaderUnion(Declaration):
    """`header_union Name<T> { … }`."""

    type_parameters: list[TypeParameter]
    fields: list[Field]


@dataclass(eq=False, slots=True)
class Struct(Declaration):
    """`struct Name<T> { … }`."""

    type_parameters: list[TypeParameter]
    fields: list[Field]


@dataclass(eq=False, slots=True)
class EnumMember(Declaration):
    """A member, with its value in a serialisable enum."""

    value: Expression | None


@dataclass(eq=False, slots=True)
class EnumDeclaration(Declaration):
    """`enum Name { … }`, or `enum type Name { A = 1 }` (serialisable)."""

    type: TypeRef | None
    members: list[EnumMember]


@dataclass(eq=False, slots=True)
class ErrorDeclaration(Declaration):
    """`error { … }`; its name is "error"."""

    members: list[EnumMember]


@dataclass(eq=False, slots=True)
class MatchKindDeclaration(Declaration):
    """`match_kind { … }`; its name is "match_kind"."""

    members: list[EnumMember]


@dataclass(eq=False, slots=True)
class Typedef(Declaration):
    """`typedef type name;`."""

    type: TypeRef


@dataclass(eq=False, slots=True)
class NewType(Declaration):
    """`type type name;`."""

    type: TypeRef


@dataclass(eq=False, slots=True)
class Function(Declaration):
    """A function definition; also an extern function or method (body None)."""

    type_parameters: list[TypeParameter]
    return_type: TypeRef | None
    """None for the constructor of an extern."""
    parameters: list[Parameter]
    body: Block | None
    abstract: bool = False


@dataclass(eq=False, slots=True)
class ExternObject(Declaration):
    """`extern Name<T> { constructors and methods }`; constructors bear the extern's name."""

    type_parameters: list[TypeParameter]
    methods: list[Function]


@dataclass(eq=False, slots=True)
class Action(Declaration):
    """`action name(parameters) body`."""

    parameters: list[Parameter]
    body: Block


@dataclass(eq=False, slots=True)
class ParserDeclaration(Declaration):
    """A parser type (no states) or a parser (`states` not None)."""

    type_parameters: list[TypeParameter]
    parameters: list[Parameter]
    constructor_parameters: list[Parameter] = field(default_factory=list)
    locals: list[Declaration] = field(default_factory=list)
    states: list[State] | None = None


@dataclass(eq=False, slots=True)
class State(Declaration):
    """`state name { statements transition }`; transition None means reject (with a warning)."""

    statements: list[Statement]
    transition: Expression | None
    """A Name (`transition next;`) or a Select."""


@dataclass(eq=False, slots=True)
class SelectCase(Node):
    """`keyset: state;`."""

    keyset: Expression
    state: str
    state_span: Span


@dataclass(eq=False, slots=True)
class Select(Expression):
    """`select(subjects) { cases }`."""

    subjects: list[Expression]
    cases: list[SelectCase]


@dataclass(eq=False, slots=True)
class ControlDeclaration(Declaration):
    """A control type (`body` None) or a control."""

    type_parameters: list[TypeParameter]
    parameters: list[Parameter]
    constructor_parameters: list[Parameter] = field(default_factory=list)
    locals: list[Declaration] = field(default_factory=list)
    body: Block | None = None


@dataclass(eq=False, slots=True)
class PackageDeclaration(Declaration):
    """`package Name<T>(parameters);`."""

    type_parameters: list[TypeParameter]
    parameters: list[Parameter]


@dataclass(eq=False, slots=True)
class ValueSet(Declaration):
    """`value_set<type>(size) name;`."""

    type: TypeRef
    size: Expression


@dataclass(eq=False, slots=True)
class KeyElement(Node):
    """`expression : match_kind annotations;`."""

    expression: Expression
    match_kind: str
    annotations: list[Annotation]


@dataclass(eq=False, slots=True)
class ActionReference(Node):
    """`annotations name(arguments)` in a table's action list, a default_action or an entry."""

    annotations: list[Annotation]
    name: Name
    arguments: list[Argument] | None


@dataclass(eq=False, slots=True)
class TableEntry(Node):
    """`const priority=p: keyset : action;`."""

    annotations: list[Annotation]
    const: bool
    priority: Expression | None
    keyset: Expression
    action: ActionReference


@dataclass(eq=False, slots=True)
class TableProperty(Node):
    """`annotations const name = value;` of a table, other than key, actions and entries."""

    annotations: list[Annotation]
    const: bool
    name: str
    value: Expression


@dataclass(eq=False, slots=True)
class Table(Declaration):
    """A table; properties hold default_action (value a Call or a Name), size, implementation, …"""

    keys: list[KeyElement]
    actions: list[ActionReference]
    entries: list[TableEntry] | None
    entries_const: bool
    properties: list[TableProperty]
    has_key_property: bool = False
    has_actions_property: bool = False


@dataclass(eq=False, slots=True)
class Program(Node):
    """All top-level declarations, includes spliced in."""

    declarations: list[Declaration]
