from __future__ import annotations

import heapq
import itertools
import random
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from p4cats.replay import ServiceTime, WorkerPool
from p4cats.replay.service import Job, Served


class FakeClock:
    """Time that stands still until `run` turns it; timers fire `late_s` after their time."""

    def __init__(self, late_s: float = 0.0) -> None:
        self.now, self.late_s = 0.0, late_s
        self._timers: list[tuple[float, int, Callable[[], object]]] = []
        self._order = itertools.count()

    def time(self) -> float:
        return self.now

    def at(self, when: float, action: Callable[[], object]) -> None:
        heapq.heappush(self._timers, (when, next(self._order), action))

    def call_at(self, when: float, callback: Callable[[Job], object], job: Job, /) -> object:
        self.at(max(when + self.late_s, self.now), lambda: callback(job))
        return None

    def run(self) -> None:
        while self._timers:
            self.now, _, action = heapq.heappop(self._timers)
            action()


def pool_of(clock: FakeClock, workers: int, service: str = "constant:1s", queue: int = 10**6) -> WorkerPool:
    return WorkerPool(clock, workers, ServiceTime.parse(service), 1, queue)


@settings(deadline=None)  # the machine may be busy
@given(
    st.integers(1, 5),
    st.lists(st.tuples(st.floats(0, 10), st.floats(0, 4)), min_size=1, max_size=40),
    st.sampled_from([0.0, 0.3]),
)
def test_served_in_order_of_arrival_by_no_more_than_the_workers(
    workers: int, load: list[tuple[float, float]], late_s: float
) -> None:
    clock = FakeClock(late_s)
    pool = pool_of(clock, workers)
    jobs: list[Job] = []
    answers: list[Served] = []
    for at_s, demand in load:

        def submit(demand: float = demand) -> None:
            job = pool.submit(demand, answers.append)
            assert job is not None
            jobs.append(job)

        clock.at(at_s, submit)
    clock.run()
    assert len(answers) == len(load)
    assert pool.busy == pool.queued == 0
    starts = [job.started_s for job in jobs]
    assert starts == sorted(starts)
    assert max(answer.busy for answer in answers) <= workers
    if not late_s:  # late timers let the books of one worker overlap with the true time of another
        for start in starts:
            held = [job for job in jobs if job.started_s <= start < job.started_s + job.service_s]
            assert len(held) <= workers


def test_late_timers_cost_no_capacity() -> None:
    clock = FakeClock(late_s=0.4)
    pool = pool_of(clock, workers=1)
    answers: list[Served] = []
    for _ in range(100):
        pool.submit(1.0, answers.append)
    clock.run()
    assert answers[-1].wait_s == pytest.approx(99)
    assert clock.now == pytest.approx(100.4)


def test_mean_wait_is_that_of_an_m_d_1_queue() -> None:
    clock = FakeClock()
    pool = pool_of(clock, workers=1)
    rng = random.Random(5)
    answers: list[Served] = []
    at_s = 0.0
    for _ in range(50_000):
        at_s += rng.expovariate(0.5)
        clock.at(at_s, lambda: pool.submit(1.0, answers.append))
    clock.run()
    mean_wait = sum(answer.wait_s for answer in answers) / len(answers)
    assert mean_wait == pytest.approx(0.5, rel=0.05)  # rho / (2 (1 - rho)) service times, rho = 0.5


def test_full_queue_rejects() -> None:
    pool = pool_of(FakeClock(), workers=2, queue=3)
    taken = [pool.submit(1.0, lambda served: None) for _ in range(7)]
    assert [job is not None for job in taken] == [True] * 5 + [False] * 2
    assert (pool.busy, pool.queued, pool.rejected) == (2, 3, 2)


def test_queue_is_64_for_each_worker_unless_told() -> None:
    assert WorkerPool(FakeClock(), 2, ServiceTime("constant", 1.0), 0).queue_limit == 128


def test_abandoned_requests_hold_no_place_and_no_worker() -> None:
    clock = FakeClock()
    pool = pool_of(clock, workers=1, queue=2)
    answers: list[Served] = []
    jobs = [pool.submit(1.0, answers.append) for _ in range(3)]
    assert jobs[1] is not None
    pool.abandon(jobs[1])
    pool.abandon(jobs[1])
    assert (pool.queued, pool.abandoned) == (1, 1)
    assert pool.submit(1.0, answers.append) is not None
    clock.run()
    assert [answer.wait_s for answer in answers] == [0.0, 1.0, 2.0]


def test_request_abandoned_in_service_holds_its_worker_to_the_end() -> None:
    clock = FakeClock()
    pool = pool_of(clock, workers=1)
    answers: list[Served] = []
    first = pool.submit(1.0, answers.append)
    pool.submit(1.0, answers.append)
    assert first is not None
    pool.abandon(first)
    clock.run()
    assert [answer.wait_s for answer in answers] == [1.0]


def test_slow_changes_requests_that_begin_later() -> None:
    clock = FakeClock()
    pool = pool_of(clock, workers=1)
    answers: list[Served] = []
    pool.submit(1.0, answers.append)
    pool.submit(2.0, answers.append)
    pool.slow = 5.0
    clock.run()
    assert [answer.service_s for answer in answers] == [1.0, 10.0]


@pytest.mark.parametrize(
    "text", ["constant:20ms", "exponential:20ms", "lognormal:20ms", "lognormal:20ms:0.5"]
)
def test_mean_of_a_distribution_is_the_one_written(text: str) -> None:
    rng, service = random.Random(3), ServiceTime.parse(text)
    drawn = [service.draw_s(rng) for _ in range(50_000)]
    assert sum(drawn) / len(drawn) == pytest.approx(0.020, rel=0.03)


@pytest.mark.parametrize(
    "text",
    ["", "constant", "constant:20", "gamma:20ms", "constant:0ms", "exponential:20ms:1", "lognormal:1ms:x"],
)
def test_wrong_service_time_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"duration|service time|could not convert"):
        ServiceTime.parse(text)
