"""Do ingress forwarders that hear the same loads all run to the same instance? A simulation in virtual time.

One hundred ingress forwarders place requests (Poisson arrivals) on eight equal instances. Every choice is
made by the real edge.p4: the model runs one request through it with the registers of the forwarder in
question. Simulated are the instances (workers, exponential service times, one queue each), the network's
delay, responses and beacons as docs/protocol.md (3.1, 5) has them.

`python tests/deciding/herding.py` prints a table for docs/herding.md and draws docs/herding.svg.
"""

from __future__ import annotations

import heapq
import platform
import random
import statistics
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from itertools import count
from pathlib import Path

from deciding_edge import MS, SECOND, Edge, packet

from p4cats import protocol

INSTANCES = 8
WORKERS = 4
SERVICE_US = 20 * MS
STEP_US = SERVICE_US // WORKERS
DELAY_US = 5 * MS
"""One way, between any forwarder and any instance."""
BEACON_US, BEACON_MIN_US = 25 * MS, 5 * MS
SAMPLE_US = 5 * MS
WARM_UP_US = SECOND


@dataclass(frozen=True)
class Case:
    """What is simulated; `spread` False: costs are not blurred."""

    policy: str
    spread: bool = True
    forwarders: int = 100
    utilisation: float = 0.8
    length_us: int = 3 * SECOND
    seed: int = 1


@dataclass
class Outcome:
    """Requests in flight at each instance, every `SAMPLE_US`; waits for a worker, in microseconds."""

    samples: list[list[int]] = field(default_factory=list)
    waits_us: list[int] = field(default_factory=list)

    @property
    def imbalance(self) -> float:
        """Requests in flight at the fullest instance by those at the average one, mean over time."""
        return statistics.fmean(max(s) * len(s) / sum(s) for s in self.samples if sum(s))

    @property
    def p99_wait_ms(self) -> float:
        """Wait for a worker that one request in a hundred exceeds."""
        return statistics.quantiles(self.waits_us, n=100)[98] / MS


class Instance:
    """Workers and a queue."""

    def __init__(self) -> None:
        self.queue: deque[tuple[int, int]] = deque()
        """When requests came, and from which forwarder."""
        self.busy = 0
        self.told_us, self.told_at_us = -1, -BEACON_US

    @property
    def in_flight(self) -> int:
        """Requests accepted and not answered."""
        return self.busy + len(self.queue)

    @property
    def wait_us(self) -> int:
        """The expected wait of docs/protocol.md, 3.1."""
        return max(0, self.in_flight + 1 - WORKERS) * STEP_US

    def has_news(self, now_us: int) -> bool:
        """True if a beacon is due."""
        since_us, wait_us = now_us - self.told_at_us, self.wait_us
        changed = abs(wait_us - self.told_us) * 8 > self.told_us or (wait_us == 0) != (self.told_us == 0)
        return since_us >= BEACON_US or (changed and since_us >= BEACON_MIN_US)


class Simulation:
    """One case."""

    def __init__(self, case: Case) -> None:
        self.case, self.outcome = case, Outcome()
        self._random = random.Random(case.seed)
        self._edge = Edge("model")
        added_us = (case.forwarders - 1) * STEP_US * protocol.SPREAD_TIME_US // protocol.SPREAD_WINDOW_US
        self._edge.service(case.policy, spread_us=added_us if case.spread else 0)
        for number in range(1, INSTANCES + 1):
            self._edge.add(number, step_us=STEP_US)
        registers = self._edge.registers
        self._wait, self._time = registers["load_wait_us"].cells, registers["load_time_us"].cells
        self._flows = registers["service_flows"].cells
        self._waits = [[0] * INSTANCES for _ in range(case.forwarders)]
        self._times = [[0] * INSTANCES for _ in range(case.forwarders)]
        self._placed = [0] * case.forwarders
        self._instances = [Instance() for _ in range(INSTANCES)]
        self._events: list[tuple[int, int, Callable[[], None]]] = []
        self._order = count()
        self._clients = count()
        self._begin_us = self._edge.now_us
        rate = case.utilisation * INSTANCES / STEP_US
        self._gap_us = 1 / rate

    def run(self) -> Outcome:
        """Simulate."""
        self._after(0, self._arrive)
        self._after(WARM_UP_US, self._sample)
        for instance in range(INSTANCES):
            self._after(self._random.randrange(BEACON_US), lambda number=instance: self._beacon(number))
        end_us = self._begin_us + WARM_UP_US + self.case.length_us
        while self._events[0][0] < end_us:
            self._edge.now_us, _, event = heapq.heappop(self._events)
            event()
        return self.outcome

    def _after(self, delay_us: float, event: Callable[[], None]) -> None:
        heapq.heappush(self._events, (self._edge.now_us + int(delay_us), next(self._order), event))

    def _arrive(self) -> None:
        """A new flow at some forwarder."""
        self._after(self._random.expovariate(1 / self._gap_us), self._arrive)
        forwarder = self._random.randrange(self.case.forwarders)
        instance = self._choose(forwarder)
        self._after(DELAY_US, lambda: self._request(instance, forwarder))

    def _choose(self, forwarder: int) -> int:
        """Let edge.p4 choose, with the forwarder's registers."""
        self._wait[1 : INSTANCES + 1] = self._waits[forwarder]
        self._time[1 : INSTANCES + 1] = self._times[forwarder]
        self._flows[1] = self._placed[forwarder]
        chosen = self._edge.send(packet(next(self._clients)))
        assert chosen is not None
        self._waits[forwarder] = self._wait[1 : INSTANCES + 1]
        self._placed[forwarder] = self._flows[1]
        return chosen - 1

    def _request(self, number: int, forwarder: int) -> None:
        self._instances[number].queue.append((self._edge.now_us, forwarder))
        self._work(number)

    def _work(self, number: int) -> None:
        """Give waiting requests to free workers; tell if there is news."""
        instance = self._instances[number]
        while instance.queue and instance.busy < WORKERS:
            came_us, forwarder = instance.queue.popleft()
            instance.busy += 1
            if came_us > self._begin_us + WARM_UP_US:
                self.outcome.waits_us.append(self._edge.now_us - came_us)
            self._after(self._random.expovariate(1 / SERVICE_US), lambda of=forwarder: self._done(number, of))
        self._beacon(number, again=False)

    def _done(self, number: int, forwarder: int) -> None:
        """A response, with the load at that moment."""
        instance = self._instances[number]
        instance.busy -= 1
        wait_us = instance.wait_us
        self._after(DELAY_US, lambda: self._hear(number, wait_us, (forwarder,)))
        self._work(number)

    def _beacon(self, number: int, again: bool = True) -> None:
        instance = self._instances[number]
        if instance.has_news(self._edge.now_us):
            instance.told_us, instance.told_at_us = instance.wait_us, self._edge.now_us
            everybody = range(self.case.forwarders)
            self._after(DELAY_US, lambda told_us=instance.told_us: self._hear(number, told_us, everybody))
        if again:
            self._after(BEACON_MIN_US, lambda: self._beacon(number))

    def _hear(self, number: int, wait_us: int, forwarders: range | tuple[int]) -> None:
        for forwarder in forwarders:
            self._waits[forwarder][number] = wait_us
            self._times[forwarder][number] = self._edge.now_us

    def _sample(self) -> None:
        self.outcome.samples.append([instance.in_flight for instance in self._instances])
        self._after(SAMPLE_US, self._sample)


