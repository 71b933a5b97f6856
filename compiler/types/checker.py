"""Top-level declarations (spec 7, 10, 11), and the entry of the phase: syntax tree in, typed tree out."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import ClassVar

from p4cats.compiler.diagnostics import Reporter
from p4cats.compiler.parse import ast
from p4cats.compiler.source import BUILTIN
from p4cats.compiler.types import constant, tree
from p4cats.compiler.types.base import Place
from p4cats.compiler.types.blocks import Blocks
from p4cats.compiler.types.model import (
    ERROR,
    VOID,
    Bits,
    Block,
    BlockDecl,
    Composite,
    Enum,
    Extern,
    ExternDecl,
    Generic,
    List,
    Member,
    New,
    SerEnum,
    Signature,
    Type,
    TypeVar,
    Unknown,
    Varbit,
    Void,
    contains_int,
    is_header,
    is_unknown,
    representation,
)
from p4cats.compiler.types.resolve import MAX_FIELDS

_KINDS: dict[type[ast.Declaration], str] = {
    ast.Header: "header",
    ast.HeaderUnion: "header_union",
    ast.Struct: "struct",
}


def check(program: ast.Program, reporter: Reporter) -> tree.Program:
    """Check a program; errors go to the reporter."""
    return Checker(reporter).program(program)


class Checker(Blocks):
    """Checks declarations in order."""

    def __init__(self, reporter: Reporter) -> None:
        super().__init__(reporter)
        self.result = tree.Program(BUILTIN, {}, [], [], [], [], self.atomic)

    def program(self, program: ast.Program) -> tree.Program:
        """All top-level declarations, each after those before it."""
        own = [d.span for d in program.declarations if not d.span.source.system]
        self.result.span = own[-1] if own else program.span
        self.scope.names["error"] = tree.TypeName("error", ERROR, program.span)
        for node in program.declarations:
            handler = self._declarations.get(type(node))
            if handler is None:
                self.error(node.span, "this declaration cannot stand at top level")
            else:
                handler(self, node)
                self.warn_unused()
        self.result.errors = list(self.errors)
        return self.result

    def _type_name(self, node: ast.Declaration, type_: Type, generic: object = None) -> None:
        params = getattr(generic, "params", None) or getattr(generic, "type_params", None) or []
        if isinstance(generic, BlockDecl):
            params = generic.type_params
        self.define(
            node.name, tree.TypeName(node.name, type_, node.name_span, params, generic), node.name_span
        )
        if not params:
            self.result.types.append(type_)

    # -- composites ---------------------------------------------------------------------------

    def _declare_composite(self, node: ast.Header | ast.HeaderUnion | ast.Struct) -> None:
        kind = _KINDS[type(node)]
        with self.nested():
            params = self.bring_in_type_params(node.type_parameters)
            scope = self.scope
            made = self._fields(node, kind)
        if not params:
            self._type_name(node, made)
            return
        generic = Generic(node.name, params, partial(self._specialise, node, kind, params, scope))
        generic.memo[tuple(params)] = made
        made.generic, made.arguments = generic, tuple(params)
        self._type_name(node, made, generic)

    def _fields(self, node: ast.Header | ast.HeaderUnion | ast.Struct, kind: str) -> Composite:
        composite = Composite(kind, node.name, {}, node.name_span, node.annotations)
        total = 0
        for field in node.fields:
            type_ = self.value_type(field.type)
            if field.name in composite.fields:
                self.error(field.name_span, f"field '{field.name}' is declared twice")
                continue
            if not is_unknown(type_):
                self._check_field(kind, field, type_)
                total += self.field_count(type_)
                if total > MAX_FIELDS:
                    type_ = self.too_big(field.span)
            if isinstance(type_, Varbit) and any(
                isinstance(f.type, Varbit) for f in composite.fields.values()
            ):
                self.error(field.type.span, f"{kind} '{node.name}' has more than one varbit field",
                           "v1model extracts one at most")  # fmt: skip
            self._evaluate_field_lists(field.annotations)
            composite.fields[field.name] = Member(field.name, type_, field.name_span, field.annotations)
        return composite

    def _evaluate_field_lists(self, annotations: list[ast.Annotation]) -> None:
        """`@field_list(a, b)` of v1model takes constants: the annotation's text becomes their numbers."""
        for annotation in annotations:
            if annotation.name == "field_list" and annotation.values:
                values = [self.number(self.value(v), "the number of a field list") for v in annotation.values]
                annotation.body = ", ".join(str(v) for v in values if v is not None)

    def _check_field(self, kind: str, field: ast.Field, type_: Type) -> None:
        if kind == "header" and not self.check_header_field(type_, field.span):
            self.error(field.type.span, f"a header cannot have a field of type '{type_}'")
        elif kind == "header_union" and not is_header(type_) and not isinstance(type_, TypeVar):
            self.error(field.type.span, f"a header union holds headers, not '{type_}'")
        elif isinstance(type_, Extern | Block | List):
            self.error(field.type.span, f"a {kind} cannot have a field of type '{type_}'")

    def _specialise(
        self,
        node: ast.Header | ast.HeaderUnion | ast.Struct,
        kind: str,
        params: list[TypeVar],
        scope: object,
        arguments: tuple[Type, ...],
    ) -> Composite:
        """A generic type with arguments: its fields are resolved again with the parameters bound."""
        old = self.scope
        self.scope = self.top
        with self.nested():
            for parameter, argument in zip(params, arguments, strict=True):
                self.scope.names[parameter.name] = tree.TypeName(parameter.name, argument, node.name_span)
            generic = self.top.names[node.name]
            assert isinstance(generic, tree.TypeName)
            assert isinstance(generic.generic, Generic)
            made = self._fields(node, kind)
            made.generic, made.arguments = generic.generic, arguments
            generic.generic.memo[arguments] = made
        self.scope = old
        return made

    # -- enums, errors, match kinds -----------------------------------------------------------

    def _declare_enum(self, node: ast.EnumDeclaration) -> None:
        names: dict[str, ast.EnumMember] = {}
        for member in node.members:
            if member.name in names:
                self.error(member.name_span, f"member '{member.name}' is declared twice")
            names[member.name] = member
        if node.type is None:
            self._type_name(node, Enum(node.name, list(names)))
            return
        base = representation(self.type_of(node.type))
        if not isinstance(base, Bits):
            if not isinstance(base, Unknown):
                self.error(node.type.span, f"an enum can be based on bit<> and int<>, not '{base}'")
            base = Bits(32)
        type_ = SerEnum(node.name, base, {}, node.annotations)
        with self.nested():
            for member in names.values():
                value = self._enum_value(member, base)
                type_.values[member.name] = value
                value_expr = tree.Constant(member.name_span, base, value)
                symbol = tree.Const(member.name, base, member.name_span, value_expr)
                self.scope.names.setdefault(member.name, symbol)
        self._type_name(node, type_)

    def _enum_value(self, member: ast.EnumMember, base: Bits) -> int:
        if member.value is None:
            self.error(member.span, f"member '{member.name}' has no value")
            return 0
        value = self.number(self.value(member.value), "the value of an enum member")
        if value is not None and not constant.fits(value, base):
            self.error(member.value.span, f"{value} does not fit '{base}'")
        return 0 if value is None else constant.wrap(value, base)

    def _declare_error(self, node: ast.ErrorDeclaration) -> None:
        for member in node.members:
            if member.name in self.errors:
                self.error(member.name_span, f"error '{member.name}' is already declared")
            else:
                self.errors[member.name] = len(self.errors)

    def _declare_match_kind(self, node: ast.MatchKindDeclaration) -> None:
        for member in node.members:
            if member.name in self.match_kinds:
                self.error(member.name_span, f"match kind '{member.name}' is already declared")
            self.match_kinds.add(member.name)

    # -- names for types ----------------------------------------------------------------------

    def _declare_typedef(self, node: ast.Typedef) -> None:
        type_ = self.type_of(node.type)
        if isinstance(type_, Void):
            self.error(node.type.span, f"no value has type '{type_}'")
        self.define(node.name, tree.TypeName(node.name, type_, node.name_span), node.name_span)

    def _declare_new_type(self, node: ast.NewType) -> None:
        type_ = self.type_of(node.type)
        if not self.check_newtype(type_, node.type.span):
            type_ = tree.wrong(node.span).type
        self._type_name(node, type_ if is_unknown(type_) else New(node.name, type_, node.annotations))

    # -- functions and externs ----------------------------------------------------------------

    def _declare_function(self, node: ast.Function) -> None:
        extern = node.body is None
        with self.nested():
            type_params = self.bring_in_type_params(node.type_parameters)
            params = self.parameters(node.parameters)
            result = VOID if node.return_type is None else self.type_of(node.return_type)
            signature = Signature(node.name, type_params, params, result, node.name_span)
            function = tree.Function(signature, node.name_span, [], None, node.annotations, extern)
            self._add_overload(node, function)
            if node.body is None:
                return
            if contains_int(result):
                self.error(node.span, "a function cannot return 'int', which exists at compile time only")
            place = Place("function", result=result)
            with self.nested(place):
                function.params = self.bring_in(params)
                body: list[tree.Stmt] = []
                with self.nested():
                    self.statements(node.body.statements, body)
            if not isinstance(result, Void | Unknown) and not _always_returns(body):
                self.error(node.name_span, f"function '{node.name}' does not return a value on every path")
            function.body = body
            self.flow.body(body)

    def _add_overload(self, node: ast.Function, function: tree.Function) -> None:
        old = self.top.names.get(node.name)
        if old is None:
            self.top.names[node.name] = tree.Overloads(node.name, [function], node.name_span)
            return
        if not isinstance(old, tree.Overloads):
            self.error(node.name_span, f"'{node.name}' is already declared", f"first declared at {old.span}")
            return
        names = [p.name for p in function.signature.params]
        for other in old.functions:
            if [p.name for p in other.signature.params] == names:
                message = f"function '{node.name}' with these parameter names is already declared"
                self.error(node.name_span, message, f"first declared at {other.span}")
                return
        old.functions.append(function)

    def _declare_extern(self, node: ast.ExternObject) -> None:
        with self.nested():
            type_params = self.bring_in_type_params(node.type_parameters)
            declaration = ExternDecl(node.name, type_params, node.name_span)
            own = declaration.of(tuple(type_params))
            name = tree.TypeName(node.name, own, node.name_span, type_params, declaration)
            self.scope.names[node.name] = name
            for method in node.methods:
                with self.nested():
                    own_params = self.bring_in_type_params(method.type_parameters)
                    params = self.parameters(method.parameters)
                    result = VOID if method.return_type is None else self.type_of(method.return_type)
                    signature = Signature(method.name, own_params, params, result, method.name_span)
                if method.return_type is None:
                    declaration.constructors.append(signature)
                else:
                    declaration.methods.setdefault(method.name, []).append(signature)
                if method.abstract:
                    declaration.abstract.add(method.name)
        self._type_name(node, own, declaration)

    # -- blocks and instances -----------------------------------------------------------------

    def _declare_control(self, node: ast.ControlDeclaration) -> None:
        declaration, block = self.control(node)
        self._add_block(node, declaration, block)

    def _declare_parser(self, node: ast.ParserDeclaration) -> None:
        declaration, block = self.parser(node)
        self._add_block(node, declaration, block)

    def _declare_package(self, node: ast.PackageDeclaration) -> None:
        with self.nested():
            type_params = self.bring_in_type_params(node.type_parameters)
            params = self.parameters(node.parameters, constructor=True)
        declaration = BlockDecl(
            "package", node.name, type_params, [], params, node.name_span, True, node.annotations
        )
        self._add_block(node, declaration, tree.Package(declaration))

    def _add_block(
        self,
        node: ast.Declaration,
        declaration: BlockDecl,
        block: tree.Control | tree.Parser | tree.Package | None,
    ) -> None:
        if block is not None:
            self.result.blocks[declaration] = block
        own = declaration.of(tuple(declaration.type_params))
        name = tree.TypeName(node.name, own, node.name_span, declaration.type_params, declaration)
        self.define(node.name, name, node.name_span)

    def _declare_instantiation(self, node: ast.Instantiation) -> None:
        instance = self.instance(node)
        if instance is None:
            return
        if isinstance(instance.type, Block) and instance.type.kind != "package":
            self.error(node.span, f"a {instance.type.kind} cannot be instantiated at top level")
        self.result.instances.append(instance)
        if node.name == "main":
            self.result.main = instance

    def _declare_action(self, node: ast.Action) -> None:
        self.result.actions.append(self.action(node))

    def _declare_value_set(self, node: ast.ValueSet) -> None:
        self.error(node.span, "a value set stands in a parser")

    _declarations: ClassVar[dict[type[ast.Statement], Callable[..., None]]] = {
        ast.Header: _declare_composite,
        ast.HeaderUnion: _declare_composite,
        ast.Struct: _declare_composite,
        ast.EnumDeclaration: _declare_enum,
        ast.ErrorDeclaration: _declare_error,
        ast.MatchKindDeclaration: _declare_match_kind,
        ast.Typedef: _declare_typedef,
        ast.NewType: _declare_new_type,
        ast.Function: _declare_function,
        ast.ExternObject: _declare_extern,
        ast.ControlDeclaration: _declare_control,
        ast.ParserDeclaration: _declare_parser,
        ast.PackageDeclaration: _declare_package,
        ast.Instantiation: _declare_instantiation,
        ast.Action: _declare_action,
        ast.Constant: lambda self, node: self.constant(node),
        ast.ValueSet: _declare_value_set,
        ast.Variable: lambda self, node: self.error(
            node.span, "variables cannot be declared at top level", "make it const"
        ),
        ast.Empty: lambda self, node: None,
    }


def _always_returns(body: list[tree.Stmt]) -> bool:
    """Every path ends in return."""
    for statement in body:
        match statement:
            case tree.Return() | tree.Exit():
                return True
            case tree.If() if _always_returns(statement.then) and _always_returns(statement.other):
                return True
            case tree.Switch() if statement.cases and all(_always_returns(c.body) for c in statement.cases):
                if any(None in c.labels for c in statement.cases):
                    return True
    return False


__all__ = ["Checker", "check"]
