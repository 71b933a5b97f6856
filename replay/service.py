"""The service of an instance: a bounded number of workers behind one bounded first-in first-out queue.

No sockets here: `server` submits requests and sends the answers. A worker is held by a timer, it
burns no processor time, so that many instances fit on a small machine.

Time is exact in the long run: when a worker's timer fires late (a busy machine), the next request
begins when the service should have ended, not when the timer fired. So the capacity of an instance
is workers / mean service time, whatever else the machine does.
"""

from __future__ import annotations

import math
import random
from collections import deque
from collections.abc import Callable
from typing import NamedTuple, Protocol

from p4cats.replay.runtime import duration_s

QUEUE_PER_WORKER = 64
"""Requests that may wait, for each worker: at most about 64 mean service times of waiting.

More would only serve requests whose clients have gone; a listen backlog is of the same order.
"""


class ServiceTime(NamedTuple):
    """Distribution of the time that a request of demand 1 holds a worker."""

    distribution: str
    mean_s: float
    sigma: float = 1.0
    """Standard deviation of the logarithm; only `lognormal` reads it."""

    @classmethod
    def parse(cls, text: str) -> ServiceTime:
        """Read `exponential:20ms`, `constant:5ms` or `lognormal:20ms:0.5`; ValueError if it is none."""
        kind, _, rest = text.partition(":")
        mean, _, sigma = rest.partition(":")
        if kind not in ("constant", "exponential", "lognormal"):
            raise ValueError(f"service time {text!r} must begin with constant, exponential or lognormal")
        if sigma and kind != "lognormal":
            raise ValueError(f"service time {text!r}: only lognormal has a third part")
        mean_s = duration_s(mean)
        if mean_s <= 0:
            raise ValueError(f"service time {text!r} must be more than zero")
        return cls(kind, mean_s, float(sigma) if sigma else 1.0)

    def draw_s(self, rng: random.Random) -> float:
        """Draw one service time, in seconds."""
        if self.distribution == "constant":
            return self.mean_s
        if self.distribution == "exponential":
            return rng.expovariate(1 / self.mean_s)
        return rng.lognormvariate(math.log(self.mean_s) - self.sigma**2 / 2, self.sigma)


class Served(NamedTuple):
    """One request that was served: times in seconds, and the pool as it was when service began."""

    wait_s: float
    service_s: float
    busy: int
    """Workers busy, this one included."""
    queued: int
    """Requests left waiting."""


class Job:
    """A request that waits or is served; `WorkerPool.abandon` takes it."""

    __slots__ = ("abandoned", "arrived_s", "busy", "demand", "done", "queued", "service_s", "started_s")

    def __init__(self, demand: float, arrived_s: float, done: Callable[[Served], object]) -> None:
        self.demand, self.arrived_s, self.done = demand, arrived_s, done
        self.started_s = math.nan
        self.service_s = 0.0
        self.busy = self.queued = 0
        self.abandoned = False


class Clock(Protocol):
    """The part of an event loop that a pool uses; tests pass one whose time they turn."""

    def time(self) -> float:
        """Return the time in seconds."""
        ...

    def call_at(self, when: float, callback: Callable[[Job], object], job: Job, /) -> object:
        """Call `callback(job)` at time `when`, in seconds."""
        ...


class WorkerPool:
    """`workers` servers and one queue of at most `queue_limit` requests, served in order of arrival."""

    def __init__(
        self,
        clock: Clock,
        workers: int,
        service_time: ServiceTime,
        seed: int,
        queue_limit: int | None = None,
    ) -> None:
        self.workers = workers
        self.queue_limit = QUEUE_PER_WORKER * workers if queue_limit is None else queue_limit
        self.slow = 1.0
        """Factor on the service time of requests that begin from now on."""
        self.busy = self.queued = 0
        self.served = self.rejected = self.abandoned = 0
        self._clock = clock
        self._service_time = service_time
        self._rng = random.Random(seed)
        self._queue: deque[Job] = deque()

    def submit(self, demand: float, done: Callable[[Served], object]) -> Job | None:
        """Take a request and call `done` when it has been served; None if the queue is full."""
        now = self._clock.time()
        job = Job(demand, now, done)
        if self.busy < self.workers:
            self.busy += 1
            self._start(job, now)
        elif self.queued < self.queue_limit:
            self.queued += 1
            self._queue.append(job)
        else:
            self.rejected += 1
            return None
        return job

    def abandon(self, job: Job) -> None:
        """Forget a request whose client has gone. Once begun, it holds its worker to the end."""
        if job.abandoned:
            return
        job.abandoned = True
        self.abandoned += 1
        if math.isnan(job.started_s):
            self.queued -= 1  # it stays in the deque, to be skipped: removing it there is linear

    def _start(self, job: Job, at_s: float) -> None:
        job.started_s = at_s
        job.service_s = self._service_time.draw_s(self._rng) * job.demand * self.slow
        job.busy, job.queued = self.busy, self.queued
        self._clock.call_at(at_s + job.service_s, self._finish, job)

    def _finish(self, job: Job) -> None:
        self._next(job.started_s + job.service_s)
        if not job.abandoned:
            self.served += 1
            job.done(Served(job.started_s - job.arrived_s, job.service_s, job.busy, job.queued))

    def _next(self, free_at_s: float) -> None:
        """Give the worker that became free at `free_at_s` its next request."""
        while self._queue:
            job = self._queue.popleft()
            if not job.abandoned:
                self.queued -= 1
                self._start(job, max(free_at_s, job.arrived_s))
                return
        self.busy -= 1
