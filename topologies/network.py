"""Build the network of a topology with Mininet, run it, change its links, and remove it.

    with Network(topology, runner=switches) as network:
        network.run("clients1", ["curl", "http://[2001:db8:ca75::53]:8080/"])

Every node is a network namespace with the interfaces, MACs and addresses of the plan
(`addressing`). Switch programs are not started here but by a `SwitchRunner` of the caller: a
P4Runtime server stays in the root namespace, where gRPC clients reach it, and opens its ports in
the namespace whose path it is given.

    NetworkError        the network cannot be built or changed, and what would help; one line
"""

from __future__ import annotations

import contextlib
import functools
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol

from p4cats.errors import UserError
from p4cats.netns import call_in
from p4cats.topologies import cleanup, emulation, namespaces, units
from p4cats.topologies.addressing import Plan, Port
from p4cats.topologies.emulation import Carrier, Counters, EmulationError, Impairment, Linkem, Mode
from p4cats.topologies.namespaces import CommandError
from p4cats.topologies.schema import Topology

if TYPE_CHECKING:
    from p4cats.topologies.nodes import PlannedHost, PlannedLink, PlannedSwitch

TERMINATE_TIMEOUT_S = 2.0
"""Seconds that processes in the nodes have between SIGTERM and SIGKILL."""

_TOOLS = {"ip": "iproute2", "nsenter": "util-linux", "unshare": "util-linux", "setpriv": "util-linux"}


class NetworkError(UserError):
    """The network cannot be built or changed, and what would help; one line."""

    exit_code = 2


class SwitchRunner(Protocol):
    """Starts and stops the programs of switches."""

    def start(self, name: str, netns: str, ports: Mapping[int, str]) -> None:
        """Start the data plane of a switch; `ports` are its interfaces in the namespace at `netns`."""

    def stop(self, name: str) -> None:
        """Stop the data plane of a switch; called for every switch that was started, also after a failure."""


def require() -> None:
    """Raise NetworkError if this machine or this user cannot build networks."""
    if os.geteuid() != 0:
        raise NetworkError("network namespaces need root: run it with sudo")
    for tool, package in _TOOLS.items():
        if shutil.which(tool) is None:
            raise NetworkError(f"{tool} is not installed: `apt-get install {package}`")
    _mininet()


