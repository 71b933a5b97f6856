"""What one network leaves on the machine, recorded so that it can be removed, also after a SIGKILL.

Namespaces, interfaces and qdiscs of a network exist only inside namespaces without a name, and
those exist only while processes hold them: when the processes are gone, everything is. So the
record is about processes:

    /run/p4cats/<pid>-<start time>-<count>-<name>/      one directory a network; its name is the owner
        processes                                       `pid start-time command` of each process started
        paths                                           files and directories to remove as well

Every process also has P4CATS_NETWORK=<that directory's name> in its environment, which its own
children inherit: this finds what a shell in a node started. A pid is never trusted alone: it counts
only with the start time that the kernel gives it, or with the mark in its environment. What is pinned
in /sys/fs/bpf/p4cats/<that directory's name> is removed with the network, too.
"""

from __future__ import annotations

import contextlib
import os
import re
import select
import shutil
import signal
import subprocess
import time
from collections.abc import Iterable, Mapping, Sequence
from itertools import count
from pathlib import Path
from typing import Any

ROOT = Path("/run/p4cats")
PINS = Path("/sys/fs/bpf/p4cats")
"""Where host agents and switches pin their maps, in a directory for each network, named as its record."""
MARK = "P4CATS_NETWORK"
KILL_TIMEOUT_S = 5.0
"""Seconds to wait for killed processes to disappear."""
EXEC_TIMEOUT_S = 0.1
"""Longest wait for a process to show its environment."""

_PF_KTHREAD = 0x00200000
_NAME = re.compile(r"(\d+)-(\d+)-\d+-.+")
_counter = count(1)


def start_time(pid: int) -> int | None:
    """Return when a process started (clock ticks since boot), None if there is no such living process."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_bytes()
    except OSError:
        return None
    fields = stat.rpartition(b")")[2].split()  # the command, in parentheses, may hold anything
    return None if fields[0] in (b"Z", b"X") else int(fields[19])


class Run:
    """The record of one network, and the way to start its processes."""

    def __init__(self, directory: Path):
        self.directory = directory
        self.name = directory.name

    @classmethod
    def create(cls, network: str) -> Run:
        """Begin the record of a new network that this process owns."""
        pid = os.getpid()
        directory = ROOT / f"{pid}-{start_time(pid)}-{next(_counter)}-{network}"
        directory.mkdir(parents=True)
        return cls(directory)

    def environment(self, extra: Mapping[str, str] | None = None) -> dict[str, str]:
        """Return an environment (this process's own, unless one is given) with the mark of this network."""
        return {**(os.environ if extra is None else extra), MARK: self.name}

    def record(self, pid: int, argv: Sequence[str]) -> None:
        """Remember a process that was started for this network."""
        with (self.directory / "processes").open("a", encoding="utf-8") as file:
            file.write(f"{pid} {start_time(pid)} {' '.join(argv)[:200]!r}\n")

    def also_remove(self, path: str | Path) -> None:
        """Remember a file or directory (a socket, pinned BPF objects) to remove with the network."""
        with (self.directory / "paths").open("a", encoding="utf-8") as file:
            file.write(f"{Path(path).absolute()}\n")

    def spawn(
        self,
        argv: Sequence[str],
        netns: str | None = None,
        die_with_parent: bool = True,
        **options: Any,
    ) -> subprocess.Popen[Any]:
        """Start a process of this network, in a network namespace if one is given.

        The process is in a session of its own, so that Ctrl-C reaches only its owner. It gets
        SIGKILL when the *thread* that started it ends (prctl(2), PR_SET_PDEATHSIG): from a thread
        that ends earlier than the network, pass die_with_parent=False.
        """
        command = shutil.which(argv[0])
        if command is None:
            raise FileNotFoundError(f"{argv[0]}: not installed")
        full = [command, *argv[1:]]
        if die_with_parent:  # no preexec_fn: it would run fork handlers of gRPC and others
            full = ["setpriv", "--pdeathsig", "KILL", "--", *full]
        if netns is not None:
            full = ["nsenter", f"--net={netns}", "--", *full]
        options["env"] = self.environment(options.get("env"))
        options.setdefault("start_new_session", True)
        process: subprocess.Popen[Any] = subprocess.Popen(full, **options)
        self.record(process.pid, argv)
        return process

    def processes(self) -> set[int]:
        """Return the living processes of this network."""
        return self._recorded() | self._marked()

    def _recorded(self) -> set[int]:
        found = set()
        for line in self._lines("processes"):
            pid, _, rest = line.partition(" ")
            started = rest.partition(" ")[0]
            if pid.isdigit() and started.isdigit() and start_time(int(pid)) == int(started):
                found.add(int(pid))
        return found

    def _marked(self) -> set[int]:
        wanted = f"{MARK}={self.name}".encode()
        found = set()
        for entry in Path("/proc").iterdir():
            if entry.name.isdigit() and int(entry.name) != os.getpid():
                with contextlib.suppress(OSError):
                    if wanted in _environ(entry).split(b"\0"):
                        found.add(int(entry.name))
        return {pid for pid in found if start_time(pid) is not None}

    def _lines(self, file: str) -> list[str]:
        try:
            return (self.directory / file).read_text(encoding="utf-8").splitlines()
        except OSError:
            return []

    def kill(self) -> None:
        """Kill every process of this network and wait until none is left."""
        deadline = time.monotonic() + KILL_TIMEOUT_S
        while time.monotonic() < deadline:
            alive = self.processes()
            if not alive:
                return
            _kill(alive, deadline)

    def remove(self) -> None:
        """Kill what is left, remove the recorded paths and what is pinned, and forget the network."""
        self.kill()
        for line in self._lines("paths"):
            path = Path(line)
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path, ignore_errors=True)
            else:
                with contextlib.suppress(OSError):
                    path.unlink()
        for directory in (PINS / self.name, self.directory):
            shutil.rmtree(directory, ignore_errors=True)
        _remove_empty()


