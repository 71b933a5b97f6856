"""Delay, loss and rate of links: by netem where the kernel has it, else by linkem (linkem.c).

Both hold `limit` frames a direction and drop the rest, count the Ethernet frame for `rate`, and
delay what leaves the transmitter by a fixed time.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import os
import shutil
import subprocess
import tempfile
import threading
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Literal

from p4cats.netns import call_in
from p4cats.topologies import namespaces
from p4cats.topologies.cleanup import Run

Mode = Literal["netem", "linkem"]

MIN_QUEUE_FRAMES = 100
MAX_QUEUE_FRAMES = 100_000
UNLIMITED_QUEUE_FRAMES = 10_000
"""Frames held by a direction with a delay and no rate: 1 Gbit/s of 1500 octets for 120 ms."""
QUEUE_S = 0.1
"""A transmitter slower than its traffic queues for that many seconds before it drops."""

_PROBE = (
    "ip link add p0 type veth peer name p1 && tc qdisc add dev p0 root netem delay 1ms loss 1% rate 1mbit"
)


class EmulationError(Exception):
    """Links cannot be emulated, and what would help; one line."""


@dataclass(frozen=True)
class Impairment:
    """What a link does to frames, in each direction."""

    delay_us: int = 0
    loss_ppm: int = 0
    rate_bps: int | None = None
    mtu: int = 1500

    @property
    def is_plain(self) -> bool:
        """True if frames pass as they come."""
        return not self.delay_us and not self.loss_ppm and self.rate_bps is None

    @property
    def limit(self) -> int:
        """Frames that a direction holds at most, on the way and in the queue."""
        if self.rate_bps is None:
            return UNLIMITED_QUEUE_FRAMES
        frames = self.rate_bps * (self.delay_us / 1e6 + QUEUE_S) / 8 / self.mtu
        return max(MIN_QUEUE_FRAMES, min(MAX_QUEUE_FRAMES, round(frames)))


@dataclass(frozen=True)
class Carrier:
    """Who carries the frames of an emulated link."""

    pid: int
    """The process whose network namespace holds the far ends."""
    name: str
    """The link's name there."""
    ends: tuple[str, str]
    """The far ends' interfaces."""


@functools.cache
def has_netem() -> bool:
    """True if this kernel has netem and `tc` knows it: tried once, in a scratch namespace."""
    if shutil.which("tc") is None or shutil.which("unshare") is None:
        return False
    done = subprocess.run(["unshare", "--net", "sh", "-c", _PROBE], capture_output=True, check=False)
    return done.returncode == 0


def mode() -> Mode:
    """Return how this machine emulates links."""
    return "netem" if has_netem() else "linkem"


def netem(interface: str, impairment: Impairment, netns: str) -> None:
    """Set what the kernel does to frames that leave an interface; replaces what was set before."""
    argv = ["tc", "qdisc", "replace", "dev", interface, "root", "netem", "limit", str(impairment.limit)]
    argv += ["delay", f"{impairment.delay_us}us"]
    if impairment.loss_ppm:
        argv += ["loss", f"{impairment.loss_ppm / 10_000:.4f}%"]
    if impairment.rate_bps is not None:
        argv += ["rate", f"{impairment.rate_bps}bit"]
    call_in(netns, lambda: namespaces.run(argv))


def _cache() -> Path:
    """Return the directory of compiled helpers."""
    base = os.environ.get("XDG_CACHE_HOME") or os.path.join(os.path.expanduser("~"), ".cache")
    directory = Path(base) / "p4cats"
    with contextlib.suppress(OSError):
        directory.mkdir(parents=True, exist_ok=True)
    return directory if os.access(directory, os.W_OK) else Path(tempfile.mkdtemp(prefix="p4cats-"))


def compiled() -> Path:
    """Return the linkem program, compiled on first use; EmulationError if there is no C compiler."""
    source = resources.files("p4cats.topologies") / "linkem.c"
    text = source.read_bytes()
    program = _cache() / f"linkem-{hashlib.sha256(text).hexdigest()[:16]}"
    if program.exists():
        return program
    compiler = next((found for name in ("cc", "gcc", "clang") if (found := shutil.which(name))), None)
    if compiler is None:
        raise EmulationError(
            "links with delay, loss or rate need netem in the kernel or a C compiler: "
            "install one with `apt-get install gcc libc6-dev`"
        )
    # Two networks may compile at once: each writes a file of its own, the last rename wins.
    draft = program.with_name(f"{program.name}.{os.getpid()}.{threading.get_ident()}")
    argv = [compiler, "-std=gnu11", "-O2", "-x", "c", "-", "-o", str(draft)]
    done = subprocess.run(argv, input=text, capture_output=True, check=False)
    if done.returncode:
        said = done.stderr.decode(errors="replace").strip().splitlines()
        reason = next((line for line in said if "error" in line), said[0] if said else "no reason given")
        raise EmulationError(
            f"the link emulator does not compile ({reason}): `apt-get install gcc libc6-dev`"
        )
    draft.rename(program)
    return program


@dataclass(frozen=True)
class Counters:
    """Frames of one direction of a link since it was made."""

    received: int
    sent: int
    lost: int
    """Taken by the loss that was asked for."""
    dropped: int
    """Did not fit into the queue, or the interface was down."""


class Linkem:
    """The process that carries the frames of all emulated links of a network."""

    def __init__(self, run: Run):
        # It ends with its standard input, hence with its owner, whichever thread started it.
        self._process = run.spawn(
            [str(compiled())], die_with_parent=False, text=True,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=1,
        )  # fmt: skip
        self._lock = threading.Lock()
        self._answer("start")
        self.netns = f"/proc/{self._process.pid}/ns/net"
        self.pid = self._process.pid
        call_in(
            self.netns,
            lambda: namespaces.set_sysctls(
                {"ipv6/conf/default/disable_ipv6": 1, "ipv6/conf/all/disable_ipv6": 1}
            ),
        )

    def add(self, link: str, ends: tuple[str, str], impairment: Impairment, seed: int) -> None:
        """Carry frames between two interfaces of the emulator's namespace, both up already."""
        self._command(f"link {link} {ends[0]} {ends[1]} {_numbers(impairment)} {seed}")

    def set(self, link: str, impairment: Impairment) -> None:
        """Change a link; frames on their way keep the delay they began with."""
        self._command(f"set {link} {_numbers(impairment)}")

    def counters(self, link: str) -> tuple[Counters, Counters]:
        """Return the counters of both directions, first end to second first."""
        numbers = [int(word) for word in self._command(f"stats {link}").split()]
        return Counters(*numbers[:4]), Counters(*numbers[4:])

    def close(self) -> None:
        """End the process; its namespace goes with it."""
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                with contextlib.suppress(OSError):
                    pipe.close()
        try:
            self._process.wait(timeout=2)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def _command(self, line: str) -> str:
        with self._lock:
            if self._process.stdin is None:
                raise EmulationError("the link emulator has ended")
            try:
                self._process.stdin.write(f"{line}\n")
                self._process.stdin.flush()
            except OSError:
                raise EmulationError("the link emulator has ended") from None
            return self._answer(line)

    def _answer(self, question: str) -> str:
        answer = self._process.stdout.readline() if self._process.stdout else ""
        word, _, rest = answer.strip().partition(" ")
        if word != "ok":
            raise EmulationError(f"link emulator: {question}: {rest or 'it has ended'}")
        return rest


def _numbers(impairment: Impairment) -> str:
    """Return an impairment as linkem reads it."""
    rate = impairment.rate_bps or 0
    return f"{impairment.delay_us} {impairment.loss_ppm} {rate} {impairment.limit}"
