"""Requests, and the file that tells a client when to send which.

A schedule is JSON lines, one request a line: {"at_s": 0.25, "demand": 1.5, "protocol": "udp"}.
Only `at_s` is needed. Times are seconds from the start of the run and do not go back.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Literal, NamedTuple, get_args

from p4cats.replay.errors import TraceError
from p4cats.replay.wire import MAX_DEMAND

Protocol = Literal["udp", "http"]
PROTOCOLS: tuple[Protocol, ...] = get_args(Protocol)


class Request(NamedTuple):
    """One request: when, how much work, and by which protocol."""

    at_s: float
    """Seconds after the start of the trace."""
    demand: float = 1.0
    """Factor on the instance's service time."""
    protocol: Protocol = "udp"


def write_schedule(path: str | Path, requests: Iterable[Request]) -> None:
    """Write requests as a schedule that `read_schedule` and the client read."""
    with open(path, "w", encoding="utf-8") as file:
        file.writelines(json.dumps(request._asdict()) + "\n" for request in requests)


def read_schedule(path: str | Path) -> tuple[Request, ...]:
    """Read a schedule; TraceError if it is missing, damaged or goes back in time."""
    requests: list[Request] = []
    try:
        with open(path, encoding="utf-8") as file:
            for number, text in enumerate(file, 1):
                if text.strip():
                    request = _request(path, number, text)
                    if requests and request.at_s < requests[-1].at_s:
                        raise TraceError(path, "goes back in time", line=number, column="at_s")
                    requests.append(request)
    except OSError as error:
        raise TraceError(path, error.strerror or str(error)) from None
    except UnicodeDecodeError:
        raise TraceError(path, "is not UTF-8 text") from None
    return tuple(requests)


def _request(path: str | Path, number: int, text: str) -> Request:
    try:
        row = json.loads(text)
    except ValueError:
        row = None
    if not isinstance(row, dict):
        raise TraceError(path, "must be one JSON object", line=number)
    at_s: Any = row.get("at_s")
    demand: Any = row.get("demand", 1.0)
    protocol = row.get("protocol", "udp")
    if not _is_number(at_s) or at_s < 0:
        raise TraceError(path, f"must be seconds from 0 (got {at_s})", line=number, column="at_s")
    if not _is_number(demand) or not 0 <= demand <= MAX_DEMAND:
        wanted = f"must be a number from 0 to {MAX_DEMAND:.0f}"
        raise TraceError(path, f"{wanted} (got {demand})", line=number, column="demand")
    if protocol not in PROTOCOLS:
        wanted = " or ".join(PROTOCOLS)
        raise TraceError(path, f"must be {wanted} (got {protocol})", line=number, column="protocol")
    return Request(float(at_s), float(demand), protocol)


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
