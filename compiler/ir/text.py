"""The IR as text, for golden tests and for reading: `python -m p4cats.compiler FILE`."""

from __future__ import annotations

from collections.abc import Iterable

from p4cats.compiler.ir import nodes as ir
from p4cats.compiler.ir.access import walk
from p4cats.compiler.ir.types import Bits, Bool, Enum


def program_text(program: ir.Program) -> str:
    """The whole program."""
    rows: list[str] = []
    for extern in program.externs:
        types = f"<{', '.join(map(str, extern.type_arguments))}>" if extern.type_arguments else ""
        rows.append(f"extern {extern.kind}{types} {extern.name}({_list(extern.arguments)})")
    for value_set in program.value_sets:
        rows.append(f"value_set<{value_set.element}> {value_set.name}({value_set.size})")
    for function in program.functions:
        head = f"function {function.return_type} {function.name}"
        rows += _body(head, function.parameters, function.locals, function.body)
    held = {id(a) for c in _controls(program) for a in c.actions}
    for action in program.actions:
        if id(action) not in held:
            rows += action_text(action)
    for block in _blocks(program):
        rows += parser_text(block) if isinstance(block, ir.Parser) else control_text(block)
    return "\n".join(rows) + "\n"


def _blocks(program: ir.Program) -> list[ir.Parser | ir.Control]:
    """All blocks, callees before callers."""
    found: list[ir.Parser | ir.Control] = []

    def visit(block: ir.Parser | ir.Control) -> None:
        if any(b is block for b in found):
            return
        lists = [block.body] if isinstance(block, ir.Control) else [s.body for s in block.states.values()]
        for body in lists:
            for statement in walk(body):
                if isinstance(statement, ir.CallBlock):
                    visit(statement.block)
        found.append(block)

    for top in (
        program.parser, program.verify_checksum, program.ingress, program.egress, program.compute_checksum,
        program.deparser,
    ):  # fmt: skip
        visit(top)
    return found


def _controls(program: ir.Program) -> list[ir.Control]:
    return [b for b in _blocks(program) if isinstance(b, ir.Control)]


def _body(
    head: str, parameters: Iterable[ir.Variable], variables: Iterable[ir.Variable], body: list[ir.Stmt]
) -> list[str]:
    rows = [f"{head}({', '.join(_parameter(p) for p in parameters)}) {{"]
    rows += [f"  var {v.type} {v.name}" for v in variables]
    rows += _statements(body, 1)
    return [*rows, "}"]


def _parameter(p: ir.Variable) -> str:
    return f"{p.direction} {p.type} {p.name}".strip()


def action_text(action: ir.Action) -> list[str]:
    """An action."""
    return _body(f"action {action.name}", action.parameters, action.locals, action.body)


def control_text(control: ir.Control) -> list[str]:
    """A control with its actions and tables."""
    rows = [f"control {control.name}({', '.join(_parameter(p) for p in control.parameters)}) {{"]
    rows += [f"  var {v.type} {v.name}" for v in control.locals]
    for action in control.actions:
        rows += ["  " + row for row in action_text(action)]
    for table in control.tables:
        rows += ["  " + row for row in table_text(table)]
    return [*rows, "  apply {", *_statements(control.body, 2), "  }", "}"]


def table_text(table: ir.Table) -> list[str]:
    """A table."""
    rows = [f"table {table.name} {{"]
    rows += [f"  key {k.match_kind} {k.name} = {expr_text(k.expression)}" for k in table.keys]
    for reference in table.actions:
        only = " default_only" if reference.default_only else " table_only" if reference.table_only else ""
        rows.append(f"  action {reference.action.name}({_arguments(reference.bound)}){only}")
    const = "const " if table.const_default else ""
    rows.append(f"  {const}default {_action_call(table.default)}")
    for entry in table.entries:
        const = "const " if entry.const else ""
        keys = ", ".join(pattern_text(p) for p in entry.patterns)
        rows.append(f"  {const}entry {entry.priority}: ({keys}) -> {_action_call(entry.call)}")
    rows.append(f"  size {table.size}")
    for name in ("implementation", "direct_counter", "direct_meter"):
        instance: ir.ExternInstance | None = getattr(table, name)
        if instance is not None:
            rows.append(f"  {name} {instance.name}")
    if table.support_timeout:
        rows.append("  support_timeout")
    return [*rows, "}"]


def _action_call(call: ir.ActionCall) -> str:
    return f"{call.action.name}({', '.join(map(str, call.data))})"


def parser_text(parser: ir.Parser) -> list[str]:
    """A parser with its states."""
    rows = [f"parser {parser.name}({', '.join(_parameter(p) for p in parser.parameters)}) {{"]
    rows += [f"  var {v.type} {v.name}" for v in parser.locals]
    rows += _statements(parser.init, 1)
    for state in parser.states.values():
        rows += [f"  state {state.name} {{", *_statements(state.body, 2)]
        transition = state.transition
        if transition.cases is None:
            rows.append(f"    goto {transition.state}")
        else:
            rows.append(f"    select ({_list(transition.subjects)}) {{")
            for case in transition.cases:
                rows.append(f"      {', '.join(pattern_text(p) for p in case.patterns)}: {case.state}")
            rows.append("    }")
        rows.append("  }")
    return [*rows, "}"]


def pattern_text(p: ir.Pattern) -> str:
    """A key set."""
    match p.kind:
        case "any":
            return "_"
        case "value_set":
            return p.value_set.name if p.value_set else "?"
        case "exact":
            return expr_text(p.value) if p.value else "?"
    sign = " &&& " if p.kind == "mask" else " .. "
    return sign.join(expr_text(e) if e else "?" for e in (p.value, p.mask))


