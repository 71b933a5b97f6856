"""Work in another network namespace (setns(2)): by name, by path, or that of a process."""

from __future__ import annotations

import ctypes
import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from p4cats.errors import UserError

_CLONE_NEWNET = 0x40000000

T = TypeVar("T")


def netns_path(netns: str) -> Path:
    """The file of a namespace given as a path, a process id, or a name under /run/netns."""
    if "/" in netns:
        path = Path(netns)
    elif netns.isdigit():
        path = Path(f"/proc/{netns}/ns/net")
    else:
        path = Path("/run/netns") / netns
    if not path.exists():
        raise UserError(f"network namespace {netns!r}: {path} does not exist (see `ip netns list`)")
    return path


def in_netns(netns: str | None, work: Callable[[], T]) -> T:
    """Run `work` in a namespace and return what it returns; None is the caller's own.

    setns(2) moves a thread, not the process: a short-lived one does the work, so nothing else is moved
    and there is nothing to move back. Sockets stay in the namespace where they were made.
    """
    if netns is None:
        return work()
    path = netns_path(netns)
    results: list[T] = []
    errors: list[BaseException] = []

    def run() -> None:
        try:
            _enter(path)
            results.append(work())
        except BaseException as error:
            errors.append(error)

    thread = threading.Thread(target=run, name="netns")
    thread.start()
    thread.join()
    if errors:
        raise errors[0]
    return results[0]


def _enter(path: Path) -> None:
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        libc = ctypes.CDLL(None, use_errno=True)
        if libc.setns(fd, _CLONE_NEWNET):
            number = ctypes.get_errno()
            raise UserError(f"cannot enter network namespace {path}: {os.strerror(number)} (root is needed)")
    finally:
        os.close(fd)


__all__ = ["in_netns", "netns_path"]
