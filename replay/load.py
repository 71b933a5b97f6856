"""How much load to offer, and who sends it: numbers in, one schedule for each client out.

No topology is read here. For two workers of 20 ms (100 requests/s), an offered utilisation of 1.5
is 150 requests/s:

    edge1 = Capacity("edge1", workers=2, service_time_s=0.020)
    plan = poisson_plan(offered_rps(1.5, [edge1]), 12.0, ["clients1", "clients2"], seed=1)
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from p4cats.replay.errors import ReplayError
from p4cats.replay.schedule import Request
from p4cats.replay.trace import poisson, scale_to_rate, window

UDP_PACKETS = 2
HTTP_PACKETS = 7
"""Packets of one request without loss, both directions; HTTP takes 6 if the answer comes within 40 ms."""

Plan = dict[str, tuple[Request, ...]]
"""Name of a client, and what it sends."""


class Capacity(NamedTuple):
    """What one instance can do."""

    name: str
    workers: int
    service_time_s: float
    """Mean, for demand 1."""

    @property
    def rps(self) -> float:
        """Requests of demand 1 served per second when no worker rests."""
        return self.workers / self.service_time_s


def offered_rps(utilisation: float, instances: Iterable[Capacity]) -> float:
    """Return the requests/s that would keep these instances busy `utilisation` times over."""
    return utilisation * sum(instance.rps for instance in instances)


def offered_pps(rate_rps: float, udp_share: float = 0.5) -> float:
    """Return the packets/s that a switch on every request's path forwards, both directions together."""
    return rate_rps * (udp_share * UDP_PACKETS + (1 - udp_share) * HTTP_PACKETS)


def split(
    requests: Iterable[Request], clients: Sequence[str], udp_share: float | None = None, seed: int = 0
) -> Plan:
    """Deal requests out to clients at random; `udp_share` of them by UDP, the rest by HTTP.

    `udp_share` None keeps the protocols they have. The same seed gives the same plan, so policies
    can be compared under equal load.
    """
    if not clients:
        raise ReplayError("there is no client to send requests")
    if udp_share is not None and not 0 <= udp_share <= 1:
        raise ReplayError(f"the share of UDP must be from 0 to 1 (got {udp_share})")
    rng = random.Random(seed)
    dealt: dict[str, list[Request]] = {client: [] for client in clients}
    for request in requests:
        client, draw = rng.choice(clients), rng.random()
        if udp_share is not None:
            request = request._replace(protocol="udp" if draw < udp_share else "http")  # noqa: PLW2901
        dealt[client].append(request)
    return {client: tuple(share) for client, share in dealt.items()}


def poisson_plan(
    rate_rps: float, duration_s: float, clients: Sequence[str], udp_share: float = 0.5, seed: int = 0
) -> Plan:
    """Plan Poisson arrivals of demand 1: `rate_rps` over all clients together, for `duration_s`."""
    return split(poisson(rate_rps, duration_s, seed), clients, udp_share, seed + 1)


def trace_plan(
    requests: Sequence[Request],
    rate_rps: float,
    duration_s: float,
    clients: Sequence[str],
    *,
    udp_share: float | None = 0.5,
    seed: int = 0,
    start_s: float = 0.0,
) -> Plan:
    """Plan the part of a trace from `start_s` on that fills `duration_s` once scaled to `rate_rps`.

    A trace with fewer requests than that gives a shorter plan at the same rate.
    """
    chosen = window(requests, start_s, count=max(2, round(rate_rps * duration_s)))
    return split(scale_to_rate(chosen, rate_rps), clients, udp_share, seed)
