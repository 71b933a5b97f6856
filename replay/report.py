"""Results for people: one table, a row for each policy."""

from __future__ import annotations

from collections.abc import Mapping

from rich.table import Table

from p4cats.replay.results import PolicyResult, p99_ratio


def results_table(results: Mapping[str, PolicyResult], title: str | None = None) -> Table:
    """Return a table of policies side by side: requests, errors, latencies, share of each site."""
    sites = sorted({site for result in results.values() for site in result.share})
    table = Table(title=title)
    table.add_column("policy")
    for name in ("requests", "errors", "p50 ms", "p90 ms", "p99 ms", *sites):
        table.add_column(name, justify="right")
    for policy, result in results.items():
        latencies = (result.p50_ms, result.p90_ms, result.p99_ms)
        table.add_row(
            policy,
            str(result.requests),
            _errors(result),
            *(f"{value:.1f}" for value in latencies),
            *(f"{result.share.get(site, 0.0):.0%}" for site in sites),
        )
    return table


def ratio_line(results: Mapping[str, PolicyResult], base: str = "nearest", other: str = "least") -> str:
    """Return one line that compares the p99 latencies of two policies."""
    ratio = p99_ratio(results, base, other)
    if ratio >= 1:
        return f"p99 latency under {other} is {ratio:.1f} times lower than under {base}"
    return f"p99 latency under {other} is {1 / ratio:.1f} times higher than under {base}"


def _errors(result: PolicyResult) -> str:
    kinds = ", ".join(f"{count} {kind}" for kind, count in sorted(result.error_kinds.items()))
    return f"{result.errors} ({kinds})" if kinds else str(result.errors)
