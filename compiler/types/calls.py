"""Calls: overload choice, matching of arguments, inference of type arguments (spec 6.8, 8.18 to 8.20)."""

from __future__ import annotations

from collections.abc import Sequence

from p4cats.compiler.parse import ast
from p4cats.compiler.source import Span
from p4cats.compiler.types import tree
from p4cats.compiler.types.annotations import text_of
from p4cats.compiler.types.convert import Binding, bind, bind_block, known_later, param_named
from p4cats.compiler.types.expressions import Expressions
from p4cats.compiler.types.model import (
    BOOL,
    DONT_CARE,
    INT,
    VOID,
    Bits,
    Block,
    Composite,
    Extern,
    Int,
    Opaque,
    Param,
    Signature,
    Stack,
    TableType,
    Tuple,
    Type,
    TypeVar,
    Unknown,
    Varbit,
    Void,
    applied,
    contains_int,
    is_header,
    is_union,
    is_unknown,
    representation,
    substitute,
)
from p4cats.compiler.types.scope import suggest

_SIZES = {"minSizeInBits", "minSizeInBytes", "maxSizeInBits", "maxSizeInBytes"}


class Calls(Expressions):
    """Checks calls of everything callable."""

    def call(self, node: ast.Call) -> tree.Expr:
        """A call as an expression; its type is the result's."""
        callee = node.callee
        if isinstance(callee, ast.Member):
            return self._method(node, callee)
        target = self.expr(callee)
        if isinstance(target.type, Unknown):
            self._check_arguments_alone(node)
            return target
        if isinstance(target, tree.Named):
            match target.symbol:
                case tree.Overloads() as overloads:
                    return self._function(node, overloads)
                case tree.Action() as action:
                    return self._action(node, action)
                case tree.TypeName() as name:
                    return self.construct(node, name)
                case tree.Table():
                    return self.wrong(node.span, f"a table is applied by {target.symbol.name}.apply()")
        return self.wrong(node.span, "this cannot be called")

    def _check_arguments_alone(self, node: ast.Call) -> None:
        for argument in node.arguments:
            self.expr(argument.value)

    # -- functions and actions ----------------------------------------------------------------

    def _function(self, node: ast.Call, overloads: tree.Overloads) -> tree.Expr:
        signatures = [f.signature for f in overloads.functions]
        chosen = self.choose(signatures, node.arguments, f"function '{overloads.name}'", node.span)
        if chosen is None:
            self._check_arguments_alone(node)
            return tree.wrong(node.span)
        function = next(f for f in overloads.functions if f.signature is chosen)
        explicit = self._type_arguments(node, chosen)
        matched = self.match(chosen, node.arguments, explicit, {}, node.span)
        if matched is None:
            return tree.wrong(node.span)
        args, result, type_args = matched
        if not function.extern and function.body is None:
            return self.wrong(node.span, f"function '{function.name}' calls itself: P4 has no recursion")
        advice = text_of(function.annotations, "deprecated")
        if advice is not None:
            self.reporter.warning(node.span, f"'{function.name}' is deprecated", advice)
        if function.extern and not self._constants_given(args):
            return tree.wrong(node.span)
        if overloads.name == "static_assert":
            return self._static_assert(node, args)
        if overloads.name == "verify" and function.extern and self.place.kind != "parser":
            return self.wrong(node.span, "verify can only be called in parsers")
        return tree.FunctionCall(node.span, result, args, function, type_args)

    def _constants_given(self, args: list[tree.Arg]) -> bool:
        """Arguments of parameters without direction are known at compile time (6.8)."""
        for arg in args:
            if arg.value is None or arg.param.direction or isinstance(arg.param.type, Extern):
                continue
            if not known_later(arg.value):
                message = f"the argument for parameter '{arg.param.name}' must be known at compile time"
                self.error(arg.value.span, message)
                return False
        return True

    def _static_assert(self, node: ast.Call, args: list[tree.Arg]) -> tree.Expr:
        condition = args[0].value
        if isinstance(condition, tree.Constant):
            if not condition.value:
                text = args[1].value if len(args) > 1 else None
                detail = f": {text.value}" if isinstance(text, tree.Constant) else ""
                return self.wrong(node.span, f"static_assert failed{detail}")
        else:
            return self.wrong(node.span, "static_assert needs a compile-time constant")
        return tree.Constant(node.span, BOOL, 1)

    def _action(self, node: ast.Call, action: tree.Action) -> tree.Expr:
        if self.place.kind not in {"control", "action"}:
            return self.wrong(node.span, f"action '{action.name}' can only be called in controls and actions")
        matched = self.match(action.signature, node.arguments, [], {}, node.span)
        if matched is None:
            return tree.wrong(node.span)
        return tree.ActionCall(node.span, VOID, matched[0], action)

    # -- methods ------------------------------------------------------------------------------

    def _method(self, node: ast.Call, callee: ast.Member) -> tree.Expr:
        base = self.expr(callee.base)
        if isinstance(base, tree.Named) and isinstance(base.symbol, tree.TypeName):
            return self._type_method(node, callee, base.symbol.type)
        match base.type:
            case Unknown():
                self._check_arguments_alone(node)
                return tree.wrong(node.span)
            case TableType(part="table") if isinstance(base, tree.Named):
                return self._apply_table(node, callee, base)
            case Extern() as extern:
                return self._extern_method(node, callee, base, extern)
            case Block() as block:
                return self._apply_block(node, callee, base, block)
        if callee.name in _SIZES:
            return self._size_method(node, callee, base.type)
        if is_header(base.type) or is_union(base.type) or isinstance(base.type, Stack):
            return self._builtin(node, callee, base)
        if isinstance(base.type, TypeVar):
            return self.wrong(callee.name_span, f"nothing is known of '{base.type}', so it has no methods")
        return self.wrong(callee.name_span, f"'{base.type}' has no method '{callee.name}'")

    def _type_method(self, node: ast.Call, callee: ast.Member, type_: Type) -> tree.Expr:
        if callee.name in _SIZES:
            return self._size_method(node, callee, type_)
        if callee.name == "apply" and isinstance(type_, Block):
            if type_.kind == "package":
                return self.wrong(node.span, "a package cannot be applied")
            if not type_.declaration.concrete:
                return self.wrong(node.span, f"'{type_}' is only a type: it has no body to apply")
            if type_.constructor_parameters():
                return self.wrong(
                    node.span,
                    f"'{type_}' has constructor parameters",
                    f"declare an instance: {type_}(…) name;",
                )
            instance = self._anonymous_instance(type_, callee.base.span)
            reference = tree.InstanceRef(callee.base.span, type_, instance)
            return self._apply_block(node, callee, reference, type_)
        return self.wrong(callee.name_span, f"type '{type_}' has no method '{callee.name}'")

    def _anonymous_instance(self, type_: Block, span: Span) -> tree.Instance:
        names = self.place.instance_names
        names[type_.name] = names.get(type_.name, -1) + 1
        count = names[type_.name]
        name = type_.name if count == 0 else f"{type_.name}_{count}"
        instance = tree.Instance(span, name, type_, [], list(type_.declaration.annotations), used=True)
        self.place.new_locals.append(instance)
        return instance

    def _size_method(self, node: ast.Call, callee: ast.Member, type_: Type) -> tree.Expr:
        if node.arguments:
            return self.wrong(node.span, f"{callee.name} takes no arguments")
        size = _size_bits(type_, least=callee.name.startswith("min"))
        if size is None:
            return self.wrong(node.span, f"'{type_}' has no size in bits")
        return tree.Constant(node.span, INT, (size + 7) // 8 if callee.name.endswith("Bytes") else size)

    def _apply_table(self, node: ast.Call, callee: ast.Member, base: tree.Named) -> tree.Expr:
        assert isinstance(base.symbol, tree.Table)
        name = base.symbol.name
        if callee.name != "apply":
            return self.wrong(
                callee.name_span, f"table '{name}' has no method '{callee.name}'", "tables have .apply()"
            )
        if node.arguments:
            return self.wrong(node.span, "apply of a table takes no arguments")
        if self.place.kind != "control" or not self.place.apply:
            return self.wrong(
                node.span, f"table '{name}' can only be applied in the apply block of a control"
            )
        return tree.ApplyTable(node.span, TableType(name, "result"), [], base.symbol)

    def _apply_block(self, node: ast.Call, callee: ast.Member, base: tree.Expr, block: Block) -> tree.Expr:
        if callee.name != "apply" or block.kind == "package":
            return self.wrong(callee.name_span, f"{block.kind} '{block}' has no method '{callee.name}'")
        if self.place.kind != block.kind or not self.place.apply:
            return self.wrong(
                node.span,
                f"{block.kind} '{block}' can only be applied in "
                + ("the apply block of a control" if block.kind == "control" else "the states of a parser"),
            )
        signature = Signature(f"{block}.apply", [], block.parameters(), VOID, node.span)
        matched = self.match(signature, node.arguments, [], {}, node.span)
        if matched is None:
            return tree.wrong(node.span)
        return tree.ApplyBlock(node.span, VOID, matched[0], base)

    def _extern_method(
        self, node: ast.Call, callee: ast.Member, base: tree.Expr, extern: Extern
    ) -> tree.Expr:
        found = extern.declaration.methods.get(callee.name)
        if found is None:
            hint = suggest(callee.name, extern.declaration.methods)
            return self.wrong(callee.name_span, f"extern '{extern}' has no method '{callee.name}'", hint)
        what = f"method '{extern.name}.{callee.name}'"
        signature = self.choose(found, node.arguments, what, node.span)
        if signature is None:
            self._check_arguments_alone(node)
            return tree.wrong(node.span)
        binding: Binding = dict(zip(extern.declaration.type_params, extern.arguments, strict=False))
        explicit = self._type_arguments(node, signature)
        matched = self.match(signature, node.arguments, explicit, binding, node.span)
        if matched is None:
            return tree.wrong(node.span)
        args, result, type_args = matched
        if (
            extern.name == "packet_in"
            and callee.name in {"extract", "lookahead", "advance"}
            and self.place.kind not in {"parser", "function"}
        ):
            return self.wrong(node.span, f"{callee.name} can only be called in parsers")
        if extern.name == "packet_in" and callee.name == "extract" and not self._extractable(args, node):
            return tree.wrong(node.span)
        return tree.MethodCall(node.span, result, args, base, signature, type_args)

    def _extractable(self, args: list[tree.Arg], node: ast.Call) -> bool:
        type_ = args[0].value.type if args[0].value is not None else args[0].param.type
        if is_unknown(type_) or isinstance(type_, TypeVar | Opaque) or type_ == DONT_CARE:
            return True
        if not is_header(type_):
            self.error(node.arguments[0].span, f"extract fills headers, not '{type_}'")
            return False
        assert isinstance(type_, Composite)
        varbits = sum(isinstance(f.type, Varbit) for f in type_.fields.values())
        if len(args) == 1 and varbits:
            self.error(node.span, f"'{type_}' has a varbit field: its length is missing",
                       "extract(header, length in bits)")  # fmt: skip
            return False
        if len(args) == 2 and varbits != 1:
            self.error(node.span, f"'{type_}' has {varbits} varbit fields, exactly one is needed here")
            return False
        return True

    def _builtin(self, node: ast.Call, callee: ast.Member, base: tree.Expr) -> tree.Expr:
        name, type_ = callee.name, base.type
        stack = isinstance(type_, Stack)
        known = ["push_front", "pop_front"] if stack else ["isValid", "setValid", "setInvalid"]
        if is_union(type_):
            known = ["isValid"]
        if name not in known:
            hint = suggest(name, known) or "it has " + ", ".join(known)
            return self.wrong(callee.name_span, f"'{type_}' has no method '{name}'", hint)
        count = 0
        if stack:
            values = [self.number(self.expr(a.value), f"the argument of {name}") for a in node.arguments]
            if len(values) != 1:
                return self.wrong(node.span, f"{name} takes one argument")
            if values[0] is None:
                return tree.wrong(node.span)
            count = values[0]
            if count < 0:
                return self.wrong(node.span, f"{name} of a negative number {count}")
        elif node.arguments:
            return self.wrong(node.span, f"{name} takes no arguments")
        if name != "isValid" and not self.writable(base, name):
            return tree.wrong(node.span)
        return tree.BuiltinCall(node.span, BOOL if name == "isValid" else VOID, [], name, base, count)

    # -- instances ----------------------------------------------------------------------------

    def construct(self, node: ast.Call, name: tree.TypeName) -> tree.Expr:
        """`T(…)`: a nameless instance, as an argument of another instantiation."""
        type_ = name.type
        if isinstance(node.callee, ast.TypeExpression):
            made = self.instantiate(node.callee.type, type_, node.arguments, node.span, node.type_arguments)
            if made is None:
                return tree.wrong(node.span)
            return tree.Construct(node.span, made[0], made[1])
        return self.wrong(node.span, f"'{name.name}' cannot be called")

    def instantiate(
        self,
        ref: ast.TypeRef,
        type_: Type,
        arguments: list[ast.Argument],
        span: Span,
        type_arguments: Sequence[ast.TypeRef] = (),
    ) -> tuple[Type, list[tree.Arg]] | None:
        """Check constructor arguments; the type with inferred type arguments, and the matched arguments."""
        match type_:
            case Extern(declaration=declaration):
                signature = self.choose(
                    declaration.constructors, arguments, f"constructor of '{type_.name}'", span
                )
                if signature is None:
                    return None
                type_params = declaration.type_params
                signature = Signature(type_.name, type_params, signature.params, VOID, span)
            case Block(declaration=declaration):
                if not declaration.concrete:
                    self.error(span, f"'{type_}' is only a type: it has no body to instantiate")
                    return None
                type_params = declaration.type_params
                signature = Signature(type_.name, type_params, declaration.ctor_params, VOID, span)
            case Unknown():
                for argument in arguments:
                    self.expr(argument.value)
                return None
            case _:
                self.error(ref.span, f"'{type_}' cannot be instantiated",
                           "externs, parsers, controls and packages can be")  # fmt: skip
                return None
        explicit: list[Type] = [self.type_of(t) for t in type_arguments] or list(type_.arguments)
        if explicit == list(type_params):  # the name alone: arguments are to be inferred
            explicit = []
        matched = self.match(signature, arguments, explicit, {}, span, constructor=True)
        if matched is None:
            return None
        return declaration.of(tuple(matched[2])) if type_params else type_, matched[0]

    # -- matching -----------------------------------------------------------------------------

    def _type_arguments(self, node: ast.Call, signature: Signature) -> list[Type]:
        given = [self.type_of(t) for t in node.type_arguments]
        if given and len(given) != len(signature.type_params):
            self.error(
                node.span,
                f"'{signature.name}' takes {len(signature.type_params)} type arguments, not {len(given)}",
            )
            return []
        return given

    def choose(
        self, signatures: Sequence[Signature], arguments: list[ast.Argument], what: str, span: Span
    ) -> Signature | None:
        """The overload that takes this number and these names of arguments (6.7.2)."""
        fitting = [s for s in signatures if _accepts(s.params, arguments)]
        if len(fitting) > 1:
            exact = [s for s in fitting if len(s.params) == len(arguments)]
            fitting = exact or fitting
        if len(fitting) == 1:
            return fitting[0]
        if not fitting and len(signatures) == 1:
            self._explain(signatures[0].params, arguments, what, span)
        elif not fitting:
            self.error(span, f"no overload of {what} takes these {len(arguments)} arguments")
        else:
            self.error(span, f"the call of {what} is ambiguous", "name the arguments")
        return None

    def _explain(self, params: list[Param], arguments: list[ast.Argument], what: str, span: Span) -> None:
        """Say why the arguments do not fit the parameters."""
        for argument in arguments:
            if argument.name is not None and param_named(params, argument.name) is None:
                hint = suggest(argument.name, [p.name for p in params])
                self.error(argument.span, f"{what} has no parameter '{argument.name}'", hint)
                return
        named = {a.name for a in arguments if a.name is not None}
        required = [p for p in params if p.default is None and not p.optional]
        missing = [p.name for p in required if p.name not in named]
        if named and missing:
            self.error(span, f"no argument for parameter '{missing[0]}' of {what}")
            return
        if named and len(named) < len(arguments):
            self.error(span, f"arguments of {what} are named or positional, or given twice: not both")
            return
        wanted = str(len(params)) if len(required) == len(params) else f"{len(required)} to {len(params)}"
        self.error(
            span, f"{what} takes {wanted} argument{'s' if wanted != '1' else ''}, not {len(arguments)}"
        )

    def match(  # noqa: PLR0917
        self,
        signature: Signature,
        arguments: list[ast.Argument],
        explicit: list[Type],
        binding: Binding,
        span: Span,
        constructor: bool = False,
    ) -> tuple[list[tree.Arg], Type, list[Type]] | None:
        """Match arguments to parameters and infer type arguments; None after a report."""
        if not _accepts(signature.params, arguments):
            self._explain(signature.params, arguments, f"'{signature.name}'", span)
            for argument in arguments:
                self.expr(argument.value)
            return None
        binding = dict(binding)
        free = set(signature.type_params)
        for variable, type_ in zip(signature.type_params, explicit, strict=False):
            if type_ != DONT_CARE:
                binding[variable] = type_
                free.discard(variable)
        given = self._given(signature.params, arguments)
        values: list[tuple[Param, tree.Expr | None]] = []
        for param in signature.params:
            written = given.get(param.name)
            values.append((param, None if written is None else self._argument(written, constructor)))
        ok = all(v is None or not is_unknown(v.type) for _, v in values)
        if not ok:
            return None
        for firm in (True, False):  # what has a type of its own decides before what takes one
            for param, value in values:
                if value is not None and free and isinstance(value, tree.Make) is not firm:
                    self._infer(param, value, free, binding)
        args: list[tree.Arg] = []
        for param, value in values:
            arg = self._adapted(applied(param, binding), value, free, binding, constructor, span)
            if arg is None and isinstance(param.type, Block):
                return None  # blocks that disagree on a type have one cause: say it once
            args.extend([] if arg is None else [arg])
        if len(args) < len(values):
            return None
        type_args: list[Type] = []
        for variable in signature.type_params:
            bound = binding.get(variable)
            if bound is None:
                if _only_in_result(variable, signature):
                    hint = f"write {signature.name}<…>(…)"
                    self.error(
                        span, f"the type argument '{variable}' of '{signature.name}' is not determined", hint
                    )
                    return None
                bound = VOID
            elif contains_int(bound) and not constructor:
                self.error(span, f"'{signature.name}' gets a number without width for '{variable}'",
                           "give the constant a width, as in 8w1 or (bit<8>)1")  # fmt: skip
                return None
            type_args.append(bound)
        return args, substitute(signature.result, binding), type_args

    def _given(self, params: list[Param], arguments: list[ast.Argument]) -> dict[str, ast.Expression]:
        if any(a.name for a in arguments):
            return {a.name: a.value for a in arguments if a.name is not None}
        return {p.name: a.value for p, a in zip(params, arguments, strict=False)}

    def _argument(self, node: ast.Expression, constructor: bool) -> tree.Expr:
        if isinstance(node, ast.DontCare):
            return tree.Any(node.span, DONT_CARE)
        e = self.expr(node)
        match e:
            case tree.Named(symbol=tree.TypeName(name=name)):
                return self.wrong(e.span, f"type '{name}' is not a value")
            case tree.Named() | tree.ApplyTable(part="" | "action_run"):
                return self.wrong(e.span, "this is not a value")
            case _ if isinstance(e.type, Void):
                return self.wrong(e.span, "a call without result is not a value")
        if isinstance(e, tree.Construct) and not constructor:
            return self.wrong(
                e.span, "an instance can only be made by a declaration or as a constructor argument"
            )
        return e

    def _infer(self, param: Param, value: tree.Expr, free: set[TypeVar], binding: Binding) -> None:
        if isinstance(value, tree.Any | tree.Invalid):
            return
        if isinstance(value.type, Extern | Block) and isinstance(param.type, TypeVar):
            return  # an instance is no value: the conversion will say so
        taken = isinstance(param.type, TypeVar) and param.type in binding
        if taken and isinstance(value.type, Int | Tuple | Composite) and not _firm(value):
            return
        bind(param.type, value.type, free, binding)

    def _adapted(  # noqa: PLR0917
        self,
        param: Param,
        value: tree.Expr | None,
        free: set[TypeVar],
        binding: Binding,
        constructor: bool,
        span: Span,
    ) -> tree.Arg | None:
        """The argument converted to its parameter's type, with the rules of its direction."""
        what = f"parameter '{param.name}'"
        if value is None:
            if param.default is not None:
                with self.nested():
                    self.scope.parent = self.top
                    default = self.coerce(self.value(param.default), param.type, what)
                return tree.Arg(param, default)
            return tree.Arg(param, None)
        if isinstance(value, tree.Any):
            if param.direction == "out":
                return tree.Arg(param, None)
            self.error(value.span, f"'_' is only allowed for out parameters, {what} is not one")
            return None
        if isinstance(param.type, Block) and isinstance(value.type, Block):
            why = bind_block(param.type, value.type, free, dict(binding))
            if why:
                self.error(value.span, why)
                return None
            return tree.Arg(param, value)
        if param.direction in {"out", "inout"}:
            if not self.writable(value, f"an argument for {param.direction} {what}"):
                return None
            if value.type != param.type and not bind(param.type, value.type, set(), {}):
                self.error(
                    value.span,
                    f"{param.direction} {what} has type '{param.type}', the argument '{value.type}'",
                )
                return None
            if value.type != param.type:
                message = f"{param.direction} {what} has type '{param.type}', the argument '{value.type}'"
                self.error(value.span, message, "no casts are possible for out and inout")
                return None
            return tree.Arg(param, value)
        if not (isinstance(param.type, Extern) and isinstance(value.type, Extern)):
            value = self.coerce(value, param.type, what)
        elif param.type is not value.type:
            self.error(value.span, f"type '{value.type}' does not fit '{param.type}' for {what}")
            return None
        if is_unknown(value.type):
            return None
        if constructor and not known_later(value):
            self.error(value.span, f"the argument for {what} must be known at compile time")
            return None
        return tree.Arg(param, value)

    # -- l-values -----------------------------------------------------------------------------

    def writable(self, e: tree.Expr, what: str) -> bool:
        """The expression is an l-value that may be written (8.4); reports where not."""
        root = e
        while True:
            match root:
                case tree.Wrong():
                    return False
                case tree.Ref(symbol=symbol):
                    if symbol.writable:
                        symbol.written = True
                        return True
                    if symbol.role == "data":
                        self.error(
                            e.span,
                            f"'{symbol.name}' is action data of the control plane: it cannot be written",
                        )
                    else:
                        self.error(e.span, f"'{symbol.name}' is an 'in' parameter: it cannot be written",
                                   "declare it inout, or copy it to a variable")  # fmt: skip
                    return False
                case tree.StackPart(part="lastIndex"):
                    break
                case (
                    tree.FieldRef(base=base)
                    | tree.Element(base=base)
                    | tree.StackPart(base=base)
                    | tree.SliceRef(base=base)
                    | tree.PartSelect(base=base)
                ):
                    root = base
                case tree.CtorRef(symbol=parameter):
                    self.error(e.span, f"constructor parameter '{parameter.name}' cannot be written")
                    return False
                case _:
                    break
        self.error(e.span, f"{what} must be a variable, field, element or slice")
        return False


def _accepts(params: list[Param], arguments: list[ast.Argument]) -> bool:
    names = [a.name for a in arguments]
    if any(names):
        if not all(names) or len(set(names)) < len(names):
            return False
        known = {p.name for p in params}
        required = {p.name for p in params if p.default is None and not p.optional}
        return all(n in known for n in names) and required <= set(names)
    required_count = sum(p.default is None and not p.optional for p in params)
    if not required_count <= len(arguments) <= len(params):
        return False
    return all(p.default is not None or p.optional for p in params[len(arguments) :])


def _firm(value: tree.Expr) -> bool:
    """Has a type of its own: no `int`, no initialiser."""
    return not isinstance(value.type, Int) and not isinstance(value, tree.Make)


def _only_in_result(variable: TypeVar, signature: Signature) -> bool:
    marker: dict[TypeVar, Type] = {variable: VOID}
    used = any(substitute(p.type, marker) != p.type and not p.optional for p in signature.params)
    return used or substitute(signature.result, marker) != signature.result


def _size_bits(type_: Type, least: bool) -> int | None:
    """Bits on the wire (9.1): varbit counts 0 or all, a union its least or greatest member."""
    match representation(type_):
        case Bits(width=width):
            return width
        case Varbit(max_width=width):
            return 0 if least else width
        case Stack(element=element, size=count):
            inner = _size_bits(element, least)
            return None if inner is None else inner * count
        case Composite(fields=fields) as composite:
            sizes = [_size_bits(f.type, least) for f in fields.values()]
            known = [s for s in sizes if s is not None]
            if len(known) < len(sizes):
                return None
            if is_union(composite):
                return min(known, default=0) if least else max(known, default=0)
            return sum(known)
        case _ if type_ == BOOL:
            return 1
        case _:
            return None
