"""Load sense.bpf.c with bcc: TCP requests in flight and run-queue latency of this kernel.

One Sense serves every network namespace of the kernel: it counts for each service that
has an entry in the pinned maps (p4cats.ebpf.stamp), keyed by namespace and address.
"""

import contextlib
import os
import sys
import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from p4cats import netns
from p4cats.ebpf import build, stamp, system
from p4cats.ebpf.errors import BuildError, MissingError
from p4cats.ebpf.libbpf import Btf, Object


@dataclass(frozen=True)
class RunQueue:
    """Totals since the start: how often a task waited for a CPU, and how long, in nanoseconds."""

    waits: int
    wait_ns: int

    def mean_us_since(self, earlier: "RunQueue") -> float:
        """Return the mean wait in microseconds between two readings; 0 when nothing ran."""
        waits = self.waits - earlier.waits
        return (self.wait_ns - earlier.wait_ns) / waits / 1000 if waits else 0.0


class Sense:
    """The tracepoint programs, attached from construction to `close`."""

    def __init__(self, pin_dir: Path) -> None:
        self._pin_dir = pin_dir
        self._bpf = _compile(pin_dir)
        self._table = self._bpf[b"run_queue"]

    def count_established(self, namespaces: Iterable[Path | None]) -> None:
        """Count the connections that were there before; each once, however often this is called."""
        path = build.compile_bpf(build.sources() / "established.bpf.c")
        with Object.open(path) as loaded:
            stamp.share(loaded, self._pin_dir)
            loaded.load()
            link = loaded.programs["established"].attach_iterator()
            try:
                for namespace in namespaces:
                    with netns.entered(namespace):
                        link.read_iterator()
            finally:
                link.close()

    def run_queue(self) -> RunQueue:
        """Read the run-queue totals, over all CPUs."""
        rows = self._table[self._table.Key(0)]
        return RunQueue(sum(row.waits for row in rows), sum(row.wait_ns for row in rows))

    def close(self) -> None:
        """Detach the tracepoint programs."""
        self._bpf.cleanup()


def _compile(pin_dir: Path) -> Any:
    bpf_class = _bcc()
    system.ensure_tracefs()
    with Btf.vmlinux() as types:
        offsets = {
            "SOCK_NET": types.offset("sock", "__sk_common.skc_net.net"),
            "NET_INUM": types.offset("net", "ns.inum"),
        }
    flags = [f"-I{build.sources()}", f'-DPIN_DIR="{pin_dir}"', "-Wno-macro-redefined"]
    flags += [f"-D{name}={value}" for name, value in offsets.items()]
    with _environment("BCC_KERNEL_SOURCE", system.kernel_source()), _stderr() as said:
        try:
            return bpf_class(src_file=os.fsencode(build.sources() / "sense.bpf.c"), cflags=flags)
        except Exception as error:  # bcc raises bare Exception
            lines = said() or [str(error)]
            raise BuildError("bcc cannot load sense.bpf.c\n  " + "\n  ".join(lines[-8:])) from error


def _bcc() -> Any:
    advice = (
        "bcc for Python is not installed: apt install python3-bpfcc, in an environment made"
        " with --system-site-packages (the bcc of PyPI is another package)"
    )
    try:
        from bcc import BPF  # noqa: PLC0415  slow to import, and not needed to stamp
    except ImportError as error:
        raise MissingError(advice) from error
    return BPF


@contextlib.contextmanager
def _environment(name: str, value: Path | None) -> Iterator[None]:
    if value is None:
        yield
        return
    os.environ[name] = str(value)
    try:
        yield
    finally:
        del os.environ[name]


@contextlib.contextmanager
def _stderr() -> Iterator[Any]:
    """Catch what the compiler inside bcc writes to file descriptor 2; yield a function that reads it."""
    sys.stderr.flush()
    saved = os.dup(2)
    with tempfile.TemporaryFile() as caught:

        def said() -> list[str]:
            caught.seek(0)
            return caught.read().decode(errors="replace").splitlines()

        os.dup2(caught.fileno(), 2)
        try:
            yield said
        finally:
            os.dup2(saved, 2)
            os.close(saved)