CASES = {
    "hash": Case("hash"),
    "least, not blurred": Case("least", spread=False),
    "least": Case("least"),
    "p2c": Case("p2c"),
}
FIGURE = Path(__file__).resolve().parents[2] / "docs" / "herding.svg"
SHOWN = 100
"""Samples in the figure."""
_WIDTH, _HEIGHT, _MOST = 640, 110, 30
_COLOURS = ("#332288", "#88ccee", "#44aa99", "#117733", "#999933", "#ddcc77", "#cc6677", "#aa4499")


def rows(length_us: int = 8 * SECOND) -> list[str]:
    """The table of docs/herding.md."""
    found = ["| utilisation | policy | max ÷ mean in flight | most in flight | mean wait | p99 wait |"]
    found.append("|---|---|---|---|---|---|")
    for utilisation in (0.5, 0.8, 0.95):
        for name, case in CASES.items():
            outcome = Simulation(replace(case, utilisation=utilisation, length_us=length_us)).run()
            most = max(max(sample) for sample in outcome.samples)
            mean_ms = statistics.fmean(outcome.waits_us) / MS
            found.append(
                f"| {utilisation:.0%} | {name} | {outcome.imbalance:.2f} | {most} | {mean_ms:.1f} ms "
                f"| {outcome.p99_wait_ms:.0f} ms |"
            )
    return found


def figure() -> str:
    """Requests in flight at each instance, over half a second, under each policy."""
    height = len(CASES) * (_HEIGHT + 30) + 30
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{_WIDTH + 60}" height="{height}" '
        'font-family="sans-serif" font-size="12"><rect width="100%" height="100%" fill="white"/>'
    ]
    for panel, (name, case) in enumerate(CASES.items()):
        top = panel * (_HEIGHT + 30) + 24
        samples = Simulation(case).run().samples[:SHOWN]
        parts.append(f'<text x="45" y="{top - 6}">{name}</text>')
        parts.append(
            f'<rect x="45" y="{top}" width="{_WIDTH}" height="{_HEIGHT}" fill="none" stroke="#888"/>'
        )
        for mark in (0, 10, 20, _MOST):
            y = top + _HEIGHT * (1 - mark / _MOST)
            parts.append(f'<text x="38" y="{y + 4:.0f}" text-anchor="end">{mark}</text>')
        for number, colour in enumerate(_COLOURS):
            heights = (top + _HEIGHT * (1 - min(sample[number], _MOST) / _MOST) for sample in samples)
            points = " ".join(f"{45 + _WIDTH * at / (SHOWN - 1):.1f},{y:.1f}" for at, y in enumerate(heights))
            parts.append(f'<polyline points="{points}" fill="none" stroke="{colour}" stroke-width="1.5"/>')
    bottom = len(CASES) * (_HEIGHT + 30) + 12
    seconds = SHOWN * SAMPLE_US / SECOND
    parts.append(
        f'<text x="45" y="{bottom}">requests in flight at each of {INSTANCES} instances, {seconds} s</text>'
    )
    return "\n".join([*parts, "</svg>\n"])


if __name__ == "__main__":
    FIGURE.write_text(figure(), encoding="utf-8")
    print(f"Python {platform.python_version()}; virtual time: the machine does not matter")
    print("\n".join(rows()))
