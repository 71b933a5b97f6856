"""Written types to semantic types (spec 7)."""

from __future__ import annotations

from p4cats.compiler.diagnostics import Reporter
from p4cats.compiler.parse import ast
from p4cats.compiler.source import Span
from p4cats.compiler.types import constant, tree
from p4cats.compiler.types.convert import Conversions
from p4cats.compiler.types.model import (
    BOOL,
    DONT_CARE,
    ERROR,
    INT,
    MATCH_KIND,
    STRING,
    UNKNOWN,
    VOID,
    Bits,
    BlockDecl,
    Bool,
    Composite,
    Error,
    ExternDecl,
    Generic,
    List,
    New,
    SerEnum,
    Stack,
    Tuple,
    Type,
    TypeVar,
    Unknown,
    Varbit,
    is_header,
    is_union,
    is_unknown,
    underlying,
)

_SIMPLE: dict[str, Type] = {
    "bool": BOOL,
    "error": ERROR,
    "match_kind": MATCH_KIND,
    "string": STRING,
    "void": VOID,
}


MAX_FIELDS = 70_000
"""Of a type, with those of nested types: thirty structs of two fields each can already mean 2^30."""


class Types(Conversions):
    """Resolution of type references."""

    def __init__(self, reporter: Reporter) -> None:
        super().__init__(reporter)
        self._field_counts: dict[Composite, int] = {}
        self._too_big = False

    def field_count(self, type_: Type) -> int:
        """Scalars in a type."""
        match type_:
            case Composite(fields=fields):
                found = self._field_counts.get(type_)
                if found is None:
                    found = self._field_counts[type_] = sum(self.field_count(f.type) for f in fields.values())
                return found
            case Stack(element=element, size=size):
                return size * self.field_count(element)
            case Tuple(elements=elements):
                return sum(self.field_count(t) for t in elements)
            case _:
                return 1

    def of_bearable_size(self, type_: Type, span: Span) -> Type:
        """The type, or UNKNOWN after a report if it has too many fields."""
        return type_ if self.field_count(type_) <= MAX_FIELDS else self.too_big(span)

    def too_big(self, span: Span) -> Type:
        """Report a type with too many fields, the first of them: the others are made of it."""
        if self._too_big:
            return UNKNOWN
        self._too_big = True
        self.error(span, f"this type has more than {MAX_FIELDS} fields, those inside its parts counted")
        return UNKNOWN

    def type_of(self, ref: ast.TypeRef) -> Type:
        """The type that is written here; UNKNOWN after a report."""
        match ref:
            case ast.BaseType():
                return self._base_type(ref)
            case ast.NamedType():
                return self._named_type(ref)
            case ast.StackTypeRef():
                return self._stack_type(ref)
            case ast.TupleTypeRef():
                return self.of_bearable_size(Tuple(tuple(self.value_type(t) for t in ref.elements)), ref.span)
            case ast.ListTypeRef():
                return List(self.value_type(ref.element))
            case ast.DontCareType():
                return DONT_CARE
            case _:
                raise TypeError(f"no such type reference: {type(ref).__name__}")

    def value_type(self, ref: ast.TypeRef) -> Type:
        """A type that values can have: no extern, block, void or missing argument."""
        found = self.type_of(ref)
        if found == DONT_CARE:
            self.error(ref.span, "'_' is only allowed as a type argument")
            return UNKNOWN
        if found in {VOID, MATCH_KIND}:
            self.error(ref.span, f"no value has type '{found}'")
            return UNKNOWN
        if isinstance(ref, ast.NamedType) and not ref.arguments:
            symbol = self.scope.find(ref.name)
            if isinstance(symbol, tree.TypeName) and symbol.params:
                self.error(ref.span, f"'{ref.name}' needs type arguments: {ref.name}<…>")
                return UNKNOWN
        return found

    def _base_type(self, ref: ast.BaseType) -> Type:
        if ref.name in _SIMPLE:
            return _SIMPLE[ref.name]
        if ref.width is None:
            return INT if ref.name == "int" else Bits(1)
        width = self.number(self.expr(ref.width), "a width")
        if width is None:
            return UNKNOWN
        if width < 0 or (ref.name == "int" and width < 1):
            self.error(ref.width.span, f"a width of {width} is not possible for '{ref.name}'")
            return UNKNOWN
        if width > constant.MAX_WIDTH:
            self.error(ref.width.span, f"a width of {width} bits is not supported")
            return UNKNOWN
        return Varbit(width) if ref.name == "varbit" else Bits(width, ref.name == "int")

    def _named_type(self, ref: ast.NamedType) -> Type:
        symbol = self.lookup(ref.name, ref.dotted, ref.span, "type")
        if symbol is None:
            for argument in ref.arguments:
                self.type_of(argument)
            return UNKNOWN
        if not isinstance(symbol, tree.TypeName):
            self.error(ref.span, f"'{ref.name}' is not a type")
            return UNKNOWN
        if not ref.arguments:
            return symbol.type
        arguments = tuple(self.type_of(a) for a in ref.arguments)
        if not symbol.params:
            self.error(ref.span, f"'{ref.name}' takes no type arguments")
            return UNKNOWN
        if len(arguments) != len(symbol.params):
            self.error(
                ref.span, f"'{ref.name}' takes {len(symbol.params)} type arguments, not {len(arguments)}"
            )
            return UNKNOWN
        if any(is_unknown(a) for a in arguments):
            return UNKNOWN
        match symbol.generic:
            case Generic() | ExternDecl() | BlockDecl() as generic:
                return generic.of(arguments)
            case _:
                return UNKNOWN

    def _stack_type(self, ref: ast.StackTypeRef) -> Type:
        element = self.type_of(ref.element)
        size = self.number(self.expr(ref.size), "the size of a header stack")
        if size is None or isinstance(element, Unknown):
            return UNKNOWN
        if not (is_header(element) or is_union(element) or isinstance(element, TypeVar)):
            self.error(ref.element.span, f"a stack holds headers or header unions, not '{element}'")
            return UNKNOWN
        if not 0 < size <= 1 << 16:
            self.error(ref.size.span, f"a header stack cannot have {size} elements")
            return UNKNOWN
        return self.of_bearable_size(Stack(element, size), ref.span)

    def check_header_field(self, type_: Type, span: Span) -> bool:
        """bit, int, varbit, bool, serialisable enums, newtypes, structs of these (7.2.2)."""
        match underlying(type_):
            case Bits() | Varbit() | Bool() | SerEnum() | Unknown() | TypeVar():
                return True
            case Composite(kind="struct") as inner:
                return all(
                    self.check_header_field(f.type, span) and not isinstance(underlying(f.type), Varbit)
                    for f in inner.fields.values()
                )
            case _:
                return False

    def check_newtype(self, type_: Type, span: Span) -> bool:
        """`type` may rename bit, int, bool, string, serialisable enums and other such names (7.3)."""
        if isinstance(type_, Bits | Bool | New | SerEnum | Unknown | Error) or type_ == STRING:
            return True
        self.error(
            span, f"'type' cannot be based on '{type_}'", "use typedef for another name of the same type"
        )
        return False
