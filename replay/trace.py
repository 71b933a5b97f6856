"""Request traces: reading them, choosing a window, fitting it to a rate; and synthetic ones.

Two shapes of file, told apart by their header (names in any case, more columns are ignored):

- `TIMESTAMP, ContextTokens, GeneratedTokens`: LLM inference, as the Azure public dataset has it.
  Work of a request = ContextTokens + 4 * GeneratedTokens. A prompt is processed in parallel, an
  answer token by token; 4 is the usual ratio of the prices of the two, our stand-in for cost.
- `time, demand[, protocol]`: any other trace; `time` may be called timestamp, time_s or at_s,
  `demand` work.

Times are seconds or ISO 8601 (UTC unless they say otherwise). CSV, or Parquet where polars is installed.
`window` divides demand by its mean, so that demand 1 is the mean request of that window, and the
load offered to an instance is rate * mean service time, whatever the unit of work in the file.
"""

from __future__ import annotations

import csv
import importlib
import math
import random
import re
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime, timezone
from pathlib import Path
from typing import Any, NamedTuple

from p4cats.replay.errors import ReplayError, TraceError
from p4cats.replay.schedule import PROTOCOLS, Protocol, Request

GENERATED_TOKEN_WORK = 4.0
"""Work of one generated token, in context tokens."""

_TIME_NAMES = ("timestamp", "time", "time_s", "at_s")
_DEMAND_NAMES = ("demand", "work")
_ISO = re.compile(r"(\d{4}-\d\d-\d\d[ T]\d\d:\d\d:\d\d)(\.\d+)?(Z|[+-]\d\d:\d\d)?")


class _Columns(NamedTuple):
    """Where in a row things are: index and name of a column."""

    time: tuple[int, str]
    work: tuple[tuple[int, str, float], ...]
    """Columns whose weighted sum is a request's work."""
    protocol: tuple[int, str] | None


def read_trace(path: str | Path, protocol: Protocol = "udp") -> tuple[Request, ...]:
    """Read a trace, sorted by time, the first request at 0 s, demand in the file's own unit.

    `protocol` is for traces that name none. TraceError names file, line and column of what is wrong.
    """
    parquet = Path(path).suffix.lower() in (".parquet", ".pq")
    rows = _parquet_rows(path) if parquet else _csv_rows(path)
    _, header = next(rows, (1, []))
    columns = _columns(path, [str(name) for name in header])
    numeric: bool | None = None
    found: list[Request] = []
    for line, row in rows:
        cell = _cells(path, line, row)
        time_s, is_number = _time_s(path, line, columns.time[1], cell(*columns.time))
        if numeric not in (None, is_number):
            raise TraceError(path, "mixes numbers and dates", line=line, column=columns.time[1])
        numeric = is_number
        demand = sum(weight * _amount(path, line, name, cell(at, name)) for at, name, weight in columns.work)
        named = cell(*columns.protocol).lower() if columns.protocol else protocol
        if named not in PROTOCOLS:
            wanted = " or ".join(PROTOCOLS)
            raise TraceError(path, f"must be {wanted} (got {named})", line=line, column="protocol")
        found.append(Request(time_s, demand, named))
    if not found:
        raise TraceError(path, "holds no requests")
    found.sort(key=lambda request: request.at_s)
    origin_s = found[0].at_s
    return tuple(request._replace(at_s=request.at_s - origin_s) for request in found)


def _csv_rows(path: str | Path) -> Iterator[tuple[int, list[str]]]:
    try:
        with open(path, encoding="utf-8-sig", newline="") as file:
            reader = csv.reader(file)
            try:
                yield from ((reader.line_num, row) for row in reader if row)
            except csv.Error as error:
                raise TraceError(path, str(error), line=reader.line_num) from None
            except UnicodeDecodeError:
                raise TraceError(path, "is not UTF-8 text", line=reader.line_num + 1) from None
    except OSError as error:
        raise TraceError(path, error.strerror or str(error)) from None


def _parquet_rows(path: str | Path) -> Iterator[tuple[int, list[Any]]]:
    try:
        polars = importlib.import_module("polars")
    except ImportError:
        raise TraceError(path, "reading Parquet needs polars: pip install polars, or use CSV") from None
    try:
        frame = polars.read_parquet(path)
    except Exception as error:  # polars raises exceptions of its own for each way to be broken
        raise TraceError(path, str(error).splitlines()[0]) from None
    yield 0, frame.columns
    for number, row in enumerate(frame.iter_rows(), 1):
        yield number, list(row)


