"""Programs too long for the verifier, cut into functions that it looks at one by one.

The verifier walks the ways through a function and gives up after a million instructions. Ways that differ
in what is known of a register are walked apart, so that some dozens of branches may be too many. A global
function (kernel 5.6) is walked once, by itself, and its caller goes on knowing nothing of what it did: the
work adds up instead of multiplying. Its locals are gone when it returns, which also takes a long program's
locals off the 512 octets of stack.

Tail calls would divide the work too. But they do not return, so that no branch and no action could be cut;
there are 33 in a row at most; and a program would be a map of programs, not one that is exchanged in one
step.

The C text is cut between statements, from the inside out. What more than one function uses lives in the
scratch area; a jump out of a function is a number that it returns. That costs time (edge.p4 takes a tenth
longer in functions of 600 lines, 1.6 times as long in functions of 150, twice as long in functions of 40), so
that only programs are cut which the kernel refuses in one piece, and no finer than it must be.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field

from p4cats.compiler.backends.xdp.values import Names

_WORD = re.compile(r"(?<![\w.>])[A-Za-z_]\w*")
_COMMENT = re.compile(r"/\*.*?\*/")
_POSITION = re.compile(r"/\* (\S+:\d+)")
_LABEL = re.compile(r"^(\w+):")
_GOTO = re.compile(r"\bgoto (\w+);")
_CALL = re.compile(r"^(\t+)left = (\w+)\(ctx\);")
_ITERATOR = re.compile(r"bpf_iter_num_(\w+)\(&(\w+)")
_LOCAL = re.compile(r"(.*?)(\w+);$")

_SHORTEST = 4
"""Lines that are worth a function."""
_DEEPEST = 4
"""Functions above one another; the kernel takes 8, of which searches and arithmetic need some."""
_POSITIONS = ("pos", "o")
"""Offsets in the packet. Kept in locals, for the verifier knows no bounds of what is in memory."""
_GIVEN = {
    "base": "s->base & POS_MASK",
    "hidden": "nothing",
    "data": "(void *)(long)ctx->data",
    "end": "(void *)(long)ctx->data_end",
}
"""Locals of p4_main that others only read."""


@dataclass(slots=True)
class _Function:
    """A piece: its text, the labels outside of it that it jumps to, and how deep its calls go."""

    name: str
    lines: list[str]
    exits: list[str]
    height: int
    words: set[str] = field(default_factory=set)


class Pieces:
    """Functions beside p4_main; with `most` 0 nothing is cut."""

    def __init__(self, names: Names, most: int) -> None:
        self.most = most
        """Lines of a function."""
        self.bounds: dict[str, str] = {}
        """Locals that index arrays, and the greatest value they may have."""
        self._names = names
        self._functions: dict[str, _Function] = {}

    def cut(self, blocks: Iterable[list[str]]) -> list[str]:
        """The text of these statements: as it is, or calls of functions where it is long."""
        blocks = list(blocks)
        if not self.most or sum(map(len, blocks)) <= self.most:
            return [line for block in blocks for line in block]
        lines: list[str] = []
        group: list[str] = []
        for block in blocks:
            if group and (len(group) + len(block) > self.most or not _stands_alone(block)):
                lines += self.piece(group)
                group = []
            if _stands_alone(block):
                group += block
            else:
                lines += block
        return lines + self.piece(group)

    def piece(self, lines: list[str]) -> list[str]:
        """A call of a function with these statements, which stay where they are if it cannot have them."""
        height = 1 + max((self._functions[name].height for name in _called(lines)), default=0)
        if len(lines) < _SHORTEST or height > _DEEPEST or not _stands_alone(lines):
            return lines
        inside = {m[1] for line in lines if (m := _LABEL.match(line))}
        jumps = dict.fromkeys(label for line in lines for label in _GOTO.findall(line))
        exits = [label for label in jumps if label not in inside]
        name = self._names.fresh("piece")
        indent = "\t" * min(len(s) - len(s.lstrip("\t")) for s in lines if not _LABEL.match(s))
        inner = [line.removeprefix(indent[1:]) for line in lines]
        self._functions[name] = _Function(name, inner, exits, height)
        call = [f"left = {name}(ctx);{_shown(lines)}"]
        for number, label in enumerate(exits, 1):
            call += [f"if (left == {number})", f"\tgoto {label};"]
        return [f"{indent}{line}" for line in call]

    # -- when all is written ------------------------------------------------------------------

    def finish(self, main: list[str], variables: list[str]) -> tuple[list[str], list[str], list[str]]:
        """The functions, p4_main's locals with its statements, and members for the scratch area."""
        if not self._functions:
            return [], [*(f"\t{text}" for text in variables), *main], []
        everywhere = [*self._functions.values(), _Function("p4_main", main, [], 0)]
        for function in everywhere:
            function.words = _words(function.lines)
        kinds = {m[2]: m[1] for text in variables if (m := _LOCAL.match(text))}
        shared = {name for name in kinds if sum(name in f.words for f in everywhere) > 1}
        cached = {name for name in shared if name in self.bounds} | set(_POSITIONS)
        members = [f"{kinds[name]}{name};" for name in sorted(shared)] + ["u32 o;"]
        moved = shared - cached
        own = {name: text for name, text in kinds.items() if name not in shared}
        texts: list[str] = []
        for function in everywhere:
            kept = sorted((cached - set(_POSITIONS)) & function.words)
            local = [f"\tu32 {name} = 0;" for name in kept]
            local += [f"\t{text}{name};" for name, text in own.items() if name in function.words]
            lines = self._with_calls(function, cached)
            if function.name == "p4_main":
                return texts, _renamed([*local, *lines], moved), members
            texts += _renamed(self._text(function, local, lines, cached), moved)
        raise AssertionError("p4_main is the last")

    def _with_calls(self, function: _Function, cached: set[str]) -> list[str]:
        """Before and after a call, positions and indices go through memory."""
        lines: list[str] = []
        for line in function.lines:
            call = _CALL.match(line)
            if call is None:
                lines.append(line)
                continue
            names = sorted(cached & function.words & self._mentioned(call[2]))
            lines += [f"{call[1]}s->{name} = {name};" for name in names]
            lines.append(line)
            lines += [call[1][1:] + text for text in self._loads(names)]
        return lines

    def _mentioned(self, name: str) -> set[str]:
        """Words of a function and of those that it calls."""
        function = self._functions[name]
        return function.words.union(*(self._mentioned(other) for other in _called(function.lines)))

    def _loads(self, names: Iterable[str]) -> list[str]:
        lines = []
        for name in names:
            if name in _POSITIONS:
                lines.append(f"\t{name} = AT(s->{name});")
            else:
                most = self.bounds[name]
                lines += [f"\t{name} = s->{name};", f"\tCHECKED({name});", f"\tif ({name} > {most})"]
                lines += [f"\t\t{name} = {most};", f"\tCHECKED({name});"]
        return lines

    def _text(self, function: _Function, local: list[str], lines: list[str], cached: set[str]) -> list[str]:
        used = sorted(cached & function.words)
        stores = [f"\ts->{name} = {name};" for name in used]
        text = [
            "",
            f"__attribute__((noinline, weak)) int {function.name}(struct xdp_md *ctx)",
            "{",
            "\tu32 cpu = bpf_get_smp_processor_id(), z, pos, o, base, behind, left;",
            "\tstruct scratch *s;",
            "\tvoid *data, *end;",
            "\tu64 hidden;",
            *local,
            "\tif (cpu >= CPUS)",
            "\t\treturn 0;",
            "\ts = &scratch[cpu];",
            "\tz = zero & POS_MASK;",
            *(f"\t{name} = {value};" for name, value in _GIVEN.items() if name in function.words),
            *self._loads(used),
            *lines,
            *stores,
            "\treturn 0;",
        ]
        for number, label in enumerate(function.exits, 1):
            text += [f"{label}: ;", *stores, f"\treturn {number};"]
        return [*text, "}"]


def _words(lines: list[str]) -> set[str]:
    return {word for line in lines for word in _WORD.findall(_COMMENT.sub("", line))}


def _called(lines: list[str]) -> list[str]:
    return [m[2] for line in lines if (m := _CALL.match(line))]


def _stands_alone(lines: list[str]) -> bool:
    """An iterator is begun and ended in one function."""
    used = {(m[1] == "new", m[2]) for line in lines for m in _ITERATOR.finditer(line)}
    return all((True, name) in used for _, name in used)


def _shown(lines: list[str]) -> str:
    """The P4 position of the first of these lines, as a comment."""
    found = next((m for line in lines if (m := _POSITION.search(line))), None)
    return f" /* {found[1]} */" if found else ""


def _renamed(lines: list[str], names: set[str]) -> list[str]:
    """Let these variables be members of the scratch area."""
    return [_WORD.sub(lambda m: f"s->{m[0]}" if m[0] in names else m[0], line) for line in lines]


__all__ = ["Pieces"]
