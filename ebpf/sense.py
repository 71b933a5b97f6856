"""Load sense.bpf.c with bcc, and node.bpf.c: TCP requests in flight, run-queue latency, CPU use.

One Sense serves every network namespace of the kernel: it counts for each service that
has an entry in the pinned maps (p4cats.ebpf.stamp), keyed by namespace and address.
"""

from __future__ import annotations

import contextlib
import errno
import os
import sys
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, NamedTuple

from p4cats import netns
from p4cats.ebpf import build, stamp, system
from p4cats.ebpf.errors import BuildError, LibbpfError, MissingError
from p4cats.ebpf.libbpf import Btf, Object, possible_cpus

SMOOTHING_S = 1.0
"""Averages of the node are over about so long."""
MAX_CPUS = 1024
"""As many entries as the map `sched` has."""


class NodeLoad(NamedTuple):
    """What the node's processors do: averages that the kernel keeps."""

    cpu_use: float
    """Share of all CPUs' time that was not idle, 0 to 1."""
    run_queue_us: float
    """Mean time from becoming runnable to running, in microseconds."""
    readings: int
    """Made of the scheduler so far."""
    spent_s: float
    """CPU time that they took."""


class Sense:
    """The tracepoint programs, attached from construction to `close`."""

    def __init__(self, pin_dir: Path, tcp_sets: int, period_ms: int = 10) -> None:
        """Share the maps of a Stamp; `period_ms`: between two readings of the scheduler, in milliseconds."""
        self._pin_dir = pin_dir
        self._tcp_sets = tcp_sets
        with ExitStack() as undo:
            self._node = undo.enter_context(Object.open(build.compile_bpf(build.sources() / "node.bpf.c")))
            stamp.share(self._node, pin_dir, tcp_sets)
            self._node.set_global("period_ns", period_ms * 1_000_000)
            self._node.set_global("smoothing", max(1, round(SMOOTHING_S * 1000 / period_ms)))
            self._node.set_global("cpus", min(possible_cpus(), MAX_CPUS))
            self._node.set_global("online", os.cpu_count() or 1)
            self._node.load()
            self._bpf = _compile(pin_dir, tcp_sets)
            undo.callback(self._bpf.cleanup)
            self._layout = self._node.maps["node"].value_layout
            self._load = self._node.maps["node"].memory()
            undo.callback(self._load.close)
            if self._node.programs["start"].test_run(bytes(14)).retval:
                raise LibbpfError("start the timer of node.bpf.c", errno.EINVAL)
            self._cleanup = undo.pop_all()

    def node(self) -> NodeLoad:
        """Return the node's load as of the last reading; no system call."""
        now: dict[str, Any] = self._layout.decode(self._load[: self._layout.size])
        return NodeLoad(
            now["cpu_use_ppm"] / 1e6, now["run_queue_ns"] / 1e3, now["readings"], now["spent_ns"] / 1e9
        )

    def count_established(self, namespaces: Iterable[Path | None]) -> None:
        """Count the connections that were there before; each once, however often this is called."""
        path = build.compile_bpf(build.sources() / "established.bpf.c")
        with Object.open(path) as loaded:
            stamp.share(loaded, self._pin_dir, self._tcp_sets)
            loaded.set_global("tcp_sets", self._tcp_sets)
            loaded.load()
            link = loaded.programs["established"].attach_iterator()
            try:
                for namespace in namespaces:
                    with netns.entered(namespace):
                        link.read_iterator()
            finally:
                link.close()

    def close(self) -> None:
        """Detach the tracepoint programs, stop the timer."""
        self._cleanup.close()


def _compile(pin_dir: Path, tcp_sets: int) -> Any:
    with Btf.vmlinux() as types:
        offsets = {
            "SOCK_COMMON": types.size(types.find("sock_common")) // 8 * 8,
            "SOCK_FAMILY": types.offset("sock", "__sk_common.skc_family"),
            "SOCK_PROTOCOL": types.offset("sock", "sk_protocol"),
            "SOCK_NET": types.offset("sock", "__sk_common.skc_net.net"),
            "SOCK_ADDRESS": types.offset("sock", "__sk_common.skc_v6_rcv_saddr"),
            "SOCK_PORT": types.offset("sock", "__sk_common.skc_num"),
            "NET_INUM": types.offset("net", "ns.inum"),
            "TASK_WAITED": _waited(types),
        }
    flags = [f"-I{build.sources()}", f'-DPIN_DIR="{pin_dir}"', "-Wno-macro-redefined"]
    flags += [f"-D{name}={value}" for name, value in {**offsets, "TCP_SETS": tcp_sets}.items()]
    return compile_with_bcc(build.sources() / "sense.bpf.c", flags)


def _waited(types: Btf) -> int:
    try:
        return types.offset("task_struct", "sched_info.run_delay")
    except LibbpfError as error:
        raise MissingError(
            "this kernel does not count how long tasks wait for a CPU:"
            " CONFIG_TASK_DELAY_ACCT=y or CONFIG_SCHEDSTATS=y is needed"
        ) from error


def compile_with_bcc(source: Path, flags: Sequence[str]) -> Any:
    """Compile tracepoint programs for the running kernel and attach them; BuildError, MissingError."""
    bpf_class = _bcc()
    system.ensure_tracefs()
    with _environment("BCC_KERNEL_SOURCE", system.kernel_source()), _stderr() as said:
        try:
            return bpf_class(src_file=os.fsencode(source), cflags=list(flags))
        except Exception as error:  # bcc raises bare Exception
            lines = said() or [str(error)]
            raise BuildError(f"bcc cannot load {source.name}\n  " + "\n  ".join(lines[-8:])) from error


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
