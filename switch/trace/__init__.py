"""Traces: the way of a packet through the program of a switch, on a copy of it.

Data order: `remote` reads the switch, `replica` holds its copy (`offline`: that of an STF file), `plane` runs
packets on the tracing variant of the generated module, `tracer` collects the steps, `render` prints them.
`packets`, `filters` and `live` say which packets.
"""

from __future__ import annotations

from p4cats.switch.trace.command import TraceOptions, run_trace
from p4cats.switch.trace.plane import TracePlane
from p4cats.switch.trace.remote import SwitchReader, TraceError
from p4cats.switch.trace.replica import SwitchCopy
from p4cats.switch.trace.tracer import PacketTrace, Step

__all__ = [
    "PacketTrace", "Step", "SwitchCopy", "SwitchReader", "TraceError", "TraceOptions", "TracePlane",
    "run_trace",
]  # fmt: skip
