"""STF text to statements.

One statement per line. Keywords are case-insensitive and only known as first words; `#` begins a comment,
also after packet data (p4c's lexer rejects it there, others do not).
"""

from __future__ import annotations

import re
from collections.abc import Callable

from p4cats.switch.stf.commands import (
    Add,
    CheckCounter,
    Command,
    Expect,
    NoPacket,
    Send,
    SetDefault,
    Statement,
    StfError,
)

COMMANDS = frozenset(
    [
        "mirroring_add",
        "mirroring_add_mc",
        "mirroring_delete",
        "mirroring_get",
        "mc_mgrp_create",
        "mc_node_create",
        "mc_node_update",
        "mc_node_associate",
        "counter_read",
        "counter_write",
        "register_read",
        "register_write",
        "register_reset",
        "meter_get_rates",
        "meter_set_rates",
        "meter_array_set_rates",
    ]
)

_INDEX = r"(?:\[\w+(?::\w+)?\])*"
_NAME = rf'(?:[A-Za-z_$][\w$]*{_INDEX}(?:\.[A-Za-z_$\d][\w$]*{_INDEX})*|"[^"]*"(?:\.[\w$.]+)?)'
_VALUE = r"(?:0[xX][\da-fA-F*]+|0[bB][01*]+|0[oO][0-7]+|-?\d+|[A-Za-z_][\w.]*)"
_PAIR = re.compile(rf"\s*({_NAME})\s*:\s*({_VALUE}(?:\s*(?:/|&&&|\.\.|->)\s*{_VALUE})?|\*|_)")
_ACTION = re.compile(rf"\s*({_NAME})\s*\(([^)]*)\)\s*(?:=\s*({_NAME}))?\s*")
_ARGUMENT = re.compile(rf"\s*({_NAME})\s*:\s*({_VALUE})\s*")
_COUNTER = re.compile(
    rf"\s*({_NAME})\s*\(\s*(\$?\w+)\s*\)\s*(?:(packets|bytes)\s*(==|!=|<=|>=|<|>)\s*(\d+))?\s*", re.I
)


LARGEST_PORT = 511


def whole_number(text: str) -> int:
    """A number as STF files write it: `08` is eight. Errors: ValueError."""
    return int(text) if text.isdigit() else int(text, 0)


def parse_stf(text: str, path: str = "<stf>") -> list[Statement]:
    """Read an STF file. Errors: StfError at the first line that is none."""
    return [s for s in (_Line(path, n, row).parse() for n, row in enumerate(text.splitlines(), 1)) if s]


class _Line:
    """One line and its parser."""

    def __init__(self, path: str, number: int, text: str) -> None:
        self.path = path
        self.number = number
        self.text = _without_comment(text).strip()

    def fail(self, message: str) -> StfError:
        return StfError(self.path, self.number, message)

    def parse(self) -> Statement | None:
        if not self.text:
            return None
        word, rest = [*self.text.split(None, 1), ""][:2]
        keyword = word.lower()
        handlers: dict[str, Callable[[str], Statement | None]] = {
            "add": self._add, "setdefault": self._set_default, "packet": self._packet, "expect": self._expect,
            "no_packet": lambda _: NoPacket(self.number), "wait": lambda _: Command(self.number, "wait"),
            "remove": lambda _: Command(self.number, "remove"), "check_counter": self._check_counter,
        }  # fmt: skip
        if keyword in handlers:
            return handlers[keyword](rest.strip())
        if keyword in COMMANDS:
            return Command(self.number, keyword, tuple(w.strip('"') for w in rest.split()))
        known = ", ".join(sorted([*handlers, *COMMANDS]))
        raise self.fail(f'no STF statement begins with "{word}" (known: {known})')

    def _add(self, rest: str) -> Statement:
        table, rest = self._name(rest, "a table")
        priority = None
        found = re.match(r"\s*(\d+|0x[\da-fA-F]+)(?=\s)", rest)
        if found:
            priority = whole_number(found[1])
            rest = rest[found.end() :]
        keys = []
        while pair := _PAIR.match(rest):
            keys.append((pair[1].strip('"'), re.sub(r"\s", "", pair[2])))
            rest = rest[pair.end() :]
        action, arguments, handle = self._action(rest)
        return Add(self.number, table, priority, tuple(keys), action, arguments, handle)

    def _set_default(self, rest: str) -> Statement:
        table, rest = self._name(rest, "a table")
        action, arguments, _ = self._action(rest)
        return SetDefault(self.number, table, action, arguments)

    def _name(self, rest: str, what: str) -> tuple[str, str]:
        found = re.match(rf"\s*({_NAME})", rest)
        if not found:
            raise self.fail(f"{what} name is missing before {rest!r}")
        return found[1].replace('"', ""), rest[found.end() :]

    def _action(self, rest: str) -> tuple[str, tuple[tuple[str, str], ...], str | None]:
        found = _ACTION.fullmatch(rest)
        if not found:
            raise self.fail(f"expected KEY:VALUE or ACTION(ARG:VALUE, …), found {rest.strip()!r}")
        arguments = []
        for part in filter(str.strip, found[2].split(",")):
            pair = _ARGUMENT.fullmatch(part)
            if not pair:
                raise self.fail(f"expected ARG:VALUE, found {part.strip()!r}")
            arguments.append((pair[1].strip('"'), pair[2]))
        return found[1].replace('"', ""), tuple(arguments), found[3]

    def _port(self, rest: str) -> tuple[int, str]:
        found = re.match(r"\s*(0[xX][\da-fA-F]+|\d+)(?=\s|$)", rest)
        if not found:
            raise self.fail(f"expected a port number, found {rest[:20]!r}")
        port = whole_number(found[1])
        if port > LARGEST_PORT:
            raise self.fail(f"port {port} does not fit the 9 bits of ports")
        return port, re.sub(r"\s", "", rest[found.end() :])

    def _packet(self, rest: str) -> Statement:
        port, data = self._port(rest)
        if not re.fullmatch(r"[\da-fA-F]*", data):
            raise self.fail("packet data must be hexadecimal digits")
        if len(data) % 2:
            data = f"{data[:-1]}0{data[-1]}"  # p4c's runner takes an odd digit at the end for a byte
        return Send(self.number, port, bytes.fromhex(data))

    def _expect(self, rest: str) -> Statement:
        port, data = self._port(rest)
        exact = data.endswith("$")
        data = data.removesuffix("$")
        if not re.fullmatch(r"[\da-fA-F*]*", data):
            raise self.fail('expected data must be hexadecimal digits or "*", with "$" at the end at most')
        return Expect(self.number, port, data.lower() if data or exact else None, exact)

    def _check_counter(self, rest: str) -> Statement:
        found = _COUNTER.fullmatch(rest)
        if not found:
            raise self.fail("expected NAME(INDEX) [packets|bytes OPERATOR NUMBER]")
        key = found[2][1:] if found[2].startswith("$") else None
        try:
            index = None if key is not None else whole_number(found[2])
        except ValueError:
            raise self.fail(f"{found[2]!r} is neither an index nor a $handle") from None
        what, operator, value = (
            (found[3] or "packets").lower(),
            found[4] or "==",
            whole_number(found[5] or "0"),
        )
        return CheckCounter(self.number, found[1].replace('"', ""), index, key, what, operator, value)


def _without_comment(text: str) -> str:
    quoted = False
    for position, character in enumerate(text):
        if character == '"':
            quoted = not quoted
        elif character == "#" and not quoted:
            return text[:position]
    return text
