"""The tracing variant of a generated module: each statement is followed by a call that tells its effect.

Nothing of the plain module changes; speed does not matter here. What a call refers to is its Site: the
statement, its place in the program and the blocks around it, all known when the text is written. So the
run-time side (p4cats.switch.trace) needs no stack of its own: `exit` and `return` cannot confuse it.

    TRACE.after(n, (locals …))      statement n is done: fields may have changed
    TRACE.branch(n, condition)      the condition of an if (returned)
    TRACE.call(n, (values …))       an extern is about to be called
    TRACE.state(n), TRACE.go(n, (subjects …)), TRACE.reject(n, error), TRACE.extracted(n, header)
    TRACE.table(n, key, entry), TRACE.chosen(n, entry), TRACE.emitted(n, header)
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import CodeType
from typing import Any

from p4cats.compiler.backends.model.composites import Composites, is_composite
from p4cats.compiler.backends.model.externs import ExternEmitter
from p4cats.compiler.backends.model.functions import BlockEmitter
from p4cats.compiler.backends.model.module import Module
from p4cats.compiler.backends.model.names import Names, Place
from p4cats.compiler.backends.model.tables import match_keys
from p4cats.compiler.backends.model.usage import Usage
from p4cats.compiler.ir import nodes
from p4cats.compiler.ir.types import Header, Type
from p4cats.compiler.source import Span

TRACER = "TRACE"
"""The name that generated text calls."""


@dataclass(frozen=True, slots=True)
class Named:
    """A value that a call hands over: its name in P4 and its type."""

    name: str
    type: Type


@dataclass(frozen=True, slots=True)
class Site:
    """A place in the generated text that tells something."""

    span: Span
    context: tuple[str, ...]
    """The top-level block, then instances of controls, `action()`s and `function()`s down to this place."""
    node: Any
    """The statement, table, action or transition."""
    values: tuple[Named, ...] = ()
    text: str = ""


@dataclass(frozen=True, slots=True)
class Traced:
    """A module in its tracing variant."""

    text: str
    sites: tuple[Site, ...]

    def code(self) -> CodeType:
        """The module, compiled."""
        return compile(self.text, "<target model, traced>", "exec")


def generate_traced(program: nodes.Program) -> Traced:
    """Write the tracing variant. Errors: CompileError, as `generate`."""
    module = TraceModule(program)
    text = module.text()
    return Traced(text, tuple(module.sites))


def source_text(span: Span) -> str:
    """The P4 text of a span in one line."""
    return " ".join(span.source.text[span.start : span.end].split())


def written_name(variable: nodes.Variable) -> str | None:
    """The name as the program writes it; None for the compiler's own temporaries."""
    text = source_text(variable.span)
    found = re.search(r"(\w+)\s*(=.*)?;?$", text)
    if found is None:
        return None
    name = found[1]
    return name if re.fullmatch(rf"{re.escape(name)}(_\d+)*", variable.name) else None


def lvalue_name(e: nodes.Expr) -> str | None:
    """`a.b.c` of an l-value as the program writes it."""
    match e:
        case nodes.VarRef(variable=variable):
            return written_name(variable)
        case nodes.FieldRef(base=base, field=field):
            name = lvalue_name(base)
            return f"{name}.{field}" if name else None
        case nodes.SliceRef(base=base):
            return lvalue_name(base)
        case _:
            return None


def is_secret(action: nodes.Action) -> bool:
    """Whether neither data nor steps of an action are to be shown: it has the annotation @secret."""
    return action.control_plane.annotation("secret") is not None


class _AllFields(Composites):
    """Extracts every field: a trace shows also those that the program never reads."""

    def wanted_fields(self, type_: Header) -> set[str] | None:
        return None


