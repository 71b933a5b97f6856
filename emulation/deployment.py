"""A topology brought up whole: network, switches, controller, instance servers, host agent.

    with Deployment(load("edge-cloud.yaml")) as deployment:
        deployment.controller.set_service("chat", policy="nearest")

What is made is removed at the end, also after an exception or Ctrl-C, and after a SIGKILL by the next
start (`p4cats.topologies.cleanup`).
"""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, wait
from contextlib import ExitStack, contextmanager
from ipaddress import IPv6Address
from pathlib import Path
from typing import Any

from p4cats.controller import client
from p4cats.controller.controller import Controller
from p4cats.controller.switches import PipelineFiles
from p4cats.ebpf.config import AgentConfig, HostConfig, InstanceConfig, SteerConfig
from p4cats.emulation.programs import choose_target, switch_programs
from p4cats.emulation.switches import SwitchProcesses
from p4cats.errors import UserError
from p4cats.topologies.addressing import Plan
from p4cats.topologies.cleanup import PINS
from p4cats.topologies.network import Network
from p4cats.topologies.schema import Instance, Topology

CONVERGENCE_TIMEOUT_S = 60.0
"""Six switches of target xdp take 3 s at their first start, compilation included, and 7 s where the load
is five times the processors: this does for networks several times as large."""
REQUEST_LIFETIME_MS = 2000
"""A UDP request without an answer counts as in flight for so long; clients give up as early."""
SERVER_QUEUE = 1024
"""Requests that may wait at a server: more than an overloaded one gets before its clients give up."""


class DeploymentError(UserError):
    """A part did not come up, or has ended by itself; one line."""


