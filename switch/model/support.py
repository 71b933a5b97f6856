"""What generated modules call: header stacks, logging, assertions."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from typing import Any

logger = logging.getLogger("p4cats.switch.model")


class AssertionFailed(Exception):  # noqa: N818 - named after the extern
    """`assert` or `assume` was false; simple_switch ends there, this switch drops the packet and says so."""

    def __init__(self, position: str, extern: str) -> None:
        self.position = position
        super().__init__(f"{position}: {extern} failed")


class Stack:
    """A header stack: its elements and nextIndex."""

    __slots__ = ("items", "kind", "next")

    def __init__(self, kind: Callable[[], Any], size: int) -> None:
        self.kind = kind
        self.items = [kind() for _ in range(size)]
        self.next = 0

    def at(self, index: int) -> Any:
        """The element; outside the stack an invalid one that nobody else sees."""
        return self.items[index] if 0 <= index < len(self.items) else self.kind()

    def push(self, count: int) -> None:
        """push_front: `count` invalid elements come in at the front."""
        size = len(self.items)
        count = min(count, size)
        self.items[:] = [self.kind() for _ in range(count)] + self.items[: size - count]
        self.next = min(self.next + count, size)

    def pop(self, count: int) -> None:
        """pop_front: the first `count` elements go, invalid ones follow at the end."""
        count = min(count, len(self.items))
        self.items[:] = self.items[count:] + [self.kind() for _ in range(count)]
        self.next = max(self.next - count, 0)


def element(items: Sequence[Any], index: int) -> Any:
    """An element of a constant list; its last one where the index is outside."""
    return items[min(max(index, 0), len(items) - 1)]


def copy_stack(to: Stack, of: Stack, copy: Callable[[Any, Any], None]) -> None:
    """Assign a stack."""
    for target, source in zip(to.items, of.items, strict=True):
        copy(target, source)
    to.next = of.next


def reset_stack(stack: Stack, reset: Callable[[Any], None]) -> None:
    """Make all elements invalid."""
    for item in stack.items:
        reset(item)
    stack.next = 0


def log_msg(text: str, values: Sequence[object]) -> None:
    """The log_msg extern: `{}` stands for the next value."""
    if logger.isEnabledFor(logging.INFO):
        for value in values:
            text = text.replace("{}", str(value), 1)
        logger.info("%s", text)


class Packet:
    """A packet on its way: parsed headers and metadata, payload, and what the program asked for."""

    __slots__ = (
        "clone_egress", "clone_ingress", "digest", "hdr", "length", "limit", "meta", "original", "payload",
        "recirculate", "resubmit", "sm",
    )  # fmt: skip

    def __init__(self, original: bytes, length: int, hdr: Any, meta: Any, sm: Any) -> None:
        self.original = original
        """The bytes as they came in (for clones and resubmits)."""
        self.length = length
        """Bytes at ingress: what counters and meters count."""
        self.hdr = hdr
        self.meta = meta
        self.sm = sm
        self.payload = b""
        self.limit = 0
        """Bytes a clone session cuts to at the end; 0: all."""
        self.clone_ingress: tuple[int, Any] | None = None
        self.clone_egress: tuple[int, Any] | None = None
        self.resubmit: Any = None
        self.recirculate: Any = None
        self.digest: tuple[str, tuple[object, ...]] | None = None
