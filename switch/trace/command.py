"""`p4cats trace`: where the packets and the state come from, and how traces are printed."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from p4cats.errors import UserError
from p4cats.switch.pipeline import Program
from p4cats.switch.trace.filters import compile_filter
from p4cats.switch.trace.live import Capture, find_process
from p4cats.switch.trace.offline import trace_stf
from p4cats.switch.trace.packets import packets
from p4cats.switch.trace.plane import CPU_PORT
from p4cats.switch.trace.remote import SwitchReader, TraceError
from p4cats.switch.trace.replica import SwitchCopy
from p4cats.switch.trace.tracer import PacketTrace

_LARGEST_PORT = 510
_REFRESH_S = 1.0
"""Live: how long after the last frame the switch is read again."""


@dataclass(frozen=True)
class TraceOptions:
    """What the command line says; exactly one of `address` and `stf` is given."""

    name: str = ""
    """The switch as the user calls it."""
    address: str = ""
    device_id: int = 1
    packet: str | None = None
    port: int | None = None
    live: bool = False
    count: int | None = None
    filter: str | None = None
    program: Path | None = None
    include_dirs: Sequence[Path] = ()
    stf: Path | None = None
    cpu_port: int | None = None
    as_json: bool = False


def run_trace(options: TraceOptions, write: Callable[[str], None] = print) -> int:
    """Trace packets and print what was found; the exit status. UserError for what cannot be done."""
    _check(options)
    wanted = compile_filter(options.filter)
    if options.stf is not None:
        return _offline(options, options.stf, wanted, write)
    reader = SwitchReader(options.address, options.device_id)
    try:
        if options.live:
            return _live(options, reader, wanted, write)
        assert options.packet is not None
        assert options.port is not None
        given = packets(options.packet)
        first = next(given, None)  # a mistake in the packet is told before the switch is asked
        if first is None:
            raise TraceError(f"{options.packet} holds no packet")
        copy = _copy(options, reader, options.cpu_port or CPU_PORT)
        traces = (copy.run(options.port, p) for p in _chain(first, given) if wanted(p))
        return _print_all(options, traces, write)
    finally:
        reader.close()


def _check(options: TraceOptions) -> None:
    if options.stf is not None:
        if options.program is None:
            raise TraceError("--stf needs the program: --program PROG.p4")
        return
    if not options.address:
        raise TraceError("name a switch (or ADDR:PORT), or give --program PROG.p4 --stf TEST.stf")
    if options.live == (options.packet is not None):
        raise TraceError("say which packets: --packet HEX|FILE.pcap --port N, or --live")
    if not options.live and options.port is None:
        raise TraceError("--packet needs --port N, the port that it comes in by")
    if options.port is not None and not 0 <= options.port <= _LARGEST_PORT:
        raise TraceError(f"--port {options.port}: port numbers are 0 to {_LARGEST_PORT}")


def _copy(options: TraceOptions, reader: SwitchReader, cpu_port: int) -> SwitchCopy:
    program = reader.program() if options.program is None else _program(options.program, options.include_dirs)
    if options.program is not None:
        reader.check_pipeline()
    copy = SwitchCopy(reader, program, cpu_port=cpu_port, ahead=options.live)
    if reader.now_us() is None and program.info.registers:
        reader.warnings.append(
            "the switch does not tell its time: times in registers look as if in the future"
        )
    _warn(reader)
    return copy


def _program(path: Path, include_dirs: Sequence[Path]) -> Program:
    from p4cats.switch.programs import compile_pipeline  # noqa: PLC0415 (loads the compiler)

    return compile_pipeline(path, include_dirs)


def _warn(reader: SwitchReader) -> None:
    while reader.warnings:
        print(f"p4cats trace: warning: {reader.warnings.pop(0)}", file=sys.stderr)


def _chain(first: bytes, rest: Iterable[bytes]) -> Iterable[bytes]:
    yield first
    yield from rest


# -- output -----------------------------------------------------------------------------------


def _print_all(options: TraceOptions, traces: Iterable[PacketTrace], write: Callable[[str], None]) -> int:
    limited = _limit(traces, options.count)
    if options.as_json:
        found = [trace.as_json() for trace in limited]
        write(json.dumps({"switch": options.name, "packets": found}, indent=2))
        return 0 if found else 1
    number = 0
    for number, trace in enumerate(limited, 1):
        _print_text(options, trace, number)
    if not number:
        raise TraceError(f"no packet passes --filter {options.filter!r}")
    return 0


def _limit(traces: Iterable[PacketTrace], count: int | None) -> Iterable[PacketTrace]:
    if count is not None and count <= 0:
        return
    for number, trace in enumerate(traces, 1):
        yield trace
        if number == count:
            return


def _print_text(options: TraceOptions, trace: PacketTrace, number: int) -> None:
    from rich.console import Console  # noqa: PLC0415 (not for --json)

    from p4cats.switch.trace.render import render  # noqa: PLC0415

    console = Console(highlight=False, soft_wrap=True)
    if number > 1:
        console.print()
    console.print(render(trace, f"{options.name}, packet {number}"))


# -- sources ----------------------------------------------------------------------------------


def _live(
    options: TraceOptions, reader: SwitchReader, wanted: Callable[[bytes], bool], write: Callable[[str], None]
) -> int:
    process = find_process(options.address)
    capture = Capture(process)
    try:
        copy = _copy(options, reader, options.cpu_port or process.cpu_port)
        capture.forget()  # what came while the switch was read has changed it already
        heard = capture.frames(wanted, lambda: _refresh(copy, reader), _REFRESH_S)
        print(f"p4cats trace: listening at {capture.places}; Ctrl-C ends", file=sys.stderr)
        traces = (
            copy.run(port, frame) for port, frame in heard if options.port is None or port == options.port
        )
        for number, trace in enumerate(_limit(traces, options.count), 1):
            if options.as_json:
                write(json.dumps({"switch": options.name} | trace.as_json()))
                sys.stdout.flush()
            else:
                _print_text(options, trace, number)
    except KeyboardInterrupt:
        pass
    finally:
        capture.close()
    return 0


def _refresh(copy: SwitchCopy, reader: SwitchReader) -> None:
    copy.refresh()
    _warn(reader)


def _offline(
    options: TraceOptions, stf: Path, wanted: Callable[[bytes], bool], write: Callable[[str], None]
) -> int:
    from p4cats.switch.stf.commands import StfError  # noqa: PLC0415

    assert options.program is not None
    program = _program(options.program, options.include_dirs)
    try:
        traces = [t for t in trace_stf(program.ir, stf) if wanted(t.packet)]
    except StfError as error:
        raise UserError(str(error)) from None
    except OSError as error:
        raise TraceError(f"{stf}: {error.strerror}") from None
    return _print_all(options, traces, write)


__all__ = ["TraceOptions", "run_trace"]
