"""Traces, instance servers, load generators and what clients saw.

In the order in which data passes: `trace` reads requests, `load` plans how many and from where,
`schedule` is the file a client is given, `client` sends it, `server` answers, `live` merges what
clients print while they run, `results` what they wrote when they ended, `report` shows it.

The public names below are imported when first used: `python -m p4cats.replay.server` starts many
times on small machines, and must not pay for parts that it does not need.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from p4cats.replay.errors import ReplayError, ResultError, TraceError
    from p4cats.replay.live import LiveSnapshot, LiveState
    from p4cats.replay.load import Capacity, offered_rps, poisson_plan, split, trace_plan
    from p4cats.replay.report import error_lines, ratio_line, results_table
    from p4cats.replay.results import (
        ClientReport,
        Outcome,
        PolicyResult,
        demo_json,
        p99_ratio,
        percentile,
        read_report,
        summarise,
        write_demo_json,
    )
    from p4cats.replay.schedule import Protocol, Request, read_schedule, write_schedule
    from p4cats.replay.service import ServiceTime, WorkerPool
    from p4cats.replay.trace import mean_rate_rps, poisson, read_trace, scale_to_rate, window

_HOME = {
    "Capacity": "load",
    "ClientReport": "results",
    "LiveSnapshot": "live",
    "LiveState": "live",
    "Outcome": "results",
    "PolicyResult": "results",
    "Protocol": "schedule",
    "ReplayError": "errors",
    "Request": "schedule",
    "ResultError": "errors",
    "ServiceTime": "service",
    "TraceError": "errors",
    "WorkerPool": "service",
    "demo_json": "results",
    "error_lines": "report",
    "mean_rate_rps": "trace",
    "offered_rps": "load",
    "p99_ratio": "results",
    "percentile": "results",
    "poisson": "trace",
    "poisson_plan": "load",
    "ratio_line": "report",
    "read_report": "results",
    "read_schedule": "schedule",
    "read_trace": "trace",
    "results_table": "report",
    "scale_to_rate": "trace",
    "split": "load",
    "summarise": "results",
    "trace_plan": "load",
    "window": "trace",
    "write_demo_json": "results",
    "write_schedule": "schedule",
}

__all__ = [
    "Capacity",
    "ClientReport",
    "LiveSnapshot",
    "LiveState",
    "Outcome",
    "PolicyResult",
    "Protocol",
    "ReplayError",
    "Request",
    "ResultError",
    "ServiceTime",
    "TraceError",
    "WorkerPool",
    "demo_json",
    "error_lines",
    "mean_rate_rps",
    "offered_rps",
    "p99_ratio",
    "percentile",
    "poisson",
    "poisson_plan",
    "ratio_line",
    "read_report",
    "read_schedule",
    "read_trace",
    "results_table",
    "scale_to_rate",
    "split",
    "summarise",
    "trace_plan",
    "window",
    "write_demo_json",
    "write_schedule",
]


def __getattr__(name: str) -> object:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOME[name]}"), name)
