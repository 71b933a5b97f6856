"""Steering policies compared: the same requests under each, and what clients saw."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

from rich.console import Console
from rich.live import Live

from p4cats.emulation.deployment import Deployment, end_process
from p4cats.emulation.interrupts import termination_as_interrupt
from p4cats.emulation.programs import choose_target
from p4cats.emulation.view import RunView
from p4cats.errors import UserError
from p4cats.replay.live import LiveState
from p4cats.replay.load import Capacity, Plan, offered_rps, poisson_plan, trace_plan
from p4cats.replay.report import error_lines, ratio_line, results_table
from p4cats.replay.results import PolicyResult, read_report, summarise, write_demo_json
from p4cats.replay.schedule import write_schedule
from p4cats.replay.trace import read_trace
from p4cats.topologies.schema import Instance, Topology, load

POLICIES = ("static", "hash", "least", "nearest", "p2c", "joint")
UTILISATION = 1.5
"""Offered load, as a multiple of what the nearest site can carry."""
TIMEOUT_S = 2.0
"""A client gives a request up after that."""
HEAD_START_S = 0.6
"""Between starting the clients and the first request: they load and agree on the time."""
DRAIN_TIMEOUT_S = 30.0
"""Longest wait for the queues of one policy to empty before the next."""


@dataclass(frozen=True)
class Experiment:
    """What is offered: the same under each policy."""

    topology: Topology
    seconds: float
    seed: int
    trace: Path | None = None
    utilisation: float = UTILISATION

    @property
    def clients(self) -> list[str]:
        """Hosts that hold no instance."""
        servers = {i.host for i in self.topology.instances}
        return [name for name in self.topology.hosts if name not in servers]

    def plan(self, nearest: Sequence[Instance]) -> Plan:
        """Who sends what, when: `utilisation` times what the instances `nearest` to the clients can do."""
        capacities = [Capacity(i.host, i.workers, i.service_time.mean_us / 1e6) for i in nearest]
        rate = offered_rps(self.utilisation, capacities)
        if self.trace is None:
            return poisson_plan(rate, self.seconds, self.clients, seed=self.seed)
        return trace_plan(read_trace(self.trace), rate, self.seconds, self.clients, seed=self.seed)


def nearest_instances(deployment: Deployment, clients: Sequence[str]) -> list[Instance]:
    """The instance of least path delay for each client, each once."""
    plan, topology = deployment.plan, deployment.topology
    found = {}
    for client in clients:
        ingress = topology.hosts[client].switch
        near = min(topology.instances, key=lambda i: (plan.instance_delay_us(ingress, i), i.id))
        found[near.id] = near
    return list(found.values())


def run_policy(deployment: Deployment, policy: str, plan: Plan, view: RunView | None = None) -> PolicyResult:
    """Offer a plan under one policy and return what clients saw."""
    for name in deployment.topology.services:
        deployment.controller.set_service(name, policy=policy)
    deployment.controller.converged()
    _drain(deployment)
    directory = deployment.network.directory / "runs" / policy
    directory.mkdir(parents=True, exist_ok=True)
    with ExitStack() as stack:
        processes = _start_clients(deployment, plan, directory, stack)
        state = LiveState(plan)
        pipes = {name: p.stdout for name, p in processes.items() if p.stdout is not None}
        for snapshot in state.follow(pipes):
            deployment.check()
            if view is not None:
                view.update(policy, snapshot)
        for process in processes.values():
            process.wait()
    sites = {deployment.site(i) for i in deployment.topology.instances}
    return summarise((read_report(directory / f"{client}.json") for client in plan), sites)


def _start_clients(
    deployment: Deployment, plan: Plan, directory: Path, stack: ExitStack
) -> dict[str, subprocess.Popen[bytes]]:
    service = next(iter(deployment.topology.services.values()))
    start_at = time.time() + HEAD_START_S
    processes = {}
    for client, requests in plan.items():
        schedule = directory / f"{client}.jsonl"
        write_schedule(schedule, requests)
        argv = [sys.executable, "-m", "p4cats.replay.client", "--name", client]
        argv += ["--target", str(service.address), "--port", str(service.port)]
        argv += ["--schedule", str(schedule), "--out", str(directory / f"{client}.json")]
        argv += ["--timeout", f"{TIMEOUT_S}s", "--start-at", str(start_at)]
        processes[client] = deployment.network.popen(client, argv, stdout=subprocess.PIPE)
        stack.callback(end_process, processes[client])
    return processes


def _drain(deployment: Deployment) -> None:
    """Wait until no server works or has requests waiting, so that a policy does not inherit a queue."""
    deadline = time.monotonic() + DRAIN_TIMEOUT_S
    for number in deployment.servers:
        while (busy := deployment.server_busy(number)) and time.monotonic() < deadline:
            time.sleep(min(0.2, 0.01 * busy))


def run_demo(
    topology: Path | None,
    *,
    policies: Sequence[str],
    trace: Path | None,
    json_file: Path | None,
    seconds: float,
    seed: int,
    target: str,
) -> int:
    """`p4cats demo` and `p4cats replay`: returns the exit status."""
    for policy in policies:
        if policy not in POLICIES:
            raise UserError(f"--policy: no policy is named {policy}; there are {', '.join(POLICIES)}")
    if not policies:
        raise UserError(f"--policy: name at least one of {', '.join(POLICIES)}")
    path = topology or Path(str(resources.files("p4cats.topologies") / "edge-cloud.yaml"))
    experiment = Experiment(load(path), seconds, seed, trace)
    if trace is not None:
        read_trace(trace)
    if not experiment.topology.instances or not experiment.clients:
        raise UserError(f"{path}: an experiment needs service instances, and hosts without one as clients")
    target = choose_target(experiment.topology, target)
    console = Console()
    with termination_as_interrupt():
        results = _compare(experiment, policies, target, console)
    console.print(results_table(results))
    for line in error_lines(results):
        console.print(line)
    if "nearest" in results and "least" in results:
        console.print(ratio_line(results))
    if json_file is not None:
        write_demo_json(json_file, target, results)
        console.print(f"written: {json_file}")
    return 0


def _compare(
    experiment: Experiment, policies: Sequence[str], target: str, console: Console
) -> Mapping[str, PolicyResult]:
    results = {}
    view = RunView(experiment.topology, experiment.seconds)
    with Live(view, console=console, refresh_per_second=5, transient=True) as live:

        def tell(text: str) -> None:
            view.note(text)
            if not console.is_terminal:
                live.console.print(text)

        with Deployment(experiment.topology, target=target, seed=experiment.seed, tell=tell) as deployment:
            near = nearest_instances(deployment, experiment.clients)
            plan = experiment.plan(near)
            offered = sum(len(requests) for requests in plan.values())
            sites = ", ".join(sorted({deployment.site(i) for i in near}))
            live.console.print(
                f"{offered} requests in {experiment.seconds:.0f} s, half of them UDP, half HTTP: "
                f"{experiment.utilisation:g} times what {sites} can carry; target {target}"
            )
            for policy in policies:
                tell(f"policy {policy}")
                results[policy] = run_policy(deployment, policy, plan, view)
            tell("taking the network down")
    return results


__all__ = ["Experiment", "nearest_instances", "run_demo", "run_policy"]
