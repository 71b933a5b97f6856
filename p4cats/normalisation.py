"""How raw metrics (L0) become scores, chosen per service (draft-ietf-cats-metric-definition, 4.2 and 4.3).

Scores of different definitions are not comparable, so the definition goes with the service: the topology
sets it, agents use it, `p4cats services -v` shows it. Scores run from 0 to 10, 10 is best.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

BEST = 10.0

Share = Annotated[float, Field(ge=0, allow_inf_nan=False)]


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class MinMax(_Model):
    """Linear: `best` and beyond gives 10, `worst` and beyond 0."""

    function: Literal["min-max"] = "min-max"
    best: Annotated[float, Field(allow_inf_nan=False)] = 0.0
    worst: Annotated[float, Field(allow_inf_nan=False)] = 1.0

    @model_validator(mode="after")
    def _differ(self) -> MinMax:
        if self.best == self.worst:
            raise ValueError("best and worst must differ")
        return self

    def score(self, value: float) -> float:
        """Return the score of a value."""
        return BEST * min(1.0, max(0.0, (value - self.worst) / (self.best - self.worst)))

    def __str__(self) -> str:
        return f"min-max, 10 at {self.best:g}, 0 at {self.worst:g}"


class Sigmoid(_Model):
    """The logistic function of ln(x), 10 / (1 + (x / half)^2): 10 at 0, 5 at `half`, falling towards 0."""

    function: Literal["sigmoid"] = "sigmoid"
    half: Annotated[float, Field(gt=0, allow_inf_nan=False)]

    def score(self, value: float) -> float:
        """Return the score of a value."""
        ratio = max(0.0, value) / self.half
        return BEST / (1.0 + ratio * ratio)  # not **, which raises where * gives infinity

    def __str__(self) -> str:
        return f"sigmoid, 5 at {self.half:g}"


Function = Annotated[MinMax | Sigmoid, Field(discriminator="function")]


class Weights(_Model):
    """Shares of the L1 scores in a weighted mean; they need not add up to 1."""

    compute: Share = 0.3
    communication: Share = 0.2
    service: Share = 0.5

    @model_validator(mode="after")
    def _not_all_zero(self) -> Weights:
        if self.compute + self.communication + self.service <= 0:
            raise ValueError("one weight at least must be more than 0")
        return self

    def mean(self, compute: float, communication: float, service: float) -> float:
        """Return the weighted mean of three scores."""
        total = self.compute + self.communication + self.service
        parts = self.compute * compute + self.communication * communication + self.service * service
        return min(BEST, parts / total)


class Normalisation(_Model):
    """The functions of one service. A category takes the worse of its two scores (the bottleneck)."""

    cpu_use: Function = MinMax(best=0.0, worst=1.0)
    """Of the share of CPU time in use, 0 to 1."""
    run_queue_us: Function = Sigmoid(half=2000.0)
    """Of the mean wait for a CPU in microseconds."""
    link_use: Function = MinMax(best=0.0, worst=1.0)
    """Of the share of the link's rate in use, 0 to 1."""
    loss: Function = Sigmoid(half=0.01)
    """Of the share of packets lost, 0 to 1."""
    expected_wait: Function = Sigmoid(half=1.0)
    """Of the expected wait, in multiples of the service time."""
    composed: Literal["min", "mean"] = "min"
    """How the composed score is made of the three others."""
    weights: Weights = Weights()
    """Of the L2 score."""

    def definitions(self) -> dict[str, str]:
        """Return what each score of the service is, in words, by its name on the wire."""
        w = self.weights
        return {
            "compute": f"worse of: CPU use ({self.cpu_use}); run-queue latency in µs ({self.run_queue_us})",
            "communication": f"worse of: link use ({self.link_use}); share of packets lost ({self.loss})",
            "service": f"expected wait over service time ({self.expected_wait}); 0 while not healthy",
            "composed": f"{self.composed} of compute, communication and service",
            "norm_fi": f"weighted mean: compute {w.compute:g}, communication {w.communication:g},"
            f" service {w.service:g}; 0 where service is 0",
        }


DEFAULT = Normalisation()
