"""C-SMA: what the instances report, and what of it is worth telling the switches (RFC 10053, 3.4).

This is the slow loop: its waits hold where a switch has no fresh load from packets. Guards against
churn (RFC 10053, 6): reports are smoothed over `SMOOTHING_S`, and a wait is published only when it
has moved by `CHANGE_RATIO` and by `CHANGE_US`.

A silent instance, counted from its last report:

    STALE_AFTER_S      its load is unknown: a wait of at least STALE_WAIT_US is assumed
    SUSPECT_AFTER_S    it takes no new flows, as if drained
    DOWN_AFTER_S       it is down and loses its flows

Silence is evidence only against others that speak: when no instance of a service reports, the
agents are gone, not the instances, and all stay available. The same holds of an instance that has
never reported: agents are optional. Nothing here reads a clock: callers pass the time.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields
from typing import Any

from p4cats.controller.desired import MAX_24, Availability

SMOOTHING_S = 0.3
"""Time constant of the smoothing: a step shows by two thirds after that time."""
CHANGE_RATIO = 0.15
CHANGE_US = 1000
"""Smallest change of a wait that is published: both must be reached."""
STALE_AFTER_S = 0.6
STALE_WAIT_US = 1_000_000
SUSPECT_AFTER_S = 1.0
DOWN_AFTER_S = 3.0
REPLAY_WINDOW_S = 1.0
"""A sequence number that goes back is believed after that time: the agent has restarted."""


@dataclass(frozen=True)
class Timing:
    """When silence means something, in seconds; `math.inf` for never."""

    stale_after_s: float = STALE_AFTER_S
    suspect_after_s: float = SUSPECT_AFTER_S
    down_after_s: float = DOWN_AFTER_S


@dataclass(frozen=True)
class Report:
    """Metrics of one instance as its agent reports them (units in the names; scores 0 to 10)."""

    instance: int
    wait_us: int
    in_flight: int = 0
    run_queue_us: int = 0
    power_mw: int | None = None
    scores: Mapping[str, int] = field(default_factory=dict)
    raw: Mapping[str, float | None] = field(default_factory=dict)
    seq: int = 0

    @classmethod
    def of(cls, values: Mapping[str, Any]) -> Report:
        """Return a report from what an agent sends; what is not understood is ignored (RFC 10054, R8)."""
        known = {item.name for item in fields(cls)}
        return cls(**{name: value for name, value in values.items() if name in known})


@dataclass
class Known:
    """The last report of an instance."""

    report: Report
    at_s: float
    smoothed_us: float
    published_us: int


@dataclass(frozen=True)
class View:
    """What the C-PS makes of the reports."""

    waits: Mapping[int, int]
    """Expected wait in microseconds, of instances that have reported."""
    silent: Mapping[int, Availability]
    """Instances that are not up because they are silent."""


class MetricStore:
    """Reports of all instances of a topology."""

    def __init__(self, services: Mapping[int, str], timing: Timing | None = None):
        """`services` names the service of every instance."""
        self.services = dict(services)
        self.timing = timing or Timing()
        self._known: dict[int, Known] = {}

    def known(self, instance: int) -> Known | None:
        """Return the last report of an instance, None if it has never reported."""
        return self._known.get(instance)

    def add(self, reports: Iterable[Report], now_s: float) -> int:
        """Take reports in; return how many were news (neither replayed nor of an unknown instance)."""
        return sum(self._add(report, now_s) for report in reports)

    def forget(self, instance: int) -> None:
        """Forget an instance, as if it had never reported."""
        self._known.pop(instance, None)

    def _add(self, report: Report, now_s: float) -> bool:
        if report.instance not in self.services:
            return False
        wait_us = min(report.wait_us, MAX_24)
        last = self._known.get(report.instance)
        if last is None or now_s - last.at_s > self.timing.stale_after_s:
            # After a silence there is nothing to smooth with.
            self._known[report.instance] = Known(report, now_s, wait_us, wait_us)
            return True
        ahead = (report.seq - last.report.seq) & 0xFFFFFFFF
        if ahead >> 31 and now_s - last.at_s < REPLAY_WINDOW_S:
            return False
        share = 1 - math.exp(-(now_s - last.at_s) / SMOOTHING_S)
        last.smoothed_us += share * (wait_us - last.smoothed_us)
        last.report, last.at_s = report, now_s
        change = abs(last.smoothed_us - last.published_us)
        if change >= CHANGE_US and change >= CHANGE_RATIO * last.published_us:
            last.published_us = round(last.smoothed_us)
        return True

    def view(self, now_s: float) -> View:
        """Return waits and silent instances as of now."""
        age = {instance: now_s - known.at_s for instance, known in self._known.items()}
        speaking = {
            self.services[instance] for instance in age if age[instance] <= self.timing.suspect_after_s
        }
        waits: dict[int, int] = {}
        silent: dict[int, Availability] = {}
        for instance, known in self._known.items():
            stale = age[instance] > self.timing.stale_after_s
            waits[instance] = max(known.published_us, STALE_WAIT_US) if stale else known.published_us
            if self.services[instance] in speaking and age[instance] > self.timing.suspect_after_s:
                silent[instance] = "down" if age[instance] > self.timing.down_after_s else "drained"
        return View(waits, silent)
