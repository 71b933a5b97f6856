"""Load sense.bpf.c with bcc: TCP requests in flight, run-queue latency and CPU use of this kernel.

One Sense serves every network namespace of the kernel: it counts for each service that
has an entry in the pinned maps (p4cats.ebpf.stamp), keyed by namespace and address.
"""

from __future__ import annotations

import contextlib
import math
import mmap
import os
import struct
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from p4cats import netns
from p4cats.ebpf import build, stamp, system
from p4cats.ebpf.errors import BuildError, MissingError
from p4cats.ebpf.libbpf import Btf, Object, possible_cpus

_SAMPLED_SWITCHES_PER_S = 2_000
"""Context switches per second up to which every task's waits are measured; beyond, a share of the tasks.

Plenty for a mean: 20 in each look at the shortest interval.
"""
_EPOCH_S = 1.0
"""The sample of tasks changes so often. Waits that a change cuts are lost: 1 % of those of 10 ms."""
_CPU = struct.Struct("=6Q")
_SAMPLING = struct.Struct("=II")


@dataclass(frozen=True)
class Scheduler:
    """Totals since the start over all CPUs, in nanoseconds: idle time, sampled waits for a CPU."""

    at_ns: int
    """When they were read, CLOCK_MONOTONIC."""
    cpus: int
    switches: int
    waits: int
    wait_ns: int
    idle_ns: int

    def mean_wait_us_since(self, earlier: Scheduler) -> float | None:
        """Return the mean wait in microseconds between two readings; None when nothing was seen."""
        waits = self.waits - earlier.waits
        return (self.wait_ns - earlier.wait_ns) / waits / 1000 if waits > 0 else None

    def cpu_use_since(self, earlier: Scheduler) -> float:
        """Return the share of all CPUs' time that was not idle between two readings, 0 to 1."""
        passed = (self.at_ns - earlier.at_ns) * self.cpus
        if passed <= 0:
            return 0.0
        return min(1.0, max(0.0, 1 - (self.idle_ns - earlier.idle_ns) / passed))


class Sense:
    """The tracepoint programs, attached from construction to `close`."""

    def __init__(self, pin_dir: Path) -> None:
        self._pin_dir = pin_dir
        self._bpf = _compile(pin_dir)
        cpus = possible_cpus()
        self._cpus = os.cpu_count() or cpus
        fd = self._bpf[b"sched"].map_fd
        self._sched = mmap.mmap(fd, cpus * _CPU.size, mmap.MAP_SHARED, mmap.PROT_READ)
        self._sampling = self._bpf[b"sampling"]
        self._epoch = 0
        self._epoch_began: Scheduler | None = None

    def scheduler(self) -> Scheduler:
        """Read the totals; from time to time, choose anew which tasks are sampled."""
        now = time.monotonic_ns()
        switches = waits = wait_ns = idle_ns = 0
        for s, w, ns, idle, since, _ in _CPU.iter_unpack(self._sched[: len(self._sched)]):
            switches += s
            waits += w
            wait_ns += ns
            idle_ns += idle + (max(0, now - since) if since else 0)
        total = Scheduler(now, self._cpus, switches, waits, wait_ns, idle_ns)
        self._resample(total)
        return total

    def _resample(self, total: Scheduler) -> None:
        began = self._epoch_began
        seconds = (total.at_ns - began.at_ns) / 1e9 if began else 0.0
        if began and seconds < _EPOCH_S:
            return
        rate = (total.switches - began.switches) / seconds if began else 0.0
        share = max(1, math.ceil(rate / _SAMPLED_SWITCHES_PER_S))
        self._epoch = (self._epoch + 1) % 64
        mask = (1 << (share - 1).bit_length()) - 1
        self._sampling[self._sampling.Key(0)] = self._sampling.Leaf(mask, self._epoch)
        self._epoch_began = total

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

    def close(self) -> None:
        """Detach the tracepoint programs."""
        self._sched.close()
        self._bpf.cleanup()


def _compile(pin_dir: Path) -> Any:
    bpf_class = _bcc()
    system.ensure_tracefs()
    with Btf.vmlinux() as types:
        offsets = {
            "SOCK_FAMILY": types.offset("sock", "__sk_common.skc_family"),
            "SOCK_PROTOCOL": types.offset("sock", "sk_protocol"),
            "SOCK_NET": types.offset("sock", "__sk_common.skc_net.net"),
            "SOCK_ADDRESS": types.offset("sock", "__sk_common.skc_v6_rcv_saddr"),
            "SOCK_PORT": types.offset("sock", "__sk_common.skc_num"),
            "NET_INUM": types.offset("net", "ns.inum"),
            "TASK_STATE": types.offset("task_struct", "__state"),
        }
    flags = [f"-I{build.sources()}", f'-DPIN_DIR="{pin_dir}"', "-Wno-macro-redefined"]
    flags += [f"-D{name}={value}" for name, value in {**offsets, "CPUS": possible_cpus()}.items()]
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
