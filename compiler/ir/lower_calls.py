"""Calls: copy-in and copy-out made explicit where aliasing could be seen (spec 6.8), externs named."""

from __future__ import annotations

from dataclasses import dataclass, field

from p4cats.compiler.ir import nodes as ir
from p4cats.compiler.ir.access import (
    Effects,
    Path,
    block_may_exit,
    body_effects,
    conflicts,
    may_exit,
    path_of,
    reads,
)
from p4cats.compiler.ir.lower_expressions import Body, ExpressionLowering, negate
from p4cats.compiler.ir.types import BOOL, Bits, Bool, Composite, Header, Stack, Struct, Type, Union
from p4cats.compiler.ir.unit import Environment, Instance
from p4cats.compiler.source import Span
from p4cats.compiler.types import model, tree

_NO_EFFECTS = Effects()


@dataclass(slots=True)
class Prepared:
    """Arguments ready for a call, and what must follow it."""

    arguments: list[ir.Argument] = field(default_factory=list)
    after: list[ir.Stmt] = field(default_factory=list)


class CallLowering(ExpressionLowering):
    """Lowers calls, as values and as statements."""

    # -- arguments ----------------------------------------------------------------------------

    def prepare(self, args: list[tree.Arg], reach: Effects = _NO_EFFECTS) -> Prepared:
        """Lower arguments in order; `reach` is what the callee touches besides its parameters."""
        values = self._lower_arguments(args)
        prepared = Prepared()
        taken: list[Path] = []
        outs = [
            path_of(v) for a, v in zip(args, values, strict=True) if a.param.direction in {"out", "inout"}
        ]
        out_paths = [p for p in outs if p is not None]
        for arg, value in zip(args, values, strict=True):
            direction = arg.param.direction
            if direction in {"out", "inout"}:
                passed = self._pass_out(arg, value, taken, reach, prepared)
            elif conflicts(reads(value), out_paths) or conflicts(reads(value), reach.writes):
                passed = self.save(value)
            else:
                passed = value
            prepared.arguments.append(ir.Argument(direction, passed))
        return prepared

    def _lower_arguments(self, args: list[tree.Arg]) -> list[ir.Expr]:
        values: list[ir.Expr] = []
        for arg in args:
            mark = len(self.body.out)
            written = arg.param.direction in {"out", "inout"}
            if arg.value is None:
                dummy = self.temporary("ignored", self.type(arg.param.type), arg.param.span)
                value: ir.Expr = ir.VarRef(arg.param.span, dummy.type, dummy)
            else:
                value = self.expr(arg.value)
            if len(self.body.out) > mark:
                for i, earlier in enumerate(values):
                    if args[i].param.direction in {"out", "inout"}:
                        before = len(self.body.out)
                        values[i] = self.freeze(earlier, mark)
                        mark += len(self.body.out) - before
                    elif not self.stable(earlier):
                        values[i] = self.save(earlier, mark)
                        mark += 1
            values.append(self.freeze(value) if written else value)
        return values

    def _pass_out(
        self, arg: tree.Arg, value: ir.Expr, taken: list[Path], reach: Effects, prepared: Prepared
    ) -> ir.Expr:
        path = path_of(value)
        sliced = isinstance(value, ir.SliceRef) or path is None
        fix = self.union_fix(value)
        prepared.after.extend(fix)
        if path is not None and not sliced and not conflicts([path], taken):
            taken.append(path)
            if not conflicts([path], reach.reads) and not conflicts([path], reach.writes):
                return value
        copy = self.temporary("copy", value.type, value.span)
        reference = ir.VarRef(value.span, value.type, copy)
        if arg.param.direction == "inout":
            self.emit(ir.Assign(value.span, reference, value))
        elif self.body.repeats:
            self.emit(ir.Zero(value.span, copy))
        prepared.after.insert(len(prepared.after) - len(fix), ir.Assign(value.span, value, reference))
        return reference

    def union_fix(self, e: ir.Expr) -> list[ir.Stmt]:
        """After a union member may have become valid: the other members become invalid (8.18)."""
        if not isinstance(e, ir.FieldRef) or not isinstance(e.base.type, Union):
            return []
        others = [
            ir.SetValid(e.span, ir.FieldRef(e.span, f.type, e.base, f.name), False)
            for f in e.base.type.fields
            if f.name != e.field
        ]
        return [ir.If(e.span, ir.IsValid(e.span, BOOL, e), list(others), [])] if others else []

    def union_others_invalid(self, e: ir.Expr) -> None:
        """The other members of the union become invalid."""
        if isinstance(e, ir.FieldRef) and isinstance(e.base.type, Union):
            for f in e.base.type.fields:
                if f.name != e.field:
                    self.emit(ir.SetValid(e.span, ir.FieldRef(e.span, f.type, e.base, f.name), False))

    # -- calls --------------------------------------------------------------------------------

    def call_value(self, e: tree.Call) -> ir.Expr:
        """A call used as a value: its result in a temporary, or a pure expression."""
        match e:
            case tree.BuiltinCall(name="isValid"):
                return self._is_valid(e)
            case tree.ApplyTable():
                return self._table_result(e)
            case tree.MethodCall() if self._method_name(e) == "packet_in.length":
                return ir.PacketLength(e.span, Bits(32))
        result = self.temporary("tmp", self.type(e.type), e.span)
        reference = ir.VarRef(e.span, result.type, result)
        self.call(e, reference)
        return reference

    def call(self, e: tree.Call, target: ir.Expr | None = None) -> None:
        """A call as statements; the result goes to `target`."""
        match e:
            case tree.FunctionCall():
                self._function_call(e, target)
            case tree.MethodCall():
                self._method_call(e, target)
            case tree.BuiltinCall():
                self._builtin(e)
            case tree.ActionCall():
                self._action_call(e)
            case tree.ApplyTable():
                self._apply_table(e, None, None)
            case tree.ApplyBlock():
                self._apply_block(e)
            case _:
                raise TypeError(f"no lowering for {type(e).__name__}")

    def _action_call(self, e: tree.ActionCall) -> None:
        prepared = self.prepare(e.args, self._effects(self.action_of(e.action)))
        self.run_action(e.action, prepared, e.span)

    def run_action(self, action: tree.Action, prepared: Prepared, span: Span) -> None:
        """Call an action and copy out."""
        original = self.action_of(action)
        if may_exit(original) and (prepared.after or self.exit_flag is not None):
            self._exiting_call(action, prepared, span)
            return
        self.emit(ir.CallAction(span, original, prepared.arguments))
        self.body.out.extend(prepared.after)
        self._return_if_exited(self.unit.exits.action(action), span)

    def _return_if_exited(self, may: bool, span: Span) -> None:
        """In a control that reports exit: what was just called may have set the flag."""
        if may and self.exit_flag is not None:
            self.emit(ir.If(span, self.exit_flag, [ir.Return(span)], []))

    def _exiting_call(self, action: tree.Action, prepared: Prepared, span: Span) -> None:
        """Copies follow the call, but exit would skip them: the action reports exit instead (12.5)."""
        variant = self.reporting_exit(action)
        flag = ir.VarRef(span, BOOL, self.temporary("exits", BOOL, span))
        self.emit(ir.Assign(span, flag, ir.Const(span, BOOL, 0)))
        directed = sum(bool(a.direction) for a in prepared.arguments)
        prepared.arguments.insert(directed, ir.Argument("inout", flag))
        self.emit(ir.CallAction(span, variant, prepared.arguments))
        self.body.out.extend(prepared.after)
        with self.collecting() as leave:
            self.leave(span)
        self.emit(ir.If(span, flag, leave, []))

    def leave(self, span: Span) -> None:
        """`exit`, or a report of it to the caller."""
        if self.exit_flag is None:
            self.emit(ir.Exit(span))
            return
        self.emit(ir.Assign(span, self.exit_flag, ir.Const(span, BOOL, 1)))
        self.emit(ir.Return(span))

    def reporting_exit(self, action: tree.Action) -> ir.Action:
        """The variant of an action with one more parameter, set where the original exits."""
        raise NotImplementedError

    def _effects(self, action: ir.Action) -> Effects:
        found = self.unit.effects.get(action)
        if found is None:
            found = self.unit.effects[action] = body_effects(action.body, self.unit.effects)
        return found

    def _is_valid(self, e: tree.BuiltinCall) -> ir.Expr:
        base = self.expr(e.base)
        if isinstance(base, ir.Mux):
            base = self.save(base)
        return self.is_valid(e.span, base)

    def _builtin(self, e: tree.BuiltinCall) -> None:
        base = self.freeze(self.expr(e.base))
        if e.name == "push_front":
            self.emit(ir.Push(e.span, base, e.count))
        elif e.name == "pop_front":
            self.emit(ir.Pop(e.span, base, e.count))
        else:
            if e.name == "setValid":
                self.union_others_invalid(base)
            self.emit(ir.SetValid(e.span, base, e.name == "setValid"))

    # -- tables and blocks --------------------------------------------------------------------

    def _table_result(self, e: tree.ApplyTable) -> ir.Expr:
        if e.part == "action_run":
            run = self.temporary("action_run", Bits(32), e.span)
            self._apply_table(e, None, run)
            return ir.VarRef(e.span, run.type, run)
        hit = self.temporary("hit", BOOL, e.span)
        self._apply_table(e, hit, None)
        reference = ir.VarRef(e.span, BOOL, hit)
        return negate(reference) if e.part == "miss" else reference

    def _apply_table(self, e: tree.ApplyTable, hit: ir.Variable | None, run: ir.Variable | None) -> None:
        table = self.env.tables[e.table]
        self.body.out.extend(self.env.key_preludes.get(e.table, []))
        self.emit(ir.ApplyTable(e.span, table, hit, run))
        self._return_if_exited(any(self.unit.exits.action(r.action) for r in e.table.actions), e.span)

    def instance_of(self, e: tree.Expr) -> Instance:
        """The instance that a name, parameter or anonymous construction stands for."""
        match e:
            case tree.InstanceRef(symbol=symbol) | tree.CtorRef(symbol=symbol):
                found = self.env.instances.get(symbol)
                if found is None and isinstance(symbol, tree.Instance):
                    found = self.unit.top.instances.get(symbol)
                if found is not None:
                    return found
        raise self.unit.reporter.fatal(e.span, "this instance is not supported here")

    def _apply_block(self, e: tree.ApplyBlock) -> None:
        block = self.instance_of(e.instance)
        assert isinstance(block, ir.Control | ir.Parser)
        prepared = self.prepare([a for a in e.args if not isinstance(a.param.type, model.Extern)])
        if id(block) in self.unit.reporting:
            self._apply_reporting(e, block, prepared)
            return
        if (self.exit_flag or any(isinstance(s, ir.Assign) for s in prepared.after)) and block_may_exit(
            block
        ):
            raise self.unit.reporter.fatal(
                e.span,
                "an argument needs a copy back after this call, but the control may exit: not supported",
                "pass a variable, and no slice or part of another argument",
            )
        self.emit(ir.CallBlock(e.span, block, prepared.arguments))
        self.body.out.extend(prepared.after)

    def _apply_reporting(self, e: tree.ApplyBlock, block: ir.Control | ir.Parser, prepared: Prepared) -> None:
        """The control says whether it has exited: copy out, then leave."""
        flag = ir.VarRef(e.span, BOOL, self.temporary("exits", BOOL, e.span))
        self.emit(ir.Assign(e.span, flag, ir.Const(e.span, BOOL, 0)))
        self.emit(ir.CallBlock(e.span, block, [*prepared.arguments, ir.Argument("inout", flag)]))
        self.body.out.extend(prepared.after)
        with self.collecting() as leave:
            self.leave(e.span)
        self.emit(ir.If(e.span, flag, leave, []))

    def action_of(self, action: tree.Action) -> ir.Action:
        """The IR action of this instance, or the shared top-level one."""
        found = self.env.actions.get(action) or self.unit.top.actions.get(action)
        if found is None:
            found = self.unit.top.actions[action] = self.lower_action(action)
            self.unit.actions.append(found)
        return found

    def action_in(self, table: tree.Table, action: tree.Action) -> ir.Action:
        """What stands for an action in a table's list."""
        raise NotImplementedError

    def lower_action(self, action: tree.Action) -> ir.Action:
        """Lower a top-level action on first use."""
        raise NotImplementedError

    # -- functions and externs ----------------------------------------------------------------

    def _function_call(self, e: tree.FunctionCall, target: ir.Expr | None) -> None:
        if e.function.extern:
            self._extern_function(e, target)
            return
        function = self.function_of(e)
        prepared = self.prepare([a for a in e.args if not isinstance(a.param.type, model.Extern)])
        self.emit(ir.CallFunction(e.span, function, prepared.arguments, target))
        self.body.out.extend(prepared.after)

    def function_of(self, e: tree.FunctionCall) -> ir.Function:
        """The function, specialised for its type arguments and instances."""
        types = [model.substitute(t, self.env.binding) for t in e.type_args]
        given = zip(e.function.params, e.args, strict=True)
        instances = {
            p: self._extern_argument(a.value)
            for p, a in given
            if isinstance(p.type, model.Extern) and a.value
        }
        key = (e.function, *types, *(id(i) for i in instances.values()))
        found = self.unit.functions.get(key)
        if found is None:
            found = self._specialise(e.function, types, instances)
            self.unit.functions[key] = found
        return found

    def _extern_argument(self, e: tree.Expr) -> Instance | None:
        if isinstance(e.type, model.Extern) and e.type.name in {"packet_in", "packet_out"}:
            return None
        return self.instance_of(e)

    def _specialise(
        self, function: tree.Function, types: list[model.Type], instances: dict[tree.Var, Instance | None]
    ) -> ir.Function:
        env = Environment()
        env.binding = dict(zip(function.signature.type_params, types, strict=True))
        env.instances.update({p: i for p, i in instances.items() if i is not None})
        inner = self.__class__(self.unit, env)
        params = [inner.parameter(p) for p in function.params if not isinstance(p.type, model.Extern)]
        name = function.name + (f"<{model.listed(types)}>" if types else "")
        made = ir.Function(name, function.span, params, [], [], inner.type(function.signature.result))
        inner.body = Body(made.locals, made.body)
        inner.statements(function.body or [])
        return made

    def parameter(self, p: tree.Var) -> ir.Variable:
        """Declare a parameter."""
        variable = ir.Variable(self.env.names.unique(p.name), self.type(p.type), p.span, p.direction)
        self.env.variables[p] = variable
        return variable

    def statements(self, statements: list[tree.Stmt]) -> None:
        """Lower statements."""
        raise NotImplementedError

    def _extern_function(self, e: tree.FunctionCall, target: ir.Expr | None) -> None:
        if e.function.name == "verify":
            condition, error = self.ordered(*(a.value for a in e.args if a.value is not None))
            self.emit(ir.Verify(e.span, condition, error))
            return
        self._extern(e, e.function.name, None, target)

    def _method_name(self, e: tree.MethodCall) -> str:
        assert isinstance(e.instance.type, model.Extern)
        return f"{e.instance.type.name}.{e.signature.name}"

    def _method_call(self, e: tree.MethodCall, target: ir.Expr | None) -> None:
        name = self._method_name(e)
        match name:
            case "packet_in.extract":
                self._extract(e)
            case "packet_in.lookahead":
                self._lookahead(e, target)
            case "packet_in.advance":
                assert e.args[0].value is not None
                self.emit(ir.Advance(e.span, self.expr(e.args[0].value)))
            case "packet_in.length":
                pass
            case "packet_out.emit":
                assert e.args[0].value is not None
                self.emit_headers(self.expr(e.args[0].value), e.span)
            case _:
                instance = self.instance_of(e.instance)
                assert isinstance(instance, ir.ExternInstance)
                self._extern(e, name, instance, target)

    def _extern(
        self, e: tree.FunctionCall | tree.MethodCall, name: str, instance: ir.ExternInstance | None,
        target: ir.Expr | None,
    ) -> None:  # fmt: skip
        given = [a for a in e.args if a.value is not None or a.param.direction == "out"]
        prepared = self.prepare(given)
        if name == "digest":
            self._register_digest(e, prepared)
        self.emit(ir.ExternCall(e.span, name, instance, prepared.arguments, target))
        self.body.out.extend(prepared.after)

    def _register_digest(self, e: tree.FunctionCall | tree.MethodCall, prepared: Prepared) -> None:
        type_ = prepared.arguments[-1].value.type
        if isinstance(type_, Bits | Bool):  # a value without a struct: the struct of this one value
            type_ = self.type(model.Tuple((type_,)))
            value = prepared.arguments[-1].value
            prepared.arguments[-1] = ir.Argument("in", ir.Make(value.span, type_, [value]))
        if not isinstance(type_, Struct | Header):
            raise self.unit.reporter.fatal(e.span, f"digest needs a struct, '{type_}' is not supported")
        if any(d.type is type_ for d in self.unit.digests):
            return
        name = type_.name
        if isinstance(type_, Struct) and (type_.tuple or name.startswith("anonymous_")):
            name = f"digest_{sum(d.name.startswith('digest_') for d in self.unit.digests)}"
            self.unit.reporter.warning(e.span, f"this digest has no name: the control plane sees '{name}'",
                                       "declare a struct for it")  # fmt: skip
        self.unit.digests.append(ir.Digest(name, type_, type_.annotations))

    # -- packets ------------------------------------------------------------------------------

    def _extract(self, e: tree.MethodCall) -> None:
        value = e.args[0].value
        if value is None:
            type_ = self.type(e.type_args[0])
            dummy = self.temporary("ignored", type_, e.span)
            header: ir.Expr = ir.VarRef(e.span, type_, dummy)
        else:
            header = self.expr(value)
        if not isinstance(header.type, Header):
            raise self.unit.reporter.fatal(e.span, f"extract fills headers, not '{header.type}'")
        bits = None
        if len(e.args) > 1 and e.args[1].value is not None:
            bits = self.expr(e.args[1].value)
        self.emit(ir.Extract(e.span, self.freeze(header), bits))
        if isinstance(header, ir.FieldRef) and isinstance(header.base, ir.StackNext):
            union = header.base  # nextIndex has moved on by now
            last = ir.StackLast(union.span, union.type, union.base)
            header = ir.FieldRef(header.span, header.type, last, header.field)
        self.union_others_invalid(header)

    def _lookahead(self, e: tree.MethodCall, target: ir.Expr | None) -> None:
        type_ = self.type(e.type)
        if not _fixed(type_):
            raise self.unit.reporter.fatal(e.span, f"lookahead needs a type of fixed width, not '{type_}'")
        if target is None:
            variable = self.temporary("ignored", type_, e.span)
            target = ir.VarRef(e.span, type_, variable)
        self.emit(ir.Lookahead(e.span, target))

    def emit_headers(self, e: ir.Expr, span: Span) -> None:
        """Emit a header, or all headers in a composite, in order (16.2)."""
        if isinstance(e, ir.Mux):
            e = self.save(e)
        match e.type:
            case Header():
                if isinstance(e, ir.MakeInvalid):
                    return
                self.emit(ir.Emit(span, self.save(e) if isinstance(e, ir.Make) else e))
            case Stack(size=size):
                for i in range(size):
                    self.emit_headers(self.element_of(e, i, span), span)
            case Struct() | Union() as composite:
                for f in composite.fields:
                    self.emit_headers(self.field_of(e, f.name, span), span)
            case _:
                raise self.unit.reporter.fatal(span, f"emit takes headers, '{e.type}' is none")


def _fixed(type_: Type) -> bool:
    match type_:
        case Composite(fields=fields):
            return not isinstance(type_, Union) and all(_fixed(f.type) for f in fields)
        case Stack():
            return False
        case _:
            return isinstance(type_, Bits) or type_ == BOOL
