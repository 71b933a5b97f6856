"""From raw metrics (L0) to scores of a category (L1) and one score for all (L2).

Pure functions. The levels, the categories, the range and its direction are those of
draft-ietf-cats-metric-definition (sections 3, 4 and 6): integers 0 to 10, **10 is best**; 0-3
low, 4-7 medium, 8-10 high. The draft names min-max scaling and the sigmoid for
normalisation, mean, minimum and weighted mean for aggregation, and leaves the formulas to
implementations; these are ours:

    compute        min(min-max of CPU use from 0 to 1, sigmoid of run-queue latency, half at 2000 µs)
    communication  min(min-max of link use from 0 to 1, sigmoid of loss, half at 1 %)
    service        sigmoid of the expected wait, half at one service time; 0 when not healthy
    composed       min(compute, communication, service): the bottleneck
    norm_fi (L2)   weighted mean of compute 0.3, communication 0.2, service 0.5; 0 when service is 0

The sigmoid is the logistic function of ln(x), s(x) = 10 / (1 + (x / half)^2): 10 at 0, 5 at
`half`, about 0 from ten times that. No category looks at another's input (section 6.4), only the
last two combine. Scores of other implementations are not comparable (section 4.3): steering
uses the raw values, which travel beside the scores.
"""

from dataclasses import dataclass

BEST = 10.0
UNKNOWN_U32 = 0xFFFFFFFF
"""All ones: a wait or a power that is not known."""

RUN_QUEUE_HALF_US = 2000.0
LOSS_HALF = 0.01
WEIGHTS = {"compute": 0.3, "communication": 0.2, "service": 0.5}


@dataclass(frozen=True)
class Scores:
    """The L2 score and the four L1 scores, as on the wire."""

    norm_fi: int
    compute: int
    communication: int
    service: int
    composed: int

    def as_dict(self) -> dict[str, int]:
        """Return the scores by name."""
        return {
            "norm_fi": self.norm_fi,
            "compute": self.compute,
            "communication": self.communication,
            "service": self.service,
            "composed": self.composed,
        }


def expected_wait_us(in_flight: int, workers: int, service_time_us: int) -> int:
    """Return max(0, in_flight + 1 - workers) * service_time / workers in microseconds.

    How long one more request would wait for a worker. The same, rounding included,
    as expected_wait_us in stamp.bpf.c. UNKNOWN_U32 without workers or service time.
    """
    if not workers or not service_time_us:
        return UNKNOWN_U32
    return min(max(0, in_flight + 1 - workers) * service_time_us // workers, UNKNOWN_U32 - 1)


def min_max(value: float, best: float, worst: float) -> float:
    """Scale linearly: `best` and beyond gives 10, `worst` and beyond 0. They must differ."""
    share = (value - worst) / (best - worst)
    return BEST * min(1.0, max(0.0, share))


def sigmoid(value: float, half: float) -> float:
    """Score a cost without bound: 10 at 0, 5 at `half`, falling towards 0."""
    ratio = max(0.0, value) / half
    return BEST / (1.0 + ratio * ratio)  # not **, which raises where * gives infinity


def compute(cpu_use: float, run_queue_us: float) -> float:
    """Score a node's processors: use 0..1, and mean wait for a CPU in microseconds."""
    return min(min_max(cpu_use, 0.0, 1.0), sigmoid(run_queue_us, RUN_QUEUE_HALF_US))


def communication(link_use: float, loss: float) -> float:
    """Score a node's network: use of its link 0..1, and share of packets lost 0..1."""
    return min(min_max(link_use, 0.0, 1.0), sigmoid(loss, LOSS_HALF))


def service(wait_us: float, service_time_us: float, *, healthy: bool = True) -> float:
    """Score a service instance: expected wait against its own service time, in microseconds."""
    if not healthy or service_time_us <= 0:
        return 0.0
    return sigmoid(wait_us, service_time_us)


def composed(*scores: float) -> float:
    """Combine L1 scores: no better than the worst of them."""
    return min(scores)


def norm_fi(compute_score: float, communication_score: float, service_score: float) -> float:
    """Return the L2 score: the weighted mean, gated by the service."""
    if service_score <= 0:
        return 0.0
    return (
        WEIGHTS["compute"] * compute_score
        + WEIGHTS["communication"] * communication_score
        + WEIGHTS["service"] * service_score
    )


def to_integer(score: float) -> int:
    """Round half up to 0..10."""
    return int(min(BEST, max(0.0, score)) + 0.5)


def scores(compute_score: float, communication_score: float, service_score: float) -> Scores:
    """Return all five scores as integers; rounding comes last."""
    return Scores(
        norm_fi=to_integer(norm_fi(compute_score, communication_score, service_score)),
        compute=to_integer(compute_score),
        communication=to_integer(communication_score),
        service=to_integer(service_score),
        composed=to_integer(composed(compute_score, communication_score, service_score)),
    )
