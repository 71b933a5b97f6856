"""How fast a network reacts to a load step at a server, and how fast a controller converges.

The step: connections are opened to the nearest server from its own host, as many as it has workers
several times over, so that its requests in flight jump. A client sends a UDP request, a flow of its
own, every 10 ms; the reaction is the time from the step to the sending of the first request that
another instance answers. (10 ms is more than a round trip: until it hears of them, the forwarder
counts the flows that it has placed, and would spread a denser row over other sites without a step.)
Once with the load that packets carry, once without (load_ttl of 1 µs: the data plane takes every
learned load for too old), so that the controller alone reacts.
"""

from __future__ import annotations

import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from p4cats.emulation.deployment import Deployment
from p4cats.emulation.experiment import nearest_instances
from p4cats.netns import call_in
from p4cats.replay.results import Outcome, read_report
from p4cats.replay.schedule import Request, write_schedule
from p4cats.topologies.schema import Instance, Topology, load

REPOSITORY = Path(__file__).resolve().parents[2]
STEPS = 8
INTERVAL_S = 0.010
HOLD_S = 1.2
"""How long a step lasts, and the pause after it."""
CONNECTIONS = 60


def measure() -> Iterator[tuple[str, str, list[float]]]:
    """Yield name, unit and samples of each figure."""
    topology = load(REPOSITORY / "topologies/edge-cloud.yaml")
    packet_ms, converge_s = _reactions(topology)
    yield "reaction.packet_ms", "ms", packet_ms
    services = {
        name: service.model_copy(update={"load_ttl_us": 1}) for name, service in topology.services.items()
    }
    controller_ms, again_s = _reactions(topology.model_copy(update={"services": services}))
    yield "reaction.controller_ms", "ms", controller_ms
    yield "controller.converge_s", "s", [converge_s, again_s]


def _reactions(topology: Topology) -> tuple[list[float], float]:
    with Deployment(topology) as deployment:
        client = next(h for h in topology.hosts if h not in {i.host for i in topology.instances})
        near = nearest_instances(deployment, [client])[0]
        steps, outcomes, begin = _run(deployment, client, near)
        converge_s = deployment.controller.status()["converge_s"]
    site = deployment.site(near)
    reactions = []
    for step in steps:
        before = [o for o in outcomes if begin + o.sent_s < step]
        if any(o.site != site for o in before[-10:]):
            continue  # the last step is not forgotten yet: this one would measure nothing
        after = (o for o in outcomes if begin + o.sent_s >= step and o.site not in (None, site))
        first = next(after, None)
        if first is not None and begin + first.sent_s < step + HOLD_S:
            reactions.append(1e3 * (begin + first.sent_s - step))
    if not reactions or converge_s is None:
        raise RuntimeError("no request was steered elsewhere after any load step")
    return reactions, converge_s


def _run(deployment: Deployment, client: str, near: Instance) -> tuple[list[float], list[Outcome], float]:
    service = deployment.topology.services[near.service]
    directory = deployment.network.directory
    schedule, out = directory / "steps.jsonl", directory / "steps.json"
    seconds = (2 * STEPS + 1) * HOLD_S
    # The smallest demand: the requests themselves are no load.
    write_schedule(schedule, [Request(i * INTERVAL_S, 0.01, "udp") for i in range(int(seconds / INTERVAL_S))])
    begin = time.time() + 1.0
    argv = [sys.executable, "-m", "p4cats.replay.client", "--target", str(service.address)]
    argv += ["--port", str(service.port), "--schedule", str(schedule), "--out", str(out)]
    process = deployment.network.popen(client, [*argv, "--start-at", str(begin)], stdout=subprocess.DEVNULL)
    steps = []
    netns = deployment.network.netns(near.host)
    for number in range(STEPS):
        _sleep_until(begin + (2 * number + 1) * HOLD_S)
        steps.append(time.time())
        held = call_in(netns, lambda: _connect(str(service.address), service.port))
        _sleep_until(begin + (2 * number + 2) * HOLD_S)
        for connection in held:
            connection.close()
    if process.wait(seconds + 10):
        raise RuntimeError("the client failed")
    return steps, sorted(read_report(out).outcomes, key=lambda o: o.sent_s), begin


def _connect(address: str, port: int) -> list[socket.socket]:
    return [socket.create_connection((address, port), timeout=5) for _ in range(CONNECTIONS)]


def _sleep_until(when: float) -> None:
    time.sleep(max(0.0, when - time.time()))
