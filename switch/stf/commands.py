"""The statements of an STF file, one class each (p4c tools/stf; facts/standards.md section 10)."""

from __future__ import annotations

from dataclasses import dataclass, field

from p4cats.errors import UserError


@dataclass(frozen=True, slots=True)
class Statement:
    """Base: the line it stands on."""

    line: int


@dataclass(frozen=True, slots=True)
class Add(Statement):
    """`add TABLE [PRIO] KEY:VALUE … ACTION(ARG:VALUE, …) [= HANDLE]`."""

    table: str
    priority: int | None
    keys: tuple[tuple[str, str], ...]
    action: str
    arguments: tuple[tuple[str, str], ...]
    handle: str | None = None


@dataclass(frozen=True, slots=True)
class SetDefault(Statement):
    """`setdefault TABLE ACTION(ARG:VALUE, …)`."""

    table: str
    action: str
    arguments: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Send(Statement):
    """`packet PORT HEX`."""

    port: int
    data: bytes


@dataclass(frozen=True, slots=True)
class Expect(Statement):
    """`expect PORT [HEX-with-* [$]]`; `pattern` None: any packet."""

    port: int
    pattern: str | None
    exact_length: bool = False


@dataclass(frozen=True, slots=True)
class NoPacket(Statement):
    """`no_packet`: nothing comes out anywhere."""


@dataclass(frozen=True, slots=True)
class CheckCounter(Statement):
    """`check_counter NAME(INDEX) [packets|bytes OP N]`; `key` the handle of a direct counter's entry."""

    name: str
    index: int | None
    key: str | None
    what: str
    operator: str
    value: int


@dataclass(frozen=True, slots=True)
class Command(Statement):
    """A command of simple_switch_CLI: `mirroring_add 5 2`, `mc_mgrp_create 1`, `register_write r 0 7` …"""

    name: str
    words: tuple[str, ...] = field(default=())


class StfError(UserError):
    """A mistake in an STF file, or a name that the program does not have: `FILE:LINE: message`."""

    def __init__(self, path: str, line: int, message: str) -> None:
        self.path = path
        self.line = line
        super().__init__(f"{path}:{line}: error: {message}")