def _list(es: Iterable[ir.Expr]) -> str:
    return ", ".join(expr_text(e) for e in es)


def _arguments(arguments: list[ir.Argument]) -> str:
    return ", ".join(f"{a.direction} {expr_text(a.value)}".strip() for a in arguments)


def _statements(body: list[ir.Stmt], depth: int) -> list[str]:
    rows: list[str] = []
    for statement in body:
        rows += ["  " * depth + row for row in statement_text(statement)]
    return rows


def statement_text(s: ir.Stmt) -> list[str]:
    """A statement, nested ones indented."""
    match s:
        case ir.If():
            rows = [f"if {expr_text(s.condition)} {{", *_statements(s.then, 1)]
            if s.other:
                rows += ["} else {", *_statements(s.other, 1)]
            return [*rows, "}"]
        case ir.Switch():
            rows = [f"switch {expr_text(s.subject)} {{"]
            for case in s.cases:
                label = "default" if case.values is None else ", ".join(map(str, case.values))
                rows += [f"  {label}: {{", *_statements(case.body, 2), "  }"]
            return [*rows, "}"]
        case ir.Loop():
            rows = [f"loop {expr_text(s.condition)} {{", *_statements(s.body, 1)]
            if s.prepare:
                rows[:1] = ["prepare {", *_statements(s.prepare, 1), f"}} loop {expr_text(s.condition)} {{"]
            return [*rows, "} update {", *_statements(s.update, 1), "}"] if s.update else [*rows, "}"]
        case _:
            return [_simple(s)]


def _simple(s: ir.Stmt) -> str:
    match s:
        case ir.Assign():
            return f"{expr_text(s.target)} = {expr_text(s.value)}"
        case ir.Zero():
            return f"zero {s.variable.name}"
        case ir.Return():
            return "return" if s.value is None else f"return {expr_text(s.value)}"
        case ir.CallAction():
            return f"{s.action.name}({_arguments(s.arguments)})"
        case ir.CallFunction():
            return _into(s.target, f"{s.function.name}({_arguments(s.arguments)})")
        case ir.CallBlock():
            return f"apply {s.block.name}({_arguments(s.arguments)})"
        case ir.ApplyTable():
            hit = f" hit={s.hit.name}" if s.hit else ""
            run = f" action_run={s.action_run.name}" if s.action_run else ""
            return f"apply table {s.table.name}{hit}{run}"
        case ir.ExternCall():
            of = f"[{s.instance.name}]" if s.instance else ""
            return _into(s.target, f"{s.name}{of}({_arguments(s.arguments)})")
        case ir.SetValid():
            return f"{'setValid' if s.valid else 'setInvalid'} {expr_text(s.header)}"
        case ir.Push():
            return f"push {expr_text(s.stack)} {s.count}"
        case ir.Pop():
            return f"pop {expr_text(s.stack)} {s.count}"
        case ir.Extract():
            bits = f", {expr_text(s.varbit_bits)}" if s.varbit_bits else ""
            return f"extract {expr_text(s.header)}{bits}"
        case ir.Lookahead():
            return f"{expr_text(s.target)} = lookahead"
        case ir.Advance():
            return f"advance {expr_text(s.bits)}"
        case ir.Verify():
            return f"verify {expr_text(s.condition)}, {expr_text(s.error)}"
        case ir.Emit():
            return f"emit {expr_text(s.header)}"
        case _:
            return type(s).__name__.lower()


def _into(target: ir.Expr | None, call: str) -> str:
    return call if target is None else f"{expr_text(target)} = {call}"


def expr_text(e: ir.Expr) -> str:
    """An expression; constants with their width."""
    match e:
        case ir.Const():
            return _const(e)
        case ir.StringConst():
            return '"' + e.value.replace('"', '\\"') + '"'
        case ir.VarRef():
            return e.variable.name
        case ir.FieldRef():
            return f"{expr_text(e.base)}.{e.field}"
        case ir.IndexRef():
            index = str(e.index.value) if isinstance(e.index, ir.Const) else expr_text(e.index)
            return f"{expr_text(e.base)}[{index}]"
        case ir.StackNext():
            return f"{expr_text(e.base)}.next"
        case ir.StackLast():
            return f"{expr_text(e.base)}.last"
        case ir.StackLastIndex():
            return f"{expr_text(e.base)}.lastIndex"
        case ir.SliceRef():
            return f"{expr_text(e.base)}[{e.high}:{e.low}]"
        case ir.Unary():
            return f"{e.op}{expr_text(e.operand)}"
        case ir.Binary():
            return f"({expr_text(e.left)} {e.op} {expr_text(e.right)})"
        case ir.Cast():
            return f"({e.type})({expr_text(e.operand)})"
        case ir.Mux():
            return f"({expr_text(e.condition)} ? {expr_text(e.then)} : {expr_text(e.other)})"
        case ir.IsValid():
            return f"{expr_text(e.operand)}.isValid()"
        case ir.Make():
            return f"{{{_list(e.values)}}}"
        case ir.MakeInvalid():
            return f"{{#}}:{e.type}"
        case ir.PacketLength():
            return "packet.length()"
        case _:
            return type(e).__name__


def _const(e: ir.Const) -> str:
    match e.type:
        case Bool():
            return "true" if e.value else "false"
        case Enum(members=members):
            return f"{e.type}.{members[e.value]}"
        case Bits(width=width, signed=signed):
            return f"{width}{'s' if signed else 'w'}{e.value}"
        case _:
            return f"{e.type}.{e.value}"


__all__ = [
    "action_text", "control_text", "expr_text", "parser_text", "pattern_text", "program_text",
    "statement_text", "table_text",
]  # fmt: skip
