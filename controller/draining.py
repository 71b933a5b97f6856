"""When a drained instance is gone (docs/protocol.md, 6.5), pure: callers pass the time.

An instance that is drained keeps the flows it has. It is gone when it has reported no request in flight for
as long as an idle flow is remembered: none of its flows can come back then.
"""

from __future__ import annotations

from collections.abc import Iterable

from p4cats.controller.metrics import Report


class Draining:
    """The instances that are being drained."""

    def __init__(self) -> None:
        self._quiet_since_s: dict[int, float] = {}
        self._quiet_until_s: dict[int, float] = {}

    def begin(self, instance: int, now_s: float) -> None:
        """Drain an instance; nothing changes for one that is being drained."""
        self._quiet_since_s.setdefault(instance, now_s)

    def end(self, instance: int) -> None:
        """Drain an instance no longer."""
        self._quiet_since_s.pop(instance, None)
        self._quiet_until_s.pop(instance, None)

    def add(self, reports: Iterable[Report], now_s: float) -> None:
        """Take in what instances report."""
        for report in reports:
            if report.instance not in self._quiet_since_s:
                continue
            if report.in_flight:
                self._quiet_since_s[report.instance] = now_s
            else:
                self._quiet_until_s[report.instance] = now_s

    def is_gone(self, instance: int, affinity_timeout_s: float) -> bool:
        """True if an instance is drained and has no flow left."""
        since, until = self._quiet_since_s.get(instance), self._quiet_until_s.get(instance)
        return since is not None and until is not None and until - since >= affinity_timeout_s
