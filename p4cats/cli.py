"""The command line: parses arguments, calls the part that does the work, prints, sets the exit status.

Imports of the parts stand inside the commands: `p4cats status` must not wait for a compiler to load.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from enum import Enum
from pathlib import Path
from typing import Annotated, Any

import typer

from p4cats import __version__, protocol
from p4cats.errors import EnvironmentLacksError, UserError

app = typer.Typer(
    name="p4cats",
    help="Compute-aware traffic steering (CATS) with P4 and eBPF.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


class Target(str, Enum):
    """Where a P4 program runs."""

    AUTO = "auto"
    XDP = "xdp"
    MODEL = "model"
    BMV2 = "bmv2"


Targets = Annotated[Target, typer.Option(help="Where the P4 programs run.")]
Network = Annotated[
    str | None, typer.Option("--network", help="Name of the running network, if more than one runs.")
]
Includes = Annotated[
    list[Path] | None, typer.Option("-I", metavar="DIR", help="Directory of include files; may be repeated.")
]
Defines = Annotated[
    list[str] | None, typer.Option("-D", metavar="NAME[=VALUE]", help="Macro for the preprocessor.")
]
Undefines = Annotated[list[str] | None, typer.Option("-U", metavar="NAME", help="Take a macro of -D back.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")]


def _resolve(target: Target) -> str:
    """For what runs nowhere but here: auto is the model, whose result depends on no kernel and on no user."""
    if target is Target.BMV2:
        raise EnvironmentLacksError(
            "target bmv2: start p4c and simple_switch_grpc by hand (docs/targets.md), or use --target model"
        )
    return "xdp" if target is Target.XDP else "model"


def _resolve_for_packets(target: Target) -> str:
    """For what forwards packets: auto is model where this machine or this user cannot have xdp.

    Else it stays auto: it depends on the program.
    """
    if target is not Target.AUTO:
        return _resolve(target)
    from p4cats.emulation.environment import why_not_xdp

    reason = why_not_xdp()
    if reason is None:
        return "auto"
    typer.echo(f"p4cats: target model, which is slow; xdp does not run here: {reason}", err=True)
    return "model"


def _need_root(what: str) -> None:
    if os.geteuid() != 0:
        raise EnvironmentLacksError(f"{what} needs root (network namespaces, eBPF): run it with sudo")


def _macros(define: list[str] | None, undefine: list[str] | None) -> dict[str, str]:
    """Macros by name, as a C compiler takes them: `-D NAME` is 1, `-D NAME=` is empty."""
    macros = {}
    for text in define or []:
        name, equals, value = text.partition("=")
        macros[name] = value if equals else "1"
    return {name: value for name, value in macros.items() if name not in (undefine or [])}


@app.command()
def compile(
    program: Annotated[Path, typer.Argument(metavar="PROG.p4", help="P4_16 program for v1model.")],
    output: Annotated[Path, typer.Option("-o", "--output", metavar="DIR", help="Where to write.")] = Path(),
    include: Includes = None,
    define: Defines = None,
    undefine: Undefines = None,
    target: Targets = Target.AUTO,
    keep: Annotated[
        bool, typer.Option("--keep", help="Also write PROG.bpf.c, the C text that target xdp makes of it.")
    ] = False,
) -> None:
    """Compile a P4 program: writes its P4Info and what the target runs.

    What the chosen target cannot run is an error; with --target auto it is a warning.

    Example: p4cats compile p4src/edge.p4 -o build
    """
    from p4cats.emulation.programs import compile_program

    files = compile_program(
        program,
        output,
        target=_resolve(target),
        include_dirs=include or [],
        defines=_macros(define, undefine),
        report=lambda text: typer.echo(text, err=True),
        must_run=target is not Target.AUTO,
        keep=keep,
    )
    for path in files.written:
        typer.echo(str(path))


@app.command()
def stf(
    program: Annotated[Path, typer.Argument(metavar="PROG.p4")],
    test: Annotated[Path, typer.Argument(metavar="TEST.stf", help="Packet test in p4c's format.")],
    include: Includes = None,
    define: Defines = None,
    undefine: Undefines = None,
    verbose: Annotated[
        bool, typer.Option("-v", "--verbose", help="Also print what reading and ignored commands say.")
    ] = False,
    target: Targets = Target.AUTO,
) -> None:
    """Run a packet test: prints PASS, or FAIL and every difference; exit status 0 if it holds.

    Example: p4cats stf tests/conformance/programs/checksums.p4 tests/conformance/programs/checksums.stf
    """
    from p4cats.emulation.programs import run_packet_test

    result = run_packet_test(
        program,
        test,
        target=_resolve(target),
        include_dirs=include or [],
        defines=_macros(define, undefine),
    )
    for line in result.output if verbose else []:
        typer.echo(line)
    typer.echo(str(result))
    raise typer.Exit(0 if result.passed else 1)


@app.command()
def switch(
    p4runtime: Annotated[
        str, typer.Option(metavar="ADDR:PORT", help="Where P4Runtime is served.")
    ] = "127.0.0.1:9559",
    device_id: Annotated[int, typer.Option(min=1, help="P4Runtime device id.")] = 1,
    port: Annotated[
        list[str] | None, typer.Option(metavar="N@IFACE", help="A port of the switch; may be repeated.")
    ] = None,
    pipeline: Annotated[
        Path | None, typer.Option(metavar="PROG.p4", help="Program to start with; else a controller sets it.")
    ] = None,
    include: Annotated[list[Path] | None, typer.Option("-I", metavar="DIR")] = None,
    netns: Annotated[
        str | None, typer.Option(help="Network namespace of the ports: a name, a path or a process id.")
    ] = None,
    cpu_port: Annotated[int, typer.Option(min=1, max=510, help="Port of packet-in and packet-out.")] = 510,
    tls_cert: Annotated[Path | None, typer.Option(help="Server certificate (PEM).")] = None,
    tls_key: Annotated[Path | None, typer.Option(help="Its private key (PEM).")] = None,
    tls_ca: Annotated[Path | None, typer.Option(help="CA whose clients are let in (mutual TLS).")] = None,
    state: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Keeps the registers over a restart, on xdp over a SIGKILL too."),
    ] = None,
    target: Targets = Target.AUTO,
    keep: Annotated[
        bool, typer.Option("--keep", help="Leave the C text that target xdp runs in switch-ID.bpf.c.")
    ] = False,
) -> None:
    """Run a P4Runtime switch on interfaces of this machine until it is ended.

    Example: p4cats switch --pipeline p4src/transit.p4 --port 1@eth1 --port 2@eth2
    """
    from p4cats.switch.process import SwitchOptions, run_switch

    options = SwitchOptions(
        p4runtime=p4runtime,
        device_id=device_id,
        ports=tuple(port or ()),
        pipeline=pipeline,
        include_dirs=tuple(include or ()),
        netns=netns,
        cpu_port=cpu_port,
        tls_cert=tls_cert,
        tls_key=tls_key,
        tls_ca=tls_ca,
        target=_resolve_for_packets(target),
        state=state,
        keep=Path(f"switch-{device_id}.bpf.c").absolute() if keep else None,
    )
    raise typer.Exit(run_switch(options))


@app.command()
def agent(config: Annotated[Path, typer.Argument(metavar="AGENT.json")]) -> None:
    """Run the host hooks (sense, stamp, beacons) of the hosts that a file describes, until ended.

    SIGHUP lets it read the file again; what has not changed goes on undisturbed.

    Example: p4cats agent /etc/p4cats/agent.json
    """
    from p4cats.ebpf.agent import run_agent

    _need_root("the agent")
    raise typer.Exit(run_agent(config))


@app.command()
def collect(
    listen: Annotated[
        str, typer.Option(metavar="[ADDR]:PORT", help="Where reports arrive.")
    ] = f"[::]:{protocol.REPORT_PORT}",
    json_file: Annotated[
        Path | None, typer.Option("--json", metavar="FILE", help="Append every report, one a line.")
    ] = None,
    controller: Annotated[
        Path | None, typer.Option(metavar="SOCKET", help="Controller that is told the measured delays.")
    ] = None,
    read: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Collect nothing: convert what --json has written.")
    ] = None,
    parquet: Annotated[
        Path | None, typer.Option(metavar="OUT", help="Where --read writes the reports as Parquet.")
    ] = None,
) -> None:
    """Collect telemetry reports: paths, latencies, decisions, lost reports. Until Ctrl-C.

    Example: p4cats collect --json reports.jsonl
    Example: p4cats collect --read reports.jsonl --parquet reports.parquet
    """
    import asyncio

    from p4cats.controller import collector
    from p4cats.controller.parquet import convert

    if (read is None) != (parquet is None):
        raise UserError("collect with --json FILE, then convert with --read FILE --parquet OUT")
    if read is not None and parquet is not None:
        typer.echo(f"{parquet}: {convert(read, parquet)} reports")
        return
    asyncio.run(collector.collect(*collector.parse_listen(listen), json_file, controller))


@app.command()
def up(
    topology: Annotated[Path, typer.Argument(metavar="TOPOLOGY.yaml")],
    target: Targets = Target.AUTO,
    cli: Annotated[bool, typer.Option("--cli", help="Open Mininet's command line.")] = False,
    keep: Annotated[
        bool, typer.Option("--keep", help="Leave the C text that target xdp runs in PROG.bpf.c.")
    ] = False,
    prometheus: Annotated[
        str | None, typer.Option(metavar="[ADDR:]PORT", help="Serve figures for Prometheus at /metrics.")
    ] = None,
) -> None:
    """Bring a topology up: network, switches, controller, agents, servers. Until Ctrl-C.

    Example: p4cats up topologies/edge-cloud.yaml
    """
    from p4cats.emulation.up import run_up

    _need_root("an emulated network")
    kept, chosen = Path.cwd() if keep else None, _resolve_for_packets(target)
    raise typer.Exit(run_up(topology, target=chosen, cli=cli, keep=kept, prometheus=prometheus))


@app.command()
def demo(
    topology: Annotated[Path | None, typer.Option(help="Another topology than edge-cloud.")] = None,
    policy: Annotated[
        str, typer.Option(metavar="A,B", help="Steering policies, run one after the other.")
    ] = "nearest,least",
    trace: Annotated[
        Path | None, typer.Option(help="Request trace (CSV) instead of Poisson arrivals.")
    ] = None,
    json_file: Annotated[Path | None, typer.Option("--json", metavar="FILE", help="Write results.")] = None,
    seconds: Annotated[float, typer.Option(min=2, max=600, help="Length of the load per policy.")] = 20.0,
    seed: Annotated[int, typer.Option(help="Seed of arrivals and service times.")] = 1,
    target: Targets = Target.AUTO,
) -> None:
    """Send real requests to one anycast address, under each policy, and compare what clients saw.

    Example: p4cats demo --json build/demo.json
    """
    from p4cats.emulation.experiment import run_demo

    _need_root("the demo")
    raise typer.Exit(
        run_demo(
            topology,
            policies=[p.strip() for p in policy.split(",") if p.strip()],
            trace=trace,
            json_file=json_file,
            seconds=seconds,
            seed=seed,
            target=_resolve_for_packets(target),
        )
    )


@app.command()
def replay(
    trace: Annotated[Path, typer.Argument(metavar="TRACE", help="Request trace (CSV).")],
    topology: Annotated[Path, typer.Option(metavar="FILE", help="Topology (YAML).")],
    policy: Annotated[str, typer.Option(metavar="A,B,C")] = "nearest,hash,least",
    json_file: Annotated[Path | None, typer.Option("--json", metavar="FILE", help="Write results.")] = None,
    seconds: Annotated[float, typer.Option(min=2, max=3600)] = 20.0,
    seed: Annotated[int, typer.Option()] = 1,
    target: Targets = Target.AUTO,
) -> None:
    """Replay a request trace on a topology under several policies.

    Example: p4cats replay trace.csv --topology topologies/edge-cloud.yaml --policy nearest,hash,least
    """
    demo(topology, policy, trace, json_file, seconds, seed, target)


def _show(as_json: bool, value: Any, render: Callable[[Any], Any]) -> None:
    if as_json:
        typer.echo(json.dumps(value, indent=2, default=str))
        return
    from rich.console import Console

    Console().print(render(value))


@app.command()
def status(network: Network = None, as_json: AsJson = False) -> None:
    """The switches: what they hold, their ports, and why they dropped packets.

    Example: p4cats status
    """
    from p4cats.controller import client, render

    _show(as_json, client.connect(network).status(), render.status)


@app.command()
def services(
    network: Network = None,
    as_json: AsJson = False,
    verbose: Annotated[
        bool, typer.Option("-v", "--verbose", help="Also how their scores are made of raw metrics.")
    ] = False,
) -> None:
    """The services, their addresses and policies.

    Example: p4cats services -v
    """
    from p4cats.controller import client, render

    views = client.connect(network).services()
    _show(as_json, views, render.services)
    if verbose and not as_json:
        _show(False, views, render.scores)


@app.command()
def instances(
    network: Network = None,
    as_json: AsJson = False,
    verbose: Annotated[
        bool, typer.Option("-v", "--verbose", help="Also the raw metrics, with units and meanings.")
    ] = False,
) -> None:
    """The service instances: where they are and what they say about themselves.

    Example: p4cats instances -v
    """
    from p4cats.controller import client, render

    views = client.connect(network).instances()
    _show(as_json, views, render.instances)
    if verbose and not as_json:
        _show(False, views, render.raw_metrics)


@app.command()
def policy(
    service: Annotated[str, typer.Argument(metavar="SERVICE")],
    policy: Annotated[str, typer.Argument(metavar="POLICY", help="static, hash, least, nearest, p2c, joint")],
    network: Network = None,
) -> None:
    """Change how new flows of a service find their instance; placed flows stay.

    Example: p4cats policy chat nearest
    """
    from p4cats.controller import client

    with client.connect(network) as controller:
        controller.set_service(service, policy=policy)
        _require_converged(controller.converged())


@app.command()
def instance(
    number: Annotated[int, typer.Argument(metavar="ID", help="As `p4cats instances` shows it.")],
    state: Annotated[
        str,
        typer.Argument(metavar="STATE", help="up, drain (keeps the flows it has) or down (loses them)"),
    ],
    network: Network = None,
) -> None:
    """Drain an instance, take it down, or take it up again.

    A drained instance shows as `gone` in `p4cats instances` when none of its flows is left.

    Example: p4cats instance 1 drain
    """
    from p4cats.controller import client

    with client.connect(network) as controller:
        controller.set_instance(number, state="drained" if state == "drain" else state)
        _require_converged(controller.converged())


@app.command()
def telemetry(
    state: Annotated[
        str | None, typer.Argument(metavar="on|off", help="Begin to sample packets, or end it.")
    ] = None,
    flows: Annotated[
        float | None, typer.Option(metavar="SHARE", help="Of the flows, above 0 to 1: sampled whole or not.")
    ] = None,
    packets: Annotated[
        float | None, typer.Option(metavar="SHARE", help="Of the packets of these flows, above 0 to 1.")
    ] = None,
    service: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME", help="Only this service's packets; may be repeated."),
    ] = None,
    network: Network = None,
    as_json: AsJson = False,
) -> None:
    """What in-band telemetry samples: shows it, after it was changed if anything is given.

    Example: p4cats telemetry on --flows 0.1 --service chat
    """
    from p4cats.controller import client, render

    if state not in (None, "on", "off"):
        raise UserError(f"telemetry {state}: write on or off")
    with client.connect(network) as controller:
        if (state, flows, packets, service) == (None,) * 4:
            view = controller.telemetry()
        else:
            on = None if state is None else state == "on"
            view = controller.set_telemetry(
                on=on, flow_share=flows, packet_share=packets, services=service or None
            )
            _require_converged(controller.converged())
    _show(as_json, view, render.telemetry)


def _require_converged(converged: bool) -> None:
    if not converged:
        raise UserError("not all switches have taken the change yet: see `p4cats status`")


@app.command()
def explain(
    flow: Annotated[str, typer.Argument(metavar="FLOW", help="SRC,DST[,PROTOCOL[,SPORT,DPORT]]")],
    network: Network = None,
    as_json: AsJson = False,
) -> None:
    """Why a flow goes where it goes.

    Example: p4cats explain 2001:db8:1:1::2,2001:db8:ca75::53,udp,40000,8080
    """
    from p4cats.controller import client, render

    _show(as_json, client.connect(network).explain(flow), render.explain)


@app.command()
def shell(
    switch_name: Annotated[str, typer.Argument(metavar="SWITCH", help="Its name, or ADDR:PORT.")],
    network: Network = None,
) -> None:
    """Open p4runtime-shell on a running switch (reads everything; the controller stays primary).

    Example: p4cats shell edge1
    """
    from p4cats.emulation.console import open_shell

    raise typer.Exit(open_shell(switch_name, network))


@app.command()
def trace(
    switch_name: Annotated[str, typer.Argument(metavar="SWITCH", help="Its name, or ADDR:PORT.")] = "",
    packet: Annotated[
        str | None, typer.Option(metavar="HEX|FILE.pcap", help="The frame in hexadecimal, or a capture file.")
    ] = None,
    port: Annotated[
        int | None, typer.Option(metavar="N", help="Port that it comes in by; with --live, only this port.")
    ] = None,
    live: Annotated[bool, typer.Option("--live", help="Trace frames that arrive at the switch.")] = False,
    count: Annotated[int | None, typer.Option(min=1, help="End after so many packets.")] = None,
    filter_text: Annotated[
        str | None, typer.Option("--filter", metavar="TEXT", help="Only these: 'udp and dst port 8080'.")
    ] = None,
    network: Network = None,
    device_id: Annotated[int, typer.Option(min=1, help="P4Runtime device id, with ADDR:PORT.")] = 1,
    program: Annotated[
        Path | None, typer.Option(metavar="PROG.p4", help="The program, where the switch does not tell it.")
    ] = None,
    include: Includes = None,
    stf_file: Annotated[
        Path | None, typer.Option("--stf", metavar="TEST.stf", help="Without a switch: a test's packets.")
    ] = None,
    cpu_port: Annotated[int | None, typer.Option(min=1, max=510, help="The switch's CPU port.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON (with --live one line each).")] = False,
) -> None:
    """The way of a packet through a switch's program: what matched, what changed, where it went and why.

    Nothing in the switch changes: its program and entries are read, and a copy runs the packet.

    Example: p4cats trace edge1 --packet frame.pcap --port 1
    """
    from p4cats.emulation.console import locate
    from p4cats.switch.trace import TraceOptions, run_trace

    address = ""
    if switch_name:
        address, found = locate(switch_name, network)
        device_id = found if found is not None else device_id
    options = TraceOptions(
        name=switch_name or str(stf_file),
        address=address,
        device_id=device_id,
        packet=packet,
        port=port,
        live=live,
        count=count,
        filter=filter_text,
        program=program,
        include_dirs=tuple(include or ()),
        stf=stf_file,
        cpu_port=cpu_port,
        as_json=as_json,
    )
    raise typer.Exit(run_trace(options, typer.echo))


@app.command()
def dissector(
    install: Annotated[
        Path | None,
        typer.Option("--install", metavar="DIR", help="Copy it to a directory of Wireshark plugins."),
    ] = None,
) -> None:
    """Print where the Wireshark and tshark dissector of our packets is.

    Example: tshark -X lua_script:$(p4cats dissector) -i any -Y cats
    Example: p4cats dissector --install ~/.local/lib/wireshark/plugins
    """
    from p4cats.packets import dissector as packets

    typer.echo(str(packets.SCRIPT if install is None else packets.install(install)))


@app.command()
def doctor(as_json: AsJson = False) -> None:
    """What this machine has and lacks, what works without it, and the command that adds it.

    Example: p4cats doctor
    """
    from p4cats.emulation import environment

    checks = environment.examine()
    if as_json:
        typer.echo(json.dumps([c.as_dict() for c in checks], indent=2))
    else:
        from rich.console import Console

        Console().print(environment.render(checks))
    raise typer.Exit(0 if environment.demo_runs(checks) else 2)


@app.command()
def clean() -> None:
    """Remove what a killed run left behind: processes, namespaces, interfaces, eBPF programs and maps.

    Example: p4cats clean
    """
    from p4cats.switch.xdp.pinned import remove_abandoned
    from p4cats.topologies.cleanup import remove_leftovers

    _need_root("removing leftovers")
    for line in (*remove_leftovers(), *remove_abandoned()):
        typer.echo(f"removed {line}")


def _version(value: bool) -> None:
    if value:
        typer.echo(f"p4cats {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    pass


def main() -> None:
    """Entry point of the `p4cats` command."""
    try:
        app()
    except UserError as error:
        for line in str(error).splitlines():
            typer.echo(line, err=True)
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        sys.exit(130)
    except Exception as error:
        if os.environ.get("P4CATS_DEBUG"):
            raise
        typer.echo(f"internal error: {type(error).__name__}: {error}", err=True)
        hint = "  this is a mistake of p4cats: please report it (P4CATS_DEBUG=1 shows where it is)"
        typer.echo(hint, err=True)
        sys.exit(70)


if __name__ == "__main__":
    main()