def _mininet() -> Any:
    """Return the module `nodes`, which needs Mininet."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # Mininet 2.3.0 imports distutils
            from p4cats.topologies import nodes  # noqa: PLC0415 (Mininet is optional until here)
    except ImportError as error:
        raise NetworkError(
            f"Mininet cannot be imported ({error}): `apt-get install mininet`, "
            "and a virtual environment made with --system-site-packages"
        ) from None
    return nodes


class Network:
    """A running network; a context manager.

    `emulation` is how links get delay, loss and rate: "netem", "linkem", or "auto" (netem if the
    kernel has it). A link that has none of them is a bare veth pair and keeps its nature; with
    emulate_all every link is emulated, so that `set_link` may impair any of them later. `seed`
    fixes the sequence of losses (linkem only).

    Not thread-safe, and to be entered in a thread that lives at least as long as the network.
    """

    def __init__(
        self,
        topology: Topology,
        plan: Plan | None = None,
        *,
        runner: SwitchRunner | None = None,
        emulation: Literal["auto", "netem", "linkem"] = "auto",
        emulate_all: bool = False,
        seed: int = 1,
    ):
        self.topology = topology
        self.plan = plan or Plan(topology)
        self.mininet: Any = None
        """The mininet.net.Mininet object, while the network runs."""
        self._runner = runner
        self._emulation = emulation
        self._emulate_all = emulate_all
        self._seed = seed
        self._record: cleanup.Run | None = None
        self._linkem: Linkem | None = None
        self._links: dict[frozenset[str], PlannedLink] = {}
        self._carried = 0
        self._started: list[str] = []
        self._processes: list[subprocess.Popen[Any]] = []

    def __enter__(self) -> Network:
        self.start()
        return self

    def __exit__(self, *_exception: object) -> None:
        self.stop()

    def start(self) -> None:
        """Build everything and start the switches; NetworkError, with nothing left behind, if that fails."""
        require()
        cleanup.remove_leftovers()
        self._record = cleanup.Run.create(self.topology.name)
        try:
            self._build()
        except (CommandError, EmulationError) as error:
            self.stop()
            raise NetworkError(str(error)) from error
        except BaseException:
            self.stop()
            raise

    def _build(self) -> None:
        nodes = _mininet()
        from mininet.log import lg  # noqa: PLC0415 (Mininet is optional)
        from mininet.net import Mininet  # noqa: PLC0415

        lg.setLogLevel("error")
        # Mininet raises limits of the root namespace (sysctl) when first used, which would outlive us.
        Mininet.inited = True
        wires = [port.wire for switch in self.plan.switches.values() for port in switch.ports.values()]
        if self.mode == "linkem" and (self._emulate_all or not all(wire.is_plain for wire in wires)):
            self._linkem = Linkem(self.record)
        topo = nodes.PlannedTopo(plan=self.plan, run=self.record, carrier=self._carrier)
        self.mininet = Mininet(
            topo, switch=nodes.PlannedSwitch, host=nodes.PlannedHost, link=nodes.PlannedLink,
            controller=None, build=False,
        )  # fmt: skip
        self.mininet.build()
        for link in self.mininet.links:
            self._links[frozenset((link.intf1.node.name, link.intf2.node.name))] = link
        for switch in self.mininet.switches:
            switch.bring_up()
            switch.on_start = functools.partial(self._start_switch, switch)
            switch.on_stop = functools.partial(self._stop_switch, switch)
        self._emulate()
        self.mininet.start()

    def _carrier(self, port: Port) -> Carrier | None:
        """Return who carries the frames of a link: linkem's far ends, or None for the kernel."""
        if self._linkem is None or (port.wire.is_plain and not self._emulate_all):
            return None
        self._carried += 1
        name = f"w{self._carried}"
        return Carrier(self._linkem.pid, name, (f"{name}a", f"{name}b"))

    def _emulate(self) -> None:
        """Give every link its delay, loss and rate."""
        if self._linkem is not None:
            carriers = [link.carrier for link in self._links.values() if link.carrier is not None]
            up = "".join(f"link set dev {end} up\n" for carrier in carriers for end in carrier.ends)
            call_in(self._linkem.netns, lambda: namespaces.run(["ip", "-batch", "-"], up))
        for number, link in enumerate(self._links.values()):
            if link.carrier is not None and self._linkem is not None:
                seed = self._seed * 1_000_003 + number
                self._linkem.add(link.carrier.name, link.carrier.ends, link.impairment, seed)
            elif self.mode == "netem" and (self._emulate_all or not link.impairment.is_plain):
                _set_netem(link)
        self._wait_until_up(self._links.values())

    def _wait_until_up(self, links: Iterable[PlannedLink]) -> None:
        """Wait until no frame given to an end of these links is lost before the link."""
        ends: dict[str, list[str]] = {}
        for link in links:
            for end in (link.intf1, link.intf2):
                ends.setdefault(end.node.netns, []).append(end.name)
            if link.carrier is not None and self._linkem is not None:
                ends.setdefault(self._linkem.netns, []).extend(link.carrier.ends)
        for netns, names in ends.items():
            namespaces.wait_until_up(netns, names)

    def _start_switch(self, switch: PlannedSwitch) -> None:
        if self._runner is not None:
            ports = {port.number: port.interface for port in switch.plan.ports.values()}
            self._started.append(switch.name)
            self._runner.start(switch.name, switch.netns, ports)

    def _stop_switch(self, switch: PlannedSwitch) -> None:
        if self._runner is not None and switch.name in self._started:
            self._started.remove(switch.name)
            self._runner.stop(switch.name)

    def stop(self) -> None:
        """Stop the switches, end every process and remove the network; does nothing the second time.

        What fails on the way is reported after everything else is done.
        """
        if self._record is None:
            return
        with _undisturbed(), contextlib.ExitStack() as steps:  # the steps run in reverse
            steps.callback(self._forget)
            steps.callback(self._record.remove)
            if self._linkem is not None:
                steps.callback(self._linkem.close)
            if self.mininet is not None:
                for node in self.mininet.values():
                    steps.callback(node.terminate)
                for switch in self.mininet.switches:
                    steps.callback(switch.stop)
            steps.callback(self._end_processes)

    def _forget(self) -> None:
        self._record, self._linkem, self.mininet = None, None, None
        self._links, self._started, self._processes = {}, [], []

    def _end_processes(self) -> None:
        """Ask the processes in the nodes to end, then make them."""
        alive = [process for process in self._processes if process.poll() is None]
        for process in alive:
            process.terminate()
        deadline = time.monotonic() + TERMINATE_TIMEOUT_S
        for process in alive:
            try:
                process.wait(max(0.0, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()

    @property
    def mode(self) -> Mode:
        """How this network emulates links: netem or linkem."""
        return emulation.mode() if self._emulation == "auto" else self._emulation

    @property
    def record(self) -> cleanup.Run:
        """The record of what this network started; `record.also_remove(path)` adds to it."""
        if self._record is None:
            raise NetworkError("the network is not running")
        return self._record

    @property
    def directory(self) -> Path:
        """A directory for files of this network (sockets, logs), removed with it."""
        return self.record.directory

    def _node(self, name: str) -> PlannedHost | PlannedSwitch:
        if self.mininet is None:
            raise NetworkError("the network is not running")
        if name not in self.mininet:
            raise NetworkError(f"no node is named {name}; there are {', '.join(self.mininet.keys())}")
        node: PlannedHost | PlannedSwitch = self.mininet[name]
        return node

    def netns(self, node: str) -> str:
        """Return the path of a node's network namespace."""
        return self._node(node).netns

    def popen(self, node: str, argv: Sequence[str], **options: Any) -> subprocess.Popen[Any]:
        """Start a process in a node's network namespace; it ends with the network at the latest.

        The mount namespace is this process's own: pinned BPF objects stay visible. Options are
        those of subprocess.Popen, and `die_with_parent` (see cleanup.Run.spawn).
        """
        process = self.record.spawn(argv, self.netns(node), **options)
        self._processes.append(process)
        return process

    def run(
        self, node: str, argv: Sequence[str], *, timeout_s: float = 30.0, check: bool = True, **options: Any
    ) -> subprocess.CompletedProcess[str]:
        """Run a command in a node to its end and return its output (text); CalledProcessError if it fails."""
        pipes: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
        process = self.popen(node, argv, **{**pipes, **options})
        try:
            out, err = process.communicate(timeout=timeout_s)
        except BaseException:
            process.kill()
            process.communicate()
            raise
        finally:
            self._processes.remove(process)
        if check and process.returncode:
            raise subprocess.CalledProcessError(process.returncode, list(argv), out, err)
        return subprocess.CompletedProcess(list(argv), process.returncode, out, err)

    def _link(self, a: str, b: str) -> PlannedLink:
        self._node(a), self._node(b)
        try:
            return self._links[frozenset((a, b))]
        except KeyError:
            raise NetworkError(f"no link joins {a} and {b}") from None

    def set_link(
        self,
        a: str,
        b: str,
        *,
        delay: str | int | None = None,
        loss: str | float | None = None,
        rate: str | None = None,
        up: bool | None = None,
    ) -> None:
        """Change a link between two switches, or of a host, in both directions; None keeps a value.

        Values are written as in a topology (`delay="20ms"`, `loss="1%"`, `rate="10mbit"`, or
        `rate="none"`). `up=False` sets the interfaces at both ends down, as Mininet does: a packet
        socket bound to one reads ENETDOWN once, and works again after `up=True`. Frames already on their
        way keep the delay they began with. NetworkError if there is no such link, or if it is a
        bare veth pair that cannot be impaired.
        """
        link = self._link(a, b)
        changed = link.impairment
        try:
            if delay is not None:
                changed = replace(changed, delay_us=units.duration_us(delay))
            if loss is not None:
                changed = replace(changed, loss_ppm=units.loss_ppm(loss))
            if rate is not None:
                changed = replace(changed, rate_bps=None if rate == "none" else units.rate_bps(rate))
        except ValueError as error:
            raise NetworkError(f"link {a}, {b}: {error}") from None
        try:
            if changed != link.impairment:
                self._impair(link, changed, f"{a}, {b}")
            if up is not None:
                self._set_up(link, up)
        except (CommandError, EmulationError) as error:
            raise NetworkError(f"link {a}, {b}: {error}") from error

    def _impair(self, link: PlannedLink, changed: Impairment, name: str) -> None:
        if link.carrier is not None and self._linkem is not None:
            self._linkem.set(link.carrier.name, changed)
        elif self.mode == "netem":
            link.impairment = changed
            _set_netem(link)
        else:
            raise NetworkError(
                f"link {name} is a bare veth pair: give it a delay, loss or rate in the topology, "
                "or build the network with emulate_all"
            )
        link.impairment = changed

    def _set_up(self, link: PlannedLink, up: bool) -> None:
        for end in (link.intf1, link.intf2):
            if up:
                end.node.bring_up()
            else:
                end.node.configure([f"link set dev {end.name} down"])
        if up:
            self._wait_until_up([link])

    def link(self, a: str, b: str) -> Impairment:
        """Return what a link does to frames now."""
        return self._link(a, b).impairment

    def link_counters(self, a: str, b: str) -> tuple[Counters, Counters]:
        """Return frames counted from a to b and from b to a; NetworkError unless linkem carries the link."""
        link = self._link(a, b)
        if link.carrier is None or self._linkem is None:
            raise NetworkError(f"link {a}, {b} is carried by the kernel, which does not count for us")
        forth, back = self._linkem.counters(link.carrier.name)
        return (forth, back) if link.intf1.node.name == a else (back, forth)

    def cli(self, script: str | None = None) -> None:
        """Run Mininet's console on this network until `exit`, or the commands of a script file."""
        from mininet.log import lg  # noqa: PLC0415 (Mininet is optional)

        console = _mininet().Console
        lg.ch.setStream(sys.stderr)  # it was bound when Mininet was imported
        lg.setLogLevel("output")
        # A script has no terminal: it reads a pipe to which nobody writes.
        reading, writing = os.pipe()
        try:
            with os.fdopen(reading) as silence:
                console(self.mininet, script=script, stdin=silence if script else sys.stdin)
        finally:
            os.close(writing)
            lg.setLogLevel("error")


def _set_netem(link: PlannedLink) -> None:
    for end in (link.intf1, link.intf2):
        emulation.netem(end.name, link.impairment, end.node.netns)


@contextlib.contextmanager
def _undisturbed() -> Iterator[None]:
    """Ignore Ctrl-C while cleaning up: a second one must not leave half of it."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        # None: the handler was not installed from Python and cannot be put back by it.
        signal.signal(signal.SIGINT, signal.SIG_DFL if before is None else before)
