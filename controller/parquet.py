"""Telemetry reports as a Parquet file, from the JSON lines that the collector writes.

A Parquet file is readable only once it is complete: a collector that crashes would lose all of it. So reports
are kept as JSON lines, and converted when they are wanted. The columns are the keys of the lines, see
docs/tutorial-telemetry.md.
"""

from __future__ import annotations

import importlib
from io import BytesIO
from pathlib import Path
from typing import Any

from p4cats.errors import UserError


def convert(lines: Path, parquet: Path) -> int:
    """Write the reports in a file of JSON lines to a Parquet file; return their number.

    A last line that is not complete (the file still grows, or its collector was killed) is left out.
    UserError where a file cannot be read or written, or polars is missing.
    """
    try:
        polars = importlib.import_module("polars")
    except ImportError:
        raise UserError("writing Parquet needs polars: pip install polars") from None
    try:
        octets = lines.read_bytes()
    except OSError as error:
        raise UserError(f"{lines}: cannot be read: {error.strerror}") from None
    try:
        frame = _read(polars, octets[: octets.rfind(b"\n") + 1])
    except Exception as error:  # polars raises exceptions of its own for each way to be broken
        reason = (str(error).splitlines() or ["unreadable"])[0]
        raise UserError(f"{lines}: no file of `p4cats collect --json`: {reason}") from None
    if frame["received_s"].null_count():
        raise UserError(f"{lines}: no file of `p4cats collect --json`: lines without received_s")
    try:
        frame.write_parquet(parquet)
    except OSError as error:
        raise UserError(f"{parquet}: cannot be written: {error.strerror or error}") from None
    return len(frame)


def _read(polars: Any, octets: bytes) -> Any:
    """Return lines as a data frame; exceptions of polars where they are no reports."""
    columns = _schema(polars)
    # The reader knows no integers of less than 64 bits but inside lists and structs.
    wide = {name: polars.Int64 if kind.is_integer() else kind for name, kind in columns.items()}
    return polars.read_ndjson(BytesIO(octets), schema=wide).cast(columns)


def _schema(polars: Any) -> dict[str, Any]:
    """Return the columns' types: those of `Report`, and the time of its arrival (Unix, seconds)."""
    hop = {
        "node": polars.UInt32, "ingress_port": polars.UInt16, "egress_port": polars.UInt16,
        "latency_us": polars.UInt32, "queue": polars.UInt32,
        "ingress_us": polars.UInt64, "egress_us": polars.UInt64,
    }  # fmt: skip
    decision = {
        "instance": polars.UInt16, "policy": polars.UInt8, "placed": polars.Boolean,
        "expected_wait_us": polars.UInt32, "age_us": polars.UInt32,
    }  # fmt: skip
    return {
        "sink": polars.UInt32, "sequence": polars.UInt32,
        "source": polars.String, "destination": polars.String, "protocol": polars.UInt8,
        "source_port": polars.UInt16, "destination_port": polars.UInt16,
        "hops": polars.List(polars.Struct(hop)), "decision": polars.Struct(decision),
        "exceeded": polars.Boolean, "mtu_exceeded": polars.Boolean, "received_s": polars.Float64,
    }  # fmt: skip
