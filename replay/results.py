"""What clients saw under a policy: their outputs merged into one `PolicyResult`.

Percentiles are nearest-rank: the least latency such that at least that percentage of all requests
took no longer. It is always a latency that some request had.

A request that was not answered (timeout, refused, 503, error) is in the percentiles with the
timeout as its latency, or with what it took if that was longer. Left out, a policy that loses its
slow requests would look better than one that answers them; and an instant refusal is no fast answer.
"""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from p4cats.replay.errors import ResultError


@dataclass(frozen=True)
class Outcome:
    """What happened to one request. Times in seconds from the start of the run."""

    scheduled_s: float
    sent_s: float
    finished_s: float
    protocol: str
    demand: float
    status: str
    instance: int | None
    site: str | None
    wait_us: int | None
    service_us: int | None
    detail: str = ""

    @property
    def answered(self) -> bool:
        """True if an instance served it in time."""
        return self.status == "ok"

    def latency_ms(self, timeout_s: float) -> float:
        """Return milliseconds from the scheduled time; at least the timeout if there was no answer."""
        latency_s = self.finished_s - self.scheduled_s
        return 1e3 * (latency_s if self.answered else max(latency_s, timeout_s))


@dataclass(frozen=True)
class ClientReport:
    """What one client wrote."""

    name: str
    timeout_s: float
    planned: int
    complete: bool
    """False if it was stopped before all its requests were over."""
    cpu_s: float
    outcomes: tuple[Outcome, ...]


@dataclass(frozen=True)
class PolicyResult:
    """One policy, all clients together. Latencies in milliseconds."""

    requests: int
    """Requests sent."""
    errors: int
    """Requests sent and not answered."""
    p50_ms: float
    p99_ms: float
    share: dict[str, float]
    """Fraction of the answered requests, by site."""
    mean_ms: float = math.nan
    p90_ms: float = math.nan
    p95_ms: float = math.nan
    p999_ms: float = math.nan
    max_ms: float = math.nan
    error_kinds: dict[str, int] = field(default_factory=dict)
    unsent: int = 0
    """Requests planned and never sent, because a client was stopped."""
    late_p99_ms: float = math.nan
    """How late clients sent (99th percentile): their own part of the latencies."""

    def demo_json(self) -> dict[str, object]:
        """Return the five fields of build/demo.json."""
        return {
            "requests": self.requests,
            "errors": self.errors,
            "p50_ms": round(self.p50_ms, 3),
            "p99_ms": round(self.p99_ms, 3),
            "share": {site: round(part, 4) for site, part in self.share.items()},
        }


def percentile(values: Sequence[float], percent: float) -> float:
    """Return the nearest-rank percentile of `values` (in any order, not empty), `percent` in (0, 100]."""
    if not values or not 0 < percent <= 100:
        raise ValueError("a percentile needs values, and a percentage above 0 and up to 100")
    # 99.9 / 100 * 1000 is 999.0000000000001 in floating point: the rank is 999, not 1000.
    rank = math.ceil(round(percent / 100 * len(values), 9))
    return sorted(values)[max(rank, 1) - 1]


def read_report(path: str | Path) -> ClientReport:
    """Read what a client wrote to --out; ResultError if it is missing or damaged."""
    try:
        data: dict[str, Any] = json.loads(Path(path).read_text(encoding="utf-8"))
        client = data["client"]
        return ClientReport(
            name=client["name"],
            timeout_s=client["timeout_s"],
            planned=client["planned"],
            complete=client["complete"],
            cpu_s=client["cpu_s"],
            outcomes=tuple(Outcome(**row) for row in data["requests"]),
        )
    except OSError as error:
        raise ResultError(f"{path}: {error.strerror}: the client that writes it has failed") from None
    except (ValueError, LookupError, TypeError):
        raise ResultError(f"{path}: is not what a client writes") from None


def summarise(reports: Iterable[ClientReport], sites: Iterable[str] = ()) -> PolicyResult:
    """Merge clients' reports. `sites` are listed even if no request went there.

    ResultError if no request was sent.
    """
    reports = list(reports)
    pairs = [(outcome, report.timeout_s) for report in reports for outcome in report.outcomes]
    if not pairs:
        raise ResultError("no client sent a request: there is nothing to summarise")
    latencies = sorted(outcome.latency_ms(timeout_s) for outcome, timeout_s in pairs)
    served = Counter(str(outcome.site) for outcome, _ in pairs if outcome.answered)
    answered = served.total()
    kinds = Counter(outcome.status for outcome, _ in pairs if not outcome.answered)
    late_ms = [1e3 * (outcome.sent_s - outcome.scheduled_s) for outcome, _ in pairs]
    return PolicyResult(
        requests=len(pairs),
        errors=kinds.total(),
        p50_ms=percentile(latencies, 50),
        p99_ms=percentile(latencies, 99),
        share={site: served[site] / max(answered, 1) for site in sorted({*served, *sites})},
        mean_ms=sum(latencies) / len(latencies),
        p90_ms=percentile(latencies, 90),
        p95_ms=percentile(latencies, 95),
        p999_ms=percentile(latencies, 99.9),
        max_ms=latencies[-1],
        error_kinds=dict(kinds),
        unsent=sum(report.planned - len(report.outcomes) for report in reports),
        late_p99_ms=percentile(late_ms, 99),
    )


def p99_ratio(results: Mapping[str, PolicyResult], base: str = "nearest", other: str = "least") -> float:
    """Return how many times the p99 of `other` fits into that of `base`: above 1, `other` is better."""
    return results[base].p99_ms / results[other].p99_ms


def demo_json(target: str, results: Mapping[str, PolicyResult]) -> dict[str, object]:
    """Return the content of build/demo.json: the target and, by policy, five numbers."""
    return {"target": target, "policies": {name: result.demo_json() for name, result in results.items()}}


def write_demo_json(path: str | Path, target: str, results: Mapping[str, PolicyResult]) -> None:
    """Write build/demo.json, and the folder it is in."""
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    Path(path).write_text(json.dumps(demo_json(target, results), indent=2) + "\n", encoding="utf-8")
