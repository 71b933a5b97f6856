"""Work in another network namespace (setns(2)) without leaving the mount namespace.

`ip netns exec` and Mininet's `mnexec -n` remount /sys, and pinned BPF objects under /sys/fs/bpf vanish for
what they start. Here a thread joins the network namespace alone, does its work and ends; the rest of the
process stays where it was. Sockets and processes made by the work live in that namespace from then on.
"""

from __future__ import annotations

import ctypes
import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from p4cats.errors import EnvironmentLacksError, UserError

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


def call_in(netns: str | None, work: Callable[[], T]) -> T:
    """Call `work` in a namespace (see `netns_path`; None is the caller's own) and return what it returns."""
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

    thread = threading.Thread(target=run, name=f"in {path}")
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
            reason = os.strerror(ctypes.get_errno())
            raise EnvironmentLacksError(f"cannot enter network namespace {path} ({reason}): run as root")
    finally:
        os.close(fd)


__all__ = ["call_in", "netns_path"]
