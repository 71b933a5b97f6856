"""Work in another network namespace (setns(2)) without leaving the mount namespace.

`ip netns exec` and Mininet's `mnexec -n` remount /sys, and pinned BPF objects under /sys/fs/bpf vanish for
what they start. Here a thread joins the network namespace alone; the rest of the process stays where it
was. Sockets and processes that it makes there live in that namespace from then on.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

from p4cats.errors import EnvironmentLacksError, UserError

_OWN = Path("/proc/thread-self/ns/net")
_CLONE_NEWNET = 0x40000000
_LIBC = ctypes.CDLL(None, use_errno=True)

T = TypeVar("T")


def netns_path(netns: str | Path) -> Path:
    """The file of a namespace given as a path, a process id, or a name under /run/netns; it must exist."""
    if "/" in str(netns):
        path = Path(netns)
    elif str(netns).isdigit():
        path = Path(f"/proc/{netns}/ns/net")
    else:
        path = Path("/run/netns") / netns
    if not path.exists():
        raise UserError(f"network namespace {str(netns)!r}: {path} does not exist (see `ip netns list`)")
    return path


def inode(netns: str | Path | None) -> int:
    """The inode number of a namespace (None: the caller's), by which the kernel knows it."""
    return (_OWN if netns is None else netns_path(netns)).stat().st_ino


@contextlib.contextmanager
def entered(netns: str | Path | None) -> Iterator[None]:
    """Run the body in a namespace (see `netns_path`; None stays), in the calling thread."""
    if netns is None:
        yield
        return
    path = netns_path(netns)
    back = os.open(_OWN, os.O_RDONLY | os.O_CLOEXEC)
    try:
        _enter(path)
        try:
            yield
        finally:
            _setns(back, _OWN)
    finally:
        os.close(back)


def call_in(netns: str | Path | None, work: Callable[[], T]) -> T:
    """Call `work` in a namespace (see `netns_path`) and return what it returns.

    In a thread of its own, unless `netns` is None: `work` may run an event loop where the caller is in one.
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

    thread = threading.Thread(target=run, name=f"in {path}")
    thread.start()
    thread.join()
    if errors:
        raise errors[0]
    return results[0]


def _enter(path: Path) -> None:
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError as error:
        raise UserError(f"network namespace {path}: {error.strerror}") from error
    try:
        _setns(fd, path)
    finally:
        os.close(fd)


def _setns(fd: int, path: Path) -> None:
    if _LIBC.setns(fd, _CLONE_NEWNET):
        reason = os.strerror(ctypes.get_errno())
        raise EnvironmentLacksError(f"cannot enter network namespace {path} ({reason}): run as root")


__all__ = ["call_in", "entered", "inode", "netns_path"]
