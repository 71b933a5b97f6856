"""From raw metrics (L0) to scores of a category (L1) and one score for all (L2).

Pure functions. The levels, the categories, the range and its direction are those of
draft-ietf-cats-metric-definition (sections 3, 4 and 6): integers 0 to 10, **10 is best**; 0-3
low, 4-7 medium, 8-10 high. The draft names min-max scaling and the sigmoid for
normalisation, mean, minimum and weighted mean for aggregation, and leaves the formulas to
implementations; ours, with what can be chosen, are in p4cats.normalisation:

    compute        worse of the scores of CPU use and run-queue latency
    communication  worse of the scores of link use and loss
    service        score of the expected wait, in service times; 0 when not healthy
    composed       the lowest (or the mean) of compute, communication, service
    norm_fi (L2)   their weighted mean; 0 when service is 0

No category looks at another's input (section 6.4), only the last two combine. Scores of other
implementations are not comparable (section 4.3): steering uses the raw values, which travel beside
the scores.
"""

from typing import NamedTuple

from p4cats.normalisation import BEST, DEFAULT, Normalisation

UNKNOWN_U32 = 0xFFFFFFFF
"""All ones: a wait or a power that is not known."""


class Scores(NamedTuple):
    """The L2 score and the four L1 scores, as on the wire."""

    norm_fi: int
    compute: int
    communication: int
    service: int
    composed: int

    def as_dict(self) -> dict[str, int]:
        """Return the scores by name."""
        return self._asdict()


def expected_wait_us(in_flight: int, workers: int, service_time_us: int) -> int:
    """Return max(0, in_flight + 1 - workers) * service_time / workers in microseconds.

    How long one more request would wait for a worker. The same, rounding included,
    as expected_wait_us in stamp.bpf.c. UNKNOWN_U32 without workers or service time.
    """
    if not workers or not service_time_us:
        return UNKNOWN_U32
    return min(max(0, in_flight + 1 - workers) * service_time_us // workers, UNKNOWN_U32 - 1)


def compute(cpu_use: float, run_queue_us: float, by: Normalisation = DEFAULT) -> float:
    """Score a node's processors: use 0..1, and mean wait for a CPU in microseconds."""
    return min(by.cpu_use.score(cpu_use), by.run_queue_us.score(run_queue_us))


def communication(link_use: float, loss: float, by: Normalisation = DEFAULT) -> float:
    """Score a node's network: use of its link 0..1, and share of packets lost 0..1."""
    return min(by.link_use.score(link_use), by.loss.score(loss))


def service(
    wait_us: float, service_time_us: float, by: Normalisation = DEFAULT, *, healthy: bool = True
) -> float:
    """Score a service instance: expected wait against its own service time, in microseconds."""
    if not healthy or service_time_us <= 0:
        return 0.0
    return by.expected_wait.score(wait_us / service_time_us)


def composed(compute: float, communication: float, service: float, by: Normalisation = DEFAULT) -> float:
    """Combine L1 scores: no better than the worst of them, or their mean."""
    if by.composed == "mean":
        return (compute + communication + service) / 3
    return min(compute, communication, service)


def norm_fi(compute: float, communication: float, service: float, by: Normalisation = DEFAULT) -> float:
    """Return the L2 score: the weighted mean, gated by the service."""
    return by.weights.mean(compute, communication, service) if service > 0 else 0.0


def to_integer(score: float) -> int:
    """Round half up to 0..10."""
    return int(min(BEST, max(0.0, score)) + 0.5)


def scores(compute: float, communication: float, service: float, by: Normalisation = DEFAULT) -> Scores:
    """Return all five scores as integers; rounding comes last."""
    return Scores(
        norm_fi=to_integer(norm_fi(compute, communication, service, by)),
        compute=to_integer(compute),
        communication=to_integer(communication),
        service=to_integer(service),
        composed=to_integer(composed(compute, communication, service, by)),
    )