class TraceModule(Module):
    """A module whose functions tell what they do."""

    def __init__(self, program: nodes.Program) -> None:
        super().__init__(program)
        self.sites: list[Site] = []
        taken = self.names.fresh(TRACER)
        assert taken == TRACER, "the name is the first that is asked for"
        self.composites = _AllFields(self.names, self.structs, Usage(program))

    def emitter(self, name: str) -> BlockEmitter:
        """An emitter that adds the calls."""
        return TraceEmitter(self, self.composites, self.names.local(), name)

    def hook(self, emitter: ExternEmitter, event: str, subject: str) -> None:
        """States and extracts, at the place where they are in effect."""
        assert isinstance(emitter, TraceEmitter)
        if event == "state":
            emitter.tell("state", self.program, text=subject)
        elif event == "extract":
            emitter.tell("extracted", self.program, f", {subject}", text=subject)


@dataclass(slots=True)
class _Selecting:
    """A select whose cases are being written."""

    transition: nodes.Transition
    subjects: list[str]
    case: int = 0


class TraceEmitter(BlockEmitter):
    """Emits everything that BlockEmitter does, and a call after each part."""

    module: TraceModule

    def __init__(self, module: TraceModule, composites: Composites, names: Names, name: str) -> None:
        super().__init__(module, composites, names)
        self._context: tuple[str, ...] = (name,)
        self._conditions: dict[int, nodes.Stmt] = {}
        self._select_now: _Selecting | None = None
        self._silent = False
        """In an action with @secret: nothing is told."""

    def tell(
        self,
        method: str,
        node: Any,
        arguments: str = "",
        values: tuple[Named, ...] = (),
        *,
        text: str = "",
        span: Span | None = None,
        deeper: int = 0,
    ) -> None:
        """Add a call of the tracer."""
        self.line("    " * deeper + self._called(method, node, arguments, values, text=text, span=span))

    def _called(
        self,
        method: str,
        node: Any,
        arguments: str = "",
        values: tuple[Named, ...] = (),
        *,
        text: str = "",
        span: Span | None = None,
    ) -> str:
        self.module.sites.append(Site(span or self._span, self._context, node, values, text))
        return f"{TRACER}.{method}({len(self.module.sites) - 1}{arguments})"

    @contextmanager
    def _within(self, name: str) -> Iterator[None]:
        before = self._context
        self._context = (*before, name)
        yield
        self._context = before

    @contextmanager
    def _in_action(self, action: nodes.Action) -> Iterator[None]:
        before = self._silent
        self._silent = before or is_secret(action)
        with self._within(_short(action.name) + "()"):
            yield
        self._silent = before

    # -- statements ---------------------------------------------------------------------------

    def statement(self, s: nodes.Stmt) -> None:
        """The statement, then what came of it."""
        if self._silent:
            super().statement(s)
            return
        match s:
            case nodes.Switch() | nodes.If() | nodes.Loop() | nodes.Break() | nodes.Continue():
                super().statement(s)
                return
            case nodes.Return() | nodes.Emit() | nodes.Zero():
                super().statement(s)
                return
            case nodes.Exit():
                self.tell("after", s, ", ()")
                super().statement(s)
                return
            case nodes.CallBlock(block=block):
                with self._within(block.name):
                    super().statement(s)
            case nodes.CallAction(action=action):
                with self._in_action(action):
                    super().statement(s)
                if is_secret(action):
                    return
            case nodes.CallFunction(function=function):
                with self._within(f"{function.name}()"):
                    super().statement(s)
            case nodes.ExternCall():
                self._before_extern(s)
                super().statement(s)
            case _:
                super().statement(s)
        self.at(s.span)
        self._after(s)

    def _after(self, s: nodes.Stmt) -> None:
        found: list[tuple[Named, str]] = []
        for target in _written(s):
            name = lvalue_name(target)
            if name is not None:
                while isinstance(target, nodes.SliceRef):
                    target = target.base  # noqa: PLW2901 (the whole value is shown)
                self._locals(self.place(target), name, found)
        codes = "".join(f"({code!r}, {code}), " for _, code in found)
        self.tell("after", s, f", ({codes})", tuple(named for named, _ in found))

    def _locals(self, place: Place, name: str, found: list[tuple[Named, str]]) -> None:
        """Scalars that live in Python locals; headers and metadata are compared by the tracer."""
        if place.fields is not None:
            for field, part in place.fields.items():
                self._locals(part, f"{name}.{field}", found)
        elif not is_composite(place.type) and place.code.isidentifier():
            found.append((Named(name, place.whole or place.type), place.code))

    def _before_extern(self, s: nodes.ExternCall) -> None:
        values: list[tuple[Named, str]] = []
        for argument in s.arguments:
            if argument.direction in ("", "in"):
                self._values(argument.value, values)
        codes = "".join(f"{code}, " for _, code in values)
        self.tell("call", s, f", ({codes})", tuple(named for named, _ in values))

    def _values(self, e: nodes.Expr, found: list[tuple[Named, str]]) -> None:
        if isinstance(e, nodes.Make):
            for value in e.values:
                self._values(value, found)
        elif not is_composite(e.type) and not isinstance(e, nodes.StringConst):
            found.append((Named(source_text(e.span), e.type), self.bare(e)))

    # -- conditions ---------------------------------------------------------------------------

    def _if(self, s: nodes.If) -> None:
        chain: nodes.Stmt = s
        while isinstance(chain, nodes.If):
            self._conditions[id(chain.condition)] = chain
            if len(chain.other) != 1:
                break
            chain = chain.other[0]
        super()._if(s)

    def expression(self, e: nodes.Expr) -> str:
        """Conditions pass through the tracer."""
        s = self._conditions.pop(id(e), None)
        code = super().expression(e)
        if s is None or self._silent:
            return code
        return self._called("branch", s, f", {code}", text=source_text(e.span), span=s.span)

    # -- parsers ------------------------------------------------------------------------------

    def _select(self, transition: nodes.Transition) -> None:
        outer = self._select_now
        self._select_now = _Selecting(transition, [])
        super()._select(transition)
        self._select_now = outer

    def _subject(self, subject: nodes.Expr) -> str:
        name = super()._subject(subject)
        assert self._select_now is not None
        self._select_now.subjects.append(name)
        return name

    def _go(self, target: str) -> None:
        now, self._select_now = self._select_now, None
        if now is None:
            self.tell("go", None, ", ()", text=target)
        else:
            assert now.transition.cases is not None
            values = tuple(Named(source_text(e.span), e.type) for e in now.transition.subjects)
            codes = "".join(f"{name}, " for name in now.subjects)
            span = now.transition.cases[now.case].span
            self.tell("go", now.transition, f", ({codes})", values, text=target, span=span)
            now.case += 1
        super()._go(target)
        self._select_now = now

    def _reject(self, error: str, deeper: int = 0) -> None:
        if error != "0":
            self.tell("reject", None, f", {error}", deeper=deeper)
        super()._reject(error, deeper)

    # -- tables -------------------------------------------------------------------------------

    def _lookup(self, table: nodes.Table, name: str, entry: str) -> None:
        super()._lookup(table, name, entry)
        codes = "".join(f"{self._key_part(key)}, " for key in match_keys(table))
        self.tell("table", table, f", ({codes}), {entry}")

    def _choose(self, table: nodes.Table, entry: str) -> None:
        super()._choose(table, entry)
        self.tell("chosen", table, f", {entry}")

    def _run(self, ref: nodes.ActionRef, entry: str) -> None:
        with self._in_action(ref.action):
            super()._run(ref, entry)

    # -- deparser -----------------------------------------------------------------------------

    def _emit(self, header: nodes.Expr) -> None:
        super()._emit(header)
        self.tell("emitted", header, f", {self.place(header).code}")


def _short(name: str) -> str:
    return name.rpartition(".")[2]


def _written(s: nodes.Stmt) -> list[nodes.Expr]:
    """The l-values that a statement may have changed."""
    match s:
        case nodes.Assign(target=target) | nodes.Lookahead(target=target):
            return [target]
        case nodes.ExternCall(arguments=arguments, target=target):
            pass
        case nodes.CallFunction(arguments=arguments, target=target):
            pass
        case nodes.CallAction(arguments=arguments) | nodes.CallBlock(arguments=arguments):
            target = None
        case _:
            return []
    found = [a.value for a in arguments if a.direction in ("out", "inout")]
    return found + ([target] if target is not None else [])


__all__ = [
    "TRACER",
    "Named",
    "Site",
    "Traced",
    "generate_traced",
    "lvalue_name",
    "source_text",
    "written_name",
]
