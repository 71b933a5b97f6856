"""P4 functions that are too large to be inlined at every call become Python functions.

Scalars go in by value and come back in a tuple, composites are passed by reference (a struct that lives
in local names is put together before the call and taken apart after it).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from p4cats.compiler.backends.model.composites import is_composite
from p4cats.compiler.backends.model.names import Place, zero
from p4cats.compiler.backends.model.parsers import ParserEmitter
from p4cats.compiler.backends.model.usage import walk
from p4cats.compiler.ir import nodes
from p4cats.compiler.ir.types import Void

if TYPE_CHECKING:
    from p4cats.compiler.backends.model.module import Module

_LARGEST_INLINED = 300
"""Statements, those of inlined callees included."""


class Functions:
    """Decides which functions stand alone, and writes those once."""

    def __init__(self, module: Module) -> None:
        self._module = module
        self._weights: dict[int, int] = {}
        self._names: dict[int, str] = {}
        self.lines: list[str] = []

    def weight(self, function: nodes.Function) -> int:
        """Statements that a call costs when inlined; 1 where it is not."""
        if id(function) not in self._weights:
            weight = 0
            for node in walk(function.body, follow=False):
                weight += isinstance(node, nodes.Stmt)
                if isinstance(node, nodes.CallFunction):
                    weight += self.weight(node.function)
            self._weights[id(function)] = 1 if weight > _LARGEST_INLINED else weight
            if weight > _LARGEST_INLINED:
                self._names[id(function)] = self._module.names.fresh(f"function_{function.name}")
                self._write(function)
        return self._weights[id(function)]

    def name(self, function: nodes.Function) -> str | None:
        """The Python function to call; None: inline it."""
        self.weight(function)
        return self._names.get(id(function))

    def _write(self, function: nodes.Function) -> None:
        module = self._module
        emitter = module.emitter(f"{function.name}()")
        parameters = []
        for parameter in function.parameters:
            place = Place(parameter.type, emitter.temporary(parameter.name))
            emitter.places[parameter] = place
            if is_composite(parameter.type) or parameter.direction != "out":
                parameters.append(place.code)
            if parameter.direction == "out":
                emitter.reset(place)
        results = []
        if not isinstance(function.return_type, Void):
            emitter.result = Place(function.return_type, emitter.temporary("result"))
            results.append(emitter.result.code)
            made = is_composite(function.return_type)
            first = module.composites.new(function.return_type) if made else zero(function.return_type)
            emitter.line(f"{emitter.result.code} = {first}")
        results += [emitter.places[p].code for p in returned(function)]
        emitter.exit_code = f"return ({''.join(f'{r}, ' for r in results)})"
        emitter.declare(function.locals)
        emitter.statements(function.body)
        emitter.line(emitter.exit_code)
        head = f"def {self._names[id(function)]}({', '.join(['packet', 'sm', *parameters])}):"
        self.lines += ["", "", head, *emitter.lines]


def returned(function: nodes.Function) -> list[nodes.Variable]:
    """Scalar parameters that come back in the result."""
    return [p for p in function.parameters if p.direction in ("out", "inout") and not is_composite(p.type)]


class BlockEmitter(ParserEmitter):
    """The complete emitter: everything that a block can hold."""

    def call_function(
        self, function: nodes.Function, arguments: list[nodes.Argument], target: nodes.Expr | None
    ) -> None:
        """Inline a small function, call a large one."""
        name = self.module.functions.name(function)
        if name is None:
            super().call_function(function, arguments, target)
            return
        passed, back, scalars = ["packet", "sm"], [], []
        for parameter, argument in zip(function.parameters, arguments, strict=True):
            place = (
                self._settled(self.place(argument.value)) if parameter.direction in ("out", "inout") else None
            )
            if is_composite(parameter.type):
                code = self.object(argument.value)
                passed.append(code)
                if place is not None and place.fields is not None:
                    back.append((place, Place(place.type, code)))
            else:
                if parameter.direction != "out":
                    passed.append(self.bare(argument.value))
                if place is not None:
                    scalars.append(place)
        received = []
        if not isinstance(function.return_type, Void):
            value = Place(function.return_type, self.temporary("value"))
            received.append(value.code)
            if target is not None:
                back.append((self.place(target), value))
        for place in scalars:
            came = Place(place.type, self.temporary("value"))
            received.append(came.code)
            back.append((place, came))
        left = f"{', '.join(received)}, = " if received else ""
        self.line(f"{left}{name}({', '.join(passed)})")
        for to, of in back:
            self.copy(to, of)