class Deployment:
    """A running topology. `tell` is told what is being done, a few words at a time.

    `target` is xdp, model, or auto: xdp where it runs. `prometheus` is where figures are served, if anywhere.
    """

    def __init__(
        self,
        topology: Topology,
        *,
        target: str = "auto",
        seed: int = 1,
        agents: bool = True,
        prometheus: tuple[str, int] | None = None,
        tell: Callable[[str], None] = lambda text: None,
    ):
        self.topology = topology
        self.plan = Plan(topology)
        self.target = choose_target(topology, target)
        self._seed = seed
        self._agents = agents
        self._prometheus = prometheus
        self._tell = tell
        self._stack = ExitStack()
        self.servers: dict[int, subprocess.Popen[bytes]] = {}
        """Server process of each instance, by its id."""

    def __enter__(self) -> Deployment:
        with self._stack as stack:
            self._start()
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *exception: object) -> None:
        self._stack.close()

    def _start(self) -> None:
        self._tell("building the network")
        self.switches = SwitchProcesses(
            self.plan, self._spawn, self.target, lambda: self.network.directory / "switches"
        )
        self.network = Network(self.topology, self.plan, runner=self.switches, seed=self._seed)
        self._stack.enter_context(self.network)
        self._tell("compiling the P4 programs")
        programs = switch_programs(self.topology, self.network.directory / "programs", self.target)
        self._start_servers()
        self._tell("starting the switches")
        self.switches.wait()
        self._tell("starting the controller")
        files = {key: PipelineFiles(p.p4info, p.device_config) for key, p in programs.items()}
        socket = self.network.directory / "controller.sock"
        controller = Controller(
            self.topology, self.plan, dict(self.switches.addresses), files, socket,
            prometheus=self._prometheus,
        )  # fmt: skip
        self._stack.enter_context(_running(controller))
        self.controller = client.ControllerClient(socket)
        if self.topology.telemetry is not None:
            self._start_collector(self.topology.telemetry.collector, socket)
        if self._agents:
            self._tell("loading the host hooks (eBPF)")
            self._start_agent(socket)
        self._wait_for_servers()

    def _spawn(self, argv: list[str], **options: Any) -> subprocess.Popen[Any]:
        return self.network.record.spawn(argv, **options)

    def _start_servers(self) -> None:
        for instance in self.topology.instances:
            service = self.topology.services[instance.service]
            time = instance.service_time
            argv = [sys.executable, "-m", "p4cats.replay.server", "--until-eof"]
            argv += ["--address", str(service.address), "--port", str(service.port)]
            argv += ["--instance", str(instance.id), "--name", self.site(instance)]
            argv += ["--workers", str(instance.workers), "--seed", str(self._seed * 1000 + instance.id)]
            argv += ["--service-time", f"{time.distribution}:{time.mean_us}us", "--queue", str(SERVER_QUEUE)]
            self.servers[instance.id] = self.network.popen(
                instance.host, argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE
            )

    def _wait_for_servers(self) -> None:
        for number, process in self.servers.items():
            assert process.stdout is not None
            if process.stdout.readline().strip() != b"ready":
                raise DeploymentError(f"the server of instance {number} did not start")

    def site(self, instance: Instance) -> str:
        """The site of an instance: the name of its egress switch."""
        return self.topology.hosts[instance.host].switch

    def server_command(self, number: int, command: str) -> dict[str, Any]:
        """Give the server of an instance one command (see p4cats.replay.server) and return its answer."""
        process = self.servers[number]
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(command.encode() + b"\n")
        process.stdin.flush()
        answer: dict[str, Any] = json.loads(process.stdout.readline())
        return answer

    def server_busy(self, number: int) -> int:
        """Requests that the server of an instance works on or holds in its queue."""
        status = self.server_command(number, "status")
        return int(status["busy"]) + int(status["queued"])

    def _start_collector(self, host: str, controller: Path) -> None:
        """Collect telemetry reports at a host, in a file beside what else this run leaves."""
        self.reports = self.network.directory / "reports.jsonl"
        argv = [sys.executable, "-m", "p4cats", "collect", "--json", str(self.reports)]
        argv += ["--controller", str(controller)]
        self.collector = self.network.popen(
            host, argv, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
        )
        self._stack.callback(end_process, self.collector)
        assert self.collector.stderr is not None
        if not self.collector.stderr.readline().startswith(b"collector ready"):
            raise DeploymentError("the collector of telemetry reports did not start")

    def _start_agent(self, controller: Path) -> None:
        directory = self.network.directory
        config = AgentConfig(
            hosts=tuple(self._agent_hosts()),
            pin_dir=PINS / directory.name,
            run_dir=directory / "agent",
            request_ttl_ms=REQUEST_LIFETIME_MS,
            authentication=self.topology.authentication,
            controller_socket=controller,
        )
        path = directory / "agent.json"
        path.write_text(config.model_dump_json(), encoding="utf-8")
        argv = [sys.executable, "-m", "p4cats.ebpf.agent", str(path)]
        self.agent = self._spawn(argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        self._stack.callback(end_process, self.agent)
        assert self.agent.stdout is not None
        if not self.agent.stdout.readline().startswith(b"agent ready"):
            said = self.agent.communicate()[1].decode(errors="replace").strip().splitlines()
            raise DeploymentError(said[-1] if said else "the host agent did not start")
        self._wait_for_steering()

    def _wait_for_steering(self) -> None:
        """Wait until all hosts that steer know what to choose from."""
        deadline = time.monotonic() + CONVERGENCE_TIMEOUT_S
        while not all(host["synced"] for host in self.controller.status()["steering_hosts"]):
            if time.monotonic() > deadline:
                raise DeploymentError("the hosts that steer were not told what to choose from")
            time.sleep(0.05)

    def _agent_hosts(self) -> Iterator[HostConfig]:
        """The agent's view of every host that holds an instance or steers; beacons go where clients are."""
        servers = {i.host for i in self.topology.instances}
        ingresses = tuple(
            dict.fromkeys(self._beacon_address(name) for name in self.topology.hosts if name not in servers)
        )
        steering = [name for name, host in self.topology.hosts.items() if host.steer]
        for host in dict.fromkeys([*(i.host for i in self.topology.instances), *steering]):
            plan = self.plan.hosts[host]
            instances = (
                InstanceConfig(
                    instance=i.id,
                    address=self.topology.services[i.service].address,
                    port=self.topology.services[i.service].port,
                    tcp_request=self.topology.services[i.service].tcp_request,
                    workers=i.workers,
                    service_time_us=i.service_time.mean_us,
                    idle_w=i.idle_power_w,
                    peak_w=i.peak_power_w,
                    normalisation=self.topology.services[i.service].normalisation,
                    beacons=ingresses,
                )
                for i in self.topology.instances
                if i.host == host
            )
            yield HostConfig(
                netns=Path(self.network.netns(host)),
                interface=plan.interface,
                path_mtu=self._smallest_mtu(),
                instances=tuple(instances),
                steer=SteerConfig(address=plan.address, host=host) if host in steering else None,
            )

    def _beacon_address(self, client: str) -> IPv6Address:
        """Return the address of a client's ingress forwarder: its own if it steers."""
        host = self.plan.hosts[client]
        if self.topology.hosts[client].steer:
            return host.address
        return self.plan.switches[host.switch].router_address

    def _smallest_mtu(self) -> int:
        """Of all links, in octets: what a stamped packet must fit on its way to any client."""
        wires = (*self.topology.hosts.values(), *self.topology.links)
        return min(wire.mtu for wire in wires)

    def check(self) -> None:
        """Raise DeploymentError if a part has ended by itself."""
        failure = self.switches.failed()
        if failure is None and self._agents and self.agent.poll() is not None:
            failure = f"the host agent has ended (exit status {self.agent.returncode})"
        for number, process in self.servers.items():
            if failure is None and process.poll() is not None:
                failure = f"the server of instance {number} has ended (exit status {process.returncode})"
        if failure is not None:
            raise DeploymentError(failure)


def end_process(process: subprocess.Popen[Any], timeout_s: float = 5.0) -> None:
    """SIGTERM, and SIGKILL to what does not end by it."""
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


@contextmanager
def _running(controller: Controller) -> Iterator[None]:
    """Run a controller in a thread of its own until the end of the block; it has converged at the start."""
    begun: Future[tuple[asyncio.AbstractEventLoop, asyncio.Task[None]]] = Future()
    ended: Future[None] = Future()

    async def run() -> None:
        task = asyncio.create_task(controller.run())
        begun.set_result((asyncio.get_running_loop(), task))
        await task

    def work() -> None:
        try:
            asyncio.run(run())
        except asyncio.CancelledError:
            ended.set_result(None)
        except BaseException as error:
            ended.set_exception(error)

    thread = threading.Thread(target=work, name="controller")
    thread.start()
    loop, task = begun.result()
    try:
        converged = asyncio.run_coroutine_threadsafe(controller.converged(), loop)
        wait((ended, converged), CONVERGENCE_TIMEOUT_S, FIRST_COMPLETED)
        if ended.done():
            ended.result()
        if not converged.done():
            raise DeploymentError(f"the switches did not converge in {CONVERGENCE_TIMEOUT_S:.0f} s")
        yield
    finally:
        if not ended.done():
            loop.call_soon_threadsafe(task.cancel)
        thread.join()
