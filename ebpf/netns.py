"""Enter network namespaces without leaving the mount namespace.

`ip netns exec` and `mnexec` remount /sys, which hides pinned maps; setns on the network
namespace alone does not. Only the calling thread moves.
"""

import contextlib
import ctypes
import os
from collections.abc import Iterator
from pathlib import Path

from p4cats.ebpf.errors import ConfigError, MissingError

OWN = Path("/proc/thread-self/ns/net")
_CLONE_NEWNET = 0x40000000
_LIBC = ctypes.CDLL(None, use_errno=True)


@contextlib.contextmanager
def entered(path: Path | None) -> Iterator[None]:
    """Run the body in the namespace at /run/netns/NAME or /proc/PID/ns/net; None stays here."""
    if path is None:
        yield
        return
    back = os.open(OWN, os.O_RDONLY | os.O_CLOEXEC)
    try:
        try:
            there = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        except OSError as error:
            raise ConfigError(f"network namespace {path}: {error.strerror}") from error
        try:
            _setns(there, path)
        finally:
            os.close(there)
        try:
            yield
        finally:
            _setns(back, OWN)
    finally:
        os.close(back)


def inode(path: Path | None) -> int:
    """Return the namespace's inode number, by which the kernel's counts are keyed."""
    try:
        return os.stat(path or OWN).st_ino
    except OSError as error:
        raise ConfigError(f"network namespace {path}: {error.strerror}") from error


def _setns(fd: int, path: Path) -> None:
    if _LIBC.setns(fd, _CLONE_NEWNET):
        reason = os.strerror(ctypes.get_errno())
        raise MissingError(f"cannot enter network namespace {path} ({reason}): run as root")
