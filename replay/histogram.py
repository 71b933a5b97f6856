"""A histogram of latencies that can be merged: buckets 5 % wide, so percentiles are true to 2.5 %.

For live views only. Results are computed from every single latency (`results`).
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping

_LEAST_MS = 0.01
_LOG_WIDTH = math.log(1.05)


class Histogram:
    """Counts of latencies by bucket; bucket i > 0 ends at 0.01 ms times 1.05^i."""

    def __init__(self, counts: Mapping[int, int] | None = None) -> None:
        self.counts: Counter[int] = Counter(counts or {})

    def add(self, latency_ms: float) -> None:
        """Count one latency, in milliseconds."""
        self.counts[max(0, math.ceil(math.log(max(latency_ms, _LEAST_MS) / _LEAST_MS) / _LOG_WIDTH))] += 1

    def merge(self, other: Histogram) -> None:
        """Add the counts of another histogram."""
        self.counts.update(other.counts)

    def percentile_ms(self, percent: float) -> float | None:
        """Return the nearest-rank percentile (the middle of its bucket), None while empty."""
        rank = math.ceil(percent / 100 * self.counts.total())
        for bucket in sorted(self.counts):
            rank -= self.counts[bucket]
            if rank <= 0:
                return _LEAST_MS * math.exp(_LOG_WIDTH * (bucket - 0.5))
        return None
