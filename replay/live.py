"""The state of a run while it runs: the progress lines of several clients, merged.

    state = LiveState(["clients1", "clients2"])
    for snapshot in state.follow({name: process.stdout for name, process in processes.items()}):
        view.update(render(snapshot))

`feed` alone serves callers that read the pipes themselves.
"""

from __future__ import annotations

import json
import os
import selectors
import time
from collections import Counter, deque
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import IO, Any

from p4cats.replay.histogram import Histogram


@dataclass(frozen=True)
class LiveSnapshot:
    """All clients together, from the start of the run up to the newest lines."""

    t_s: float
    """Seconds since the first request was due."""
    planned: int
    sent: int
    answered: int
    errors: Mapping[str, int]
    """Requests that were not answered, by kind: timeout, refused, http_503, error."""
    p50_ms: float | None
    p99_ms: float | None
    """A request that was not answered counts as its timeout, as in the results."""
    share: Mapping[str, float]
    """Fraction of the answered requests, by site."""
    recent_p50_ms: float | None
    recent_p99_ms: float | None
    recent_share: Mapping[str, float]
    """The same over the last seconds only."""
    late_max_ms: float
    """The most that a request was sent after its time."""
    ended: int
    """Clients that are through."""

    @property
    def in_flight(self) -> int:
        """Requests sent and not yet over."""
        return self.sent - self.answered - sum(self.errors.values())


class LiveState:
    """Merges progress lines; each line counts from the start of the run, so a lost one does no harm."""

    def __init__(self, clients: Iterable[str], recent_s: float = 2.0) -> None:
        self._newest: dict[str, dict[str, Any]] = {client: {} for client in clients}
        self._partial = dict.fromkeys(self._newest, b"")
        self._recent_s = recent_s
        self._history: deque[tuple[float, Counter[int], Counter[str]]] = deque()

    def feed(self, client: str, data: bytes) -> bool:
        """Take octets that a client printed; True if they completed a progress line."""
        *lines, self._partial[client] = (self._partial[client] + data).split(b"\n")
        fresh = False
        for line in lines:
            try:
                record = json.loads(line)
            except ValueError:
                continue  # not ours: a warning of the interpreter, say
            if isinstance(record, dict) and {"event", "histogram", "sites"} <= record.keys():
                self._newest[client] = record
                fresh = True
        return fresh

    def snapshot(self) -> LiveSnapshot:
        """Return the state now."""
        records = [record for record in self._newest.values() if record]
        errors: Counter[str] = Counter()
        sites: Counter[str] = Counter()
        latencies = Histogram()
        for record in records:
            errors.update(record["errors"])
            sites.update(record["sites"])
            latencies.merge(Histogram({int(at): count for at, count in record["histogram"].items()}))
        t_s = max((record["t_s"] for record in records), default=0.0)
        recent, recent_sites = self._recent(t_s, latencies.counts, sites)
        return LiveSnapshot(
            t_s=t_s,
            planned=sum(record["planned"] for record in records),
            sent=sum(record["sent"] for record in records),
            answered=sum(record["answered"] for record in records),
            errors=dict(errors),
            p50_ms=latencies.percentile_ms(50),
            p99_ms=latencies.percentile_ms(99),
            share=_shares(sites),
            recent_p50_ms=recent.percentile_ms(50),
            recent_p99_ms=recent.percentile_ms(99),
            recent_share=_shares(recent_sites),
            late_max_ms=max((record["late_max_ms"] for record in records), default=0.0),
            ended=sum(record["event"] == "end" for record in records),
        )

    def _recent(
        self, t_s: float, latencies: Counter[int], sites: Counter[str]
    ) -> tuple[Histogram, Counter[str]]:
        """Return what came since the newest state that is at least `recent_s` old."""
        self._history.append((t_s, latencies, sites))
        while len(self._history) > 1 and self._history[1][0] <= t_s - self._recent_s:
            self._history.popleft()
        first_s, old_latencies, old_sites = self._history[0]
        if first_s > t_s - self._recent_s:
            return Histogram(latencies), sites
        return Histogram(latencies - old_latencies), sites - old_sites

    def follow(self, pipes: Mapping[str, IO[bytes]], tick_s: float = 0.2) -> Iterator[LiveSnapshot]:
        """Read the clients' standard outputs until all have ended.

        Yields a snapshot every `tick_s` seconds, news or not, so that the caller can look after
        its processes; and one at the end. The pipes must be unbuffered or not read before.
        """
        with selectors.DefaultSelector() as selector:
            for client, pipe in pipes.items():
                selector.register(pipe, selectors.EVENT_READ, client)
            due_s = time.monotonic() + tick_s
            while selector.get_map():
                for key, _ in selector.select(max(0.0, due_s - time.monotonic())):
                    data = os.read(key.fd, 65_536)
                    if not data:
                        selector.unregister(key.fileobj)
                    self.feed(key.data, data)
                if time.monotonic() >= due_s:
                    yield self.snapshot()
                    due_s = time.monotonic() + tick_s
        yield self.snapshot()


def _shares(sites: Counter[str]) -> dict[str, float]:
    total = sites.total()
    return {site: count / total for site, count in sorted(sites.items())} if total else {}
