"""The process behind `p4cats switch`: options, start, signals, end."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import logging
import signal
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from p4cats.errors import UserError
from p4cats.switch.errors import P4RuntimeError
from p4cats.switch.pipeline import Program
from p4cats.switch.ports import Ports, parse_ports
from p4cats.switch.server import Tls, check_address, start_server
from p4cats.switch.service import P4RuntimeService
from p4cats.switch.status import handler, status

if TYPE_CHECKING:
    from p4cats.switch.autotarget import AutoTarget
    from p4cats.switch.modeltarget import ModelTarget
    from p4cats.switch.xdptarget import XdpTarget

_GRACE_S = 0.5
"""How long RPCs may finish after a signal."""


@dataclass(frozen=True)
class SwitchOptions:
    """What the command line says."""

    p4runtime: str = "127.0.0.1:9559"
    device_id: int = 1
    ports: tuple[str, ...] = ()
    """Each `NUMBER@INTERFACE`."""
    pipeline: Path | None = None
    include_dirs: tuple[Path, ...] = ()
    netns: str | None = None
    """Namespace of the ports: a name, a path or a process id. P4Runtime stays in the caller's."""
    cpu_port: int = 510
    state: Path | None = None
    """File that keeps the registers over a restart; on xdp its path names the pin of their memory, too."""
    tls_cert: Path | None = None
    tls_key: Path | None = None
    tls_ca: Path | None = None
    target: str = "model"
    """auto, model or xdp."""
    keep: Path | None = None
    """File to which the xdp target writes the C text of the program that it runs."""
    verbose: bool = False


def run_switch(options: SwitchOptions) -> int:
    """Run a switch until SIGTERM or SIGINT; prints `ready …` on stdout once it serves.

    Returns the exit status. A user's mistake is told in one line on stderr: status 1 for bad input
    (2 where the machine lacks something). Errors of the P4 program are the compiler's diagnostics.
    """
    logging.basicConfig(
        stream=sys.stderr,
        level=logging.INFO if options.verbose else logging.WARNING,
        format="p4cats switch: %(levelname)s: %(message)s",
    )
    try:
        return asyncio.run(_run(options))
    except UserError as error:
        print(f"p4cats: error: {error}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        return 0


def _tls(options: SwitchOptions) -> Tls | None:
    if options.tls_cert is None and options.tls_key is None:
        if options.tls_ca is not None:
            raise UserError("--tls-ca needs --tls-cert and --tls-key")
        return None
    if options.tls_cert is None or options.tls_key is None:
        raise UserError("--tls-cert and --tls-key belong together")
    return Tls(options.tls_cert, options.tls_key, options.tls_ca)


async def _run(options: SwitchOptions) -> int:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    if options.device_id < 1:
        raise UserError(
            f"device id {options.device_id}: it must be 1 or more (0 is never valid in P4Runtime)"
        )
    if options.target not in ("auto", "model", "xdp"):
        raise UserError(f"target {options.target!r} is not built in; use --target auto, model or xdp")
    specs = parse_ports(options.ports, options.cpu_port)
    tls = _tls(options)
    check_address(options.p4runtime, tls)
    program = _compile(options)
    ports = Ports(specs, options.netns)
    async with contextlib.AsyncExitStack() as stack:
        stack.callback(ports.close)
        ports.open()
        await _serve(options, ports, program, tls, stack)
        await stop.wait()
    return 0


def _compile(options: SwitchOptions) -> Program | None:
    if options.pipeline is None:
        return None
    from p4cats.switch.programs import compile_pipeline  # noqa: PLC0415 (not every switch compiles at start)

    return compile_pipeline(options.pipeline, options.include_dirs)


def _target(options: SwitchOptions, ports: Ports) -> AutoTarget | ModelTarget | XdpTarget:
    """The target of the options; only its own modules are loaded."""
    from p4cats.switch.modeltarget import ModelTarget  # noqa: PLC0415

    if options.target == "model":
        return ModelTarget(ports, options.cpu_port, options.state)
    from p4cats.switch.xdptarget import XdpTarget  # noqa: PLC0415

    xdp = XdpTarget(ports, options.cpu_port, options.netns, options.keep, options.state)
    if options.target == "xdp":
        return xdp
    from p4cats.switch.autotarget import AutoTarget  # noqa: PLC0415

    return AutoTarget(xdp, ModelTarget(ports, options.cpu_port, options.state))


async def _serve(
    options: SwitchOptions,
    ports: Ports,
    program: Program | None,
    tls: Tls | None,
    stack: contextlib.AsyncExitStack,
) -> None:
    from p4cats.switch.programs import compile_config  # noqa: PLC0415

    target = _target(options, ports)
    service = P4RuntimeService(options.device_id, target, compile_config, ports, cpu_port=options.cpu_port)
    stack.callback(service.close)
    if program is not None:
        try:
            service.start_with(program)
        except P4RuntimeError as error:  # the target cannot run it
            raise UserError(error.message) from error
    server, port = await start_server(
        service, options.p4runtime, tls, also=[handler(lambda: status(target, ports))]
    )
    stack.push_async_callback(server.stop, _GRACE_S)

    def changed(number: int) -> None:
        target.port_changed(number)
        service.port_changed(number)

    ports.start(target.receive, changed)
    target.start()
    stack.callback(target.stop)
    address = options.p4runtime.rpartition(":")[0] + f":{port}" if port > 1 else options.p4runtime
    # What is loaded by now stays: collections need not look at it, and need not stop packets often.
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 50)
    print(f"ready p4runtime={address} device-id={options.device_id} ports={len(ports.ports)}", flush=True)


__all__ = ["SwitchOptions", "run_switch"]