def _remove_empty() -> None:
    """Remove the directories that all networks share, if no network is left."""
    for directory in (ROOT, PINS):
        with contextlib.suppress(OSError):  # not empty
            directory.rmdir()


def _environ(process: Path) -> bytes:
    """Return the environment of a process (a directory of /proc); one that is in execve(2) has none yet."""
    deadline = time.monotonic() + EXEC_TIMEOUT_S
    while True:
        environ = (process / "environ").read_bytes()
        if environ or time.monotonic() > deadline or _is_kernel_thread(process):
            return environ
        time.sleep(0.001)


def _is_kernel_thread(process: Path) -> bool:
    flags = (process / "stat").read_bytes().rpartition(b")")[2].split()[6]
    return bool(int(flags) & _PF_KTHREAD)


def _kill(pids: Iterable[int], deadline: float) -> None:
    """Send SIGKILL and wait for the end; a pidfd cannot come to mean another process meanwhile."""
    handles = []
    for pid in pids:
        started = start_time(pid)
        try:
            handle = os.pidfd_open(pid)
        except OSError:
            continue
        handles.append(handle)
        if started is not None and start_time(pid) == started:
            with contextlib.suppress(OSError):
                signal.pidfd_send_signal(handle, signal.SIGKILL)
    poller = select.poll()
    for handle in handles:
        poller.register(handle, select.POLLIN)
    waiting = set(handles)
    while waiting and time.monotonic() < deadline:
        for handle, _ in poller.poll(max(1, (deadline - time.monotonic()) * 1000)):
            poller.unregister(handle)
            waiting.discard(handle)
    for handle in handles:
        os.close(handle)


def leftovers() -> list[Run]:
    """Return the records of networks whose owner is gone."""
    try:
        entries = sorted(ROOT.iterdir())
    except OSError:
        return []
    found = []
    for entry in entries:
        owner = _NAME.fullmatch(entry.name)
        if owner and start_time(int(owner[1])) != int(owner[2]):
            found.append(Run(entry))
    return found


def remove_leftovers() -> list[str]:
    """Remove what networks left whose owner was killed; return the names of their records.

    Networks of living processes are untouched, whoever owns them. Call it before building.
    """
    removed = []
    for run in leftovers():
        run.remove()
        removed.append(run.name)
    _remove_empty()
    return removed