def _columns(path: str | Path, header: Sequence[str]) -> _Columns:
    places = {name.strip().lower(): (index, name.strip()) for index, name in enumerate(header)}
    time = next((places[name] for name in _TIME_NAMES if name in places), None)
    work: tuple[tuple[int, str, float], ...]
    if "contexttokens" in places and "generatedtokens" in places:
        work = ((*places["contexttokens"], 1.0), (*places["generatedtokens"], GENERATED_TOKEN_WORK))
    else:
        work = tuple((*places[name], 1.0) for name in _DEMAND_NAMES if name in places)[:1]
    if time is None or not work:
        missing = "a time column" if time is None else "demand, or ContextTokens and GeneratedTokens"
        shown = ", ".join(places)[:120] or "nothing"
        raise TraceError(path, f"needs {missing} (its columns: {shown})", line=1)
    return _Columns(time, work, places.get("protocol"))


def _cells(path: str | Path, line: int, row: Sequence[Any]) -> Callable[[int, str], str]:
    def cell(index: int, name: str) -> str:
        value = row[index] if index < len(row) else None
        text = "" if value is None else str(value).strip()
        if not text:
            raise TraceError(path, "is empty", line=line, column=name)
        return text

    return cell


def _time_s(path: str | Path, line: int, name: str, text: str) -> tuple[float, bool]:
    """Return seconds, and whether they were written as a number."""
    try:
        seconds = float(text)
    except ValueError:
        pass
    else:
        if math.isfinite(seconds):
            return seconds, True
    match = _ISO.fullmatch(text)
    if match:
        whole, fraction, zone = match.groups()
        try:
            moment = datetime.fromisoformat(whole + ("" if zone in (None, "Z") else zone))
        except ValueError:
            pass
        else:
            moment = moment if moment.tzinfo else moment.replace(tzinfo=timezone.utc)
            return moment.timestamp() + float(fraction or 0), False
    raise TraceError(path, f"{text!r} is neither seconds nor a date and time", line=line, column=name)


def _amount(path: str | Path, line: int, name: str, text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not (math.isfinite(value) and value >= 0):
        raise TraceError(path, f"{text!r} is not a number from 0", line=line, column=name)
    return value


def window(
    requests: Sequence[Request],
    start_s: float = 0.0,
    duration_s: float | None = None,
    count: int | None = None,
) -> tuple[Request, ...]:
    """Return the requests from `start_s` on, for `duration_s` or `count` of them, at most.

    Times begin at 0 with the window's first request; demand is divided by the window's mean.
    """
    end_s = math.inf if duration_s is None else start_s + duration_s
    chosen = [request for request in requests if start_s <= request.at_s < end_s][:count]
    if not chosen:
        raise ReplayError(f"no request of the trace lies in the window from {start_s:g} s to {end_s:g} s")
    origin_s = chosen[0].at_s
    mean = sum(request.demand for request in chosen) / len(chosen)
    if mean <= 0:
        raise ReplayError("the requests of the window have no demand at all")
    return tuple(
        request._replace(at_s=request.at_s - origin_s, demand=request.demand / mean) for request in chosen
    )


def mean_rate_rps(requests: Sequence[Request]) -> float:
    """Return requests per second, from the first to the last of at least two requests."""
    span_s = requests[-1].at_s - requests[0].at_s if requests else 0.0
    if span_s <= 0:
        raise ReplayError("a rate needs two requests at different times")
    return (len(requests) - 1) / span_s


def scale_to_rate(requests: Sequence[Request], rate_rps: float) -> tuple[Request, ...]:
    """Stretch or shrink time so that the mean rate is `rate_rps`; bursts keep their shape."""
    if not (math.isfinite(rate_rps) and rate_rps > 0):
        raise ReplayError(f"a rate must be more than 0 requests per second (got {rate_rps})")
    factor = mean_rate_rps(requests) / rate_rps
    return tuple(request._replace(at_s=request.at_s * factor) for request in requests)


def poisson(rate_rps: float, duration_s: float, seed: int, protocol: Protocol = "udp") -> tuple[Request, ...]:
    """Return a synthetic trace: a Poisson process of `rate_rps` requests/s, each of demand 1."""
    if not (math.isfinite(rate_rps) and rate_rps > 0):
        raise ReplayError(f"a rate must be more than 0 requests per second (got {rate_rps})")
    rng = random.Random(seed)
    found: list[Request] = []
    at_s = rng.expovariate(rate_rps)
    while at_s < duration_s:
        found.append(Request(at_s, 1.0, protocol))
        at_s += rng.expovariate(rate_rps)
    return tuple(found)
