"""Results for people: one table, a row for each policy."""

from __future__ import annotations

from collections.abc import Mapping

from rich.box import SIMPLE_HEAD
from rich.table import Table

from p4cats.replay.results import PolicyResult, p99_ratio


def results_table(results: Mapping[str, PolicyResult], title: str | None = None) -> Table:
    """Return a table of policies side by side: requests, errors, latencies, share of each site."""
    sites = sorted({site for result in results.values() for site in result.share})
    table = Table(title=title, box=SIMPLE_HEAD, pad_edge=False)
    table.add_column("policy", no_wrap=True)
    for name in ("requests", "errors", "p50 ms", "p90 ms", "p99 ms", *sites):
        table.add_column(name, justify="right", no_wrap=True)
    for policy, result in results.items():
        latencies = (result.p50_ms, result.p90_ms, result.p99_ms)
        table.add_row(
            policy,
            str(result.requests),
            str(result.errors),
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


def error_lines(results: Mapping[str, PolicyResult]) -> list[str]:
    """Return a line for each policy under which requests were not answered: how many, and why."""
    return [
        f"errors under {policy}: "
        + ", ".join(f"{count} {kind}" for kind, count in sorted(result.error_kinds.items()))
        for policy, result in results.items()
        if result.error_kinds
    ]
