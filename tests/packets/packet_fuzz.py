"""Mutated packets for everything that reads what docs/protocol.md describes.

Nothing crashes, hangs or keeps growing; model and kernel agree on every octet and count; a packet is
forwarded, given to the controller, or dropped for a reason that is counted; what is no option stays as it is.
`make fuzz-packets COUNT=1000000` runs that many; every finding prints what makes it again.
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from types import FrameType
from typing import Any, Protocol

from fuzzed_hosts import FuzzedStamp, FuzzedSteer
from fuzzed_messages import FuzzedDissector, FuzzedErrors, FuzzedHandover, FuzzedLayers, FuzzedReports
from fuzzed_switches import FuzzedSwitch
from packet_corpus import Mutator

SECONDS = 130
"""One that takes longer hangs. The dissector reads two thousand at a time."""
GROWTH_BYTES = 64 << 20
"""What may be kept over a run, beyond what its first tenth took."""
BLOCK = 5000
"""Packets under one seed: what makes a finding again need not be longer."""


class Parser(Protocol):
    """Something that reads packets; AssertionError for what must not be."""

    def attempt(self, mutator: Mutator) -> str:
        """Draw a packet and read it; return what became of it."""

    def compare(self) -> None:
        """Check what is counted."""

    def close(self) -> None:
        """Undo everything."""


PARSERS: dict[str, tuple[Callable[[], Parser], float]] = {
    "edge.p4": (partial(FuzzedSwitch, "edge"), 0.30),
    "transit.p4": (partial(FuzzedSwitch, "transit"), 0.20),
    "stamp": (FuzzedStamp, 0.1),
    "steer": (FuzzedSteer, 0.1),
    "reports": (FuzzedReports, 0.1),
    "errors": (FuzzedErrors, 0.05),
    "handover": (FuzzedHandover, 0.05),
    "layers": (FuzzedLayers, 0.05),
    "dissector": (FuzzedDissector, 0.05),
}
"""What makes each, and its share of the packets."""


@dataclass
class Outcome:
    """What became of the packets of one parser."""

    parser: str
    fates: Counter[str] = field(default_factory=Counter)
    findings: list[str] = field(default_factory=list)
    seconds: float = 0.0


class Hang(Exception):  # noqa: N818 - an event, not an error of ours
    """A packet took too long."""


def _alarm(_number: int, _frame: FrameType | None) -> Any:
    raise Hang(f"took longer than {SECONDS} s")


def fuzz(parser: str, count: int, first: int = 0) -> Outcome:
    """Give a parser so many packets, in blocks of one seed each from `first` on."""
    outcome, begin = Outcome(parser), time.monotonic()
    before = signal.signal(signal.SIGALRM, _alarm)
    made = PARSERS[parser][0]()
    try:
        usual = 0
        for number, (seed, size) in enumerate(_blocks(count, first)):
            _block(made, seed, size, outcome)
            if number * BLOCK >= count // 10 and not usual:
                usual = _resident_bytes()
        if usual and _resident_bytes() > usual + GROWTH_BYTES:
            outcome.findings.append(f"{parser}: memory grew from {usual} to {_resident_bytes()} octets")
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)
        made.close()
    outcome.seconds = time.monotonic() - begin
    return outcome


def _blocks(count: int, first: int) -> Iterator[tuple[int, int]]:
    for number, done in enumerate(range(0, count, BLOCK)):
        yield first + number, min(BLOCK, count - done)


def _block(made: Parser, seed: int, size: int, outcome: Outcome) -> None:
    mutator = Mutator(seed)
    for number in range(size):
        signal.alarm(SECONDS)
        try:
            outcome.fates[made.attempt(mutator)] += 1
            if number == size - 1:
                made.compare()
        except Exception:
            outcome.fates["FOUND"] += 1
            where = f"{outcome.parser}, --first {seed}, packet {number} of its block"
            outcome.findings.append(f"{where}:\n{traceback.format_exc()}")


def _resident_bytes() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def main() -> int:
    """Run as many packets as asked for; exit status 1 if something was found."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("count", type=int, nargs="?", default=1_000_000)
    parser.add_argument("--first", type=int, default=0, help="the first seed")
    parser.add_argument("--parser", choices=PARSERS, help="give all packets to this one")
    arguments = parser.parse_args()
    found = 0
    for name, (_, share) in PARSERS.items():
        if arguments.parser not in (None, name):
            continue
        count = arguments.count if arguments.parser else round(arguments.count * share)
        outcome = fuzz(name, count, arguments.first)
        for finding in outcome.findings[:20]:
            print(finding)
        fates = ", ".join(f"{number} {fate}" for fate, number in outcome.fates.most_common())
        print(f"{name}: {count} packets in {outcome.seconds:.0f} s: {fates}", flush=True)
        found += len(outcome.findings)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
