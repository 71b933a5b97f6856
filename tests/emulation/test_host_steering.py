"""Clients that steer for themselves, in a network whose first switches only carry IPv6."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest
from emulation_helpers import REPOSITORY

from p4cats import protocol
from p4cats.emulation.deployment import Deployment, end_process
from p4cats.emulation.experiment import Experiment, nearest_instances, run_policy
from p4cats.netns import call_in, entered
from p4cats.replay.wire import pack_request, unpack_response
from p4cats.topologies.namespaces import set_offloads
from p4cats.topologies.schema import load

pytestmark = [pytest.mark.root, pytest.mark.alone, pytest.mark.timeout(240)]

HOST_STEER = REPOSITORY / "topologies" / "host-steer.yaml"
CLIENT = "clients1"
FLOWS = 12
NEAREST = 1
"""Id of the instance at edge1."""


@pytest.fixture(scope="module")
def deployment() -> Iterator[Deployment]:
    with Deployment(load(HOST_STEER), target="xdp") as running:
        yield running
        end_process(running.agent)  # it may be another than the one that the deployment started


@pytest.fixture(autouse=True)
def as_before(deployment: Deployment) -> Iterator[None]:
    yield
    for instance in deployment.topology.instances:
        deployment.controller.set_instance(instance.id, state="up")
    use(deployment, "least")


def until(condition: Callable[[], Any], what: str, timeout_s: float = 30.0) -> Any:
    deadline = time.monotonic() + timeout_s
    while not (found := condition()):
        assert time.monotonic() < deadline, f"{what}: not within {timeout_s:.0f} s"
        time.sleep(0.02)
    return found


def use(deployment: Deployment, policy: str) -> None:
    """Change the policy, and wait until the hosts know."""
    deployment.controller.set_service("chat", policy=policy)
    assert deployment.controller.converged()


class Flow:
    """A UDP flow of the client."""

    def __init__(self, deployment: Deployment, host: str = CLIENT) -> None:
        service = deployment.topology.services["chat"]
        with entered(deployment.network.netns(host)):
            self._socket = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
        self._socket.settimeout(3)
        self._socket.connect((str(service.address), service.port))
        self._sent = 0

    def __enter__(self) -> Flow:
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()

    def ask(self, size: int = 0) -> int:
        """Return the instance that answers a datagram of at least `size` octets."""
        self._sent += 1
        self._socket.send(pack_request(self._sent, 0.1).ljust(size, b"\0"))
        found = unpack_response(self._socket.recv(2048))
        assert found is not None
        assert found[0] == self._sent
        return found[1].instance


def new_flow(deployment: Deployment) -> int:
    """Return the instance that a new flow goes to, 0 if there was no answer."""
    with Flow(deployment) as flow:
        try:
            return flow.ask()
        except TimeoutError:
            return 0


def post(deployment: Deployment, body: bytes) -> dict[str, Any]:
    """POST over TCP; return what the server says of it."""
    service = deployment.topology.services["chat"]
    with entered(deployment.network.netns(CLIENT)):
        connection = socket.socket(socket.AF_INET6, socket.SOCK_STREAM)
    with connection:
        connection.settimeout(20)
        connection.connect((str(service.address), service.port))
        head = f"POST / HTTP/1.1\r\nHost: chat\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n"
        connection.sendall(head.encode() + body)
        answer = b""
        while part := connection.recv(65536):
            answer += part
    found: dict[str, Any] = json.loads(answer.partition(b"\r\n\r\n")[2])
    return found


def stats(deployment: Deployment, host: str = CLIENT) -> dict[str, int]:
    hosts = deployment.controller.status()["steering_hosts"]
    return next(item["stats"] for item in hosts if item["name"] == host)


def test_least_beats_nearest_under_load(deployment: Deployment) -> None:
    experiment = Experiment(deployment.topology, seconds=4, seed=1)
    plan = experiment.plan(nearest_instances(deployment, experiment.clients))
    nearest, least = (run_policy(deployment, policy, plan) for policy in ("nearest", "least"))
    assert nearest.share["edge1"] == 1.0
    assert least.errors == 0
    assert least.p99_ms <= nearest.p99_ms / 2
    assert all(least.share[site] > 0 for site in ("edge1", "edge2"))


def test_status_and_instances_know_the_hosts(deployment: Deployment) -> None:
    assert new_flow(deployment)
    until(lambda: stats(deployment)["learned"] > 10, "loads are learned")

    def synced() -> list[str]:
        hosts = deployment.controller.status()["steering_hosts"]
        return [host["name"] for host in hosts if host["connected"] and host["synced"]]

    # Waits that change are told anew.
    until(lambda: synced() == ["clients1", "clients2"], "the hosts hold what they should")
    until(
        lambda: sum(i["ingress"][CLIENT]["flows_placed"] or 0 for i in deployment.controller.instances()),
        "flows are counted",
    )
    service, host = deployment.topology.services["chat"].address, deployment.plan.hosts[CLIENT].address
    explained = deployment.controller.explain(f"{host},{service},udp,1,8080")
    assert explained["ingress"] == CLIENT
    assert explained["choice"] == NEAREST
    assert explained["path"] == ["access1", "core", "edge1", "chat-edge1"]
    assert [item["load"] for item in explained["candidates"]] == ["fresh"] * 3
    argv = ["-m", "p4cats", "status", "--network", deployment.network.directory.name]
    done = subprocess.run([sys.executable, *argv], capture_output=True, text=True, check=False)
    assert CLIENT in done.stdout, done.stderr


@pytest.mark.parametrize("gso", [False, True], ids=["no_gso", "gso"])
def test_bulk_data_arrive(deployment: Deployment, gso: bool) -> None:
    """Segments are cut after they were steered, and still fit."""
    interface = deployment.plan.hosts[CLIENT].interface
    netns = deployment.network.netns(CLIENT)
    before = stats(deployment)
    call_in(netns, lambda: set_offloads(interface, gso=gso))
    try:
        body = bytes(range(256)) * 16384
        assert post(deployment, body)["received_bytes"] == len(body)
    finally:
        call_in(netns, lambda: set_offloads(interface, gso=False))
    after = stats(deployment)
    assert after["not_grown"] == before["not_grown"]


@pytest.mark.parametrize("size", [1436 - 48, 1500 - 48, 4000], ids=["largest", "mtu", "fragments"])
def test_large_datagrams_arrive(deployment: Deployment, size: int) -> None:
    with Flow(deployment) as flow:
        assert flow.ask(size)


def test_flows_stay_while_everything_else_changes(deployment: Deployment) -> None:
    """Drained instances, another policy, a reloaded agent, a killed one: who is placed stays."""
    use(deployment, "hash")
    with ExitStack() as stack:
        flows = [stack.enter_context(Flow(deployment)) for _ in range(FLOWS)]
        places = [flow.ask() for flow in flows]
        assert len(set(places)) > 1

        def stay() -> bool:
            return [flow.ask() for flow in flows] == places

        use(deployment, "nearest")
        assert stay()
        deployment.controller.set_instance(NEAREST, state="drained")
        assert deployment.controller.converged()
        assert stay()
        assert new_flow(deployment) != NEAREST
        deployment.controller.set_instance(NEAREST, state="up")
        assert deployment.controller.converged()
        until(lambda: new_flow(deployment) == NEAREST, "the instance takes new flows again")
        deployment.agent.send_signal(signal.SIGHUP)
        assert stay()

        deployment.agent.kill()
        deployment.agent.wait()
        assert stay()
        restart_agent(deployment)
        assert stay()
        until(lambda: stats(deployment)["learned"] > 10, "loads are learned again")
        assert stay()
        assert new_flow(deployment) == NEAREST


def restart_agent(deployment: Deployment) -> None:
    """Start an agent in the place of a killed one."""
    argv = [sys.executable, "-m", "p4cats.ebpf.agent", str(deployment.network.directory / "agent.json")]
    agent = deployment.network.record.spawn(argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    deployment.agent = agent
    assert agent.stdout is not None
    assert agent.stdout.readline().startswith(b"agent ready")


def test_an_instance_that_is_not_heard_takes_no_new_flow(deployment: Deployment) -> None:
    use(deployment, "nearest")
    until(lambda: new_flow(deployment) == NEAREST, "the nearest is chosen")
    deployment.network.set_link("chat-edge1", "edge1", up=False)
    try:
        until(lambda: new_flow(deployment) not in (0, NEAREST), "another is chosen")
        assert all(new_flow(deployment) not in (0, NEAREST) for _ in range(5))
        states = {i["id"]: i["state"] for i in deployment.controller.instances()}
        assert states[NEAREST] == "up", "the controller has not seen it: the host alone knows"
    finally:
        deployment.network.set_link("chat-edge1", "edge1", up=True)
    until(lambda: new_flow(deployment) == NEAREST, "it is chosen again")


def test_forged_loads_move_nobody(deployment: Deployment) -> None:
    """Whoever can send a packet from the service's address says that the nearest is overloaded."""
    use(deployment, "least")
    until(lambda: new_flow(deployment) == NEAREST, "the nearest is chosen")
    service, victim = deployment.topology.services["chat"], deployment.plan.hosts[CLIENT]
    before = stats(deployment)
    with entered(deployment.network.netns("clients2")):
        raw = socket.socket(socket.AF_INET6, socket.SOCK_RAW, socket.IPPROTO_RAW)
    with raw:
        for key_id in range(256):
            option = protocol.OPTION_DATA.pack(
                protocol.MAGIC, protocol.VERSION << 4, key_id, NEAREST, *(0,) * 6,
                9999, 10_000_000, 0, 0xFFFFFFFE, key_id,
            )  # fmt: skip
            header = bytes([17, 4, protocol.OPTION_TYPE, protocol.OPTION_LENGTH]) + option
            port = protocol.BEACON_PORT if key_id % 2 else 40_000
            datagram = b"".join(number.to_bytes(2, "big") for number in (8080, port, 8, 0))
            packet = (6 << 28).to_bytes(4, "big") + (len(header) + 8).to_bytes(2, "big") + bytes([0, 64])
            packet += service.address.packed + victim.address.packed + header + datagram
            raw.sendto(packet, (str(victim.address), 0))

    def refused() -> int:
        now = stats(deployment)
        return sum(now[name] - before[name] for name in ("forged", "no_key", "stale"))

    until(lambda: refused() == 256, "all are refused")
    assert stats(deployment)["forged"] > before["forged"]
    assert [new_flow(deployment) for _ in range(5)] == [NEAREST] * 5


def test_keys_change_and_hosts_believe_every_option() -> None:
    """A key is used only when all hosts that steer have it."""
    topology = load(HOST_STEER).model_copy(update={"key_lifetime_us": 1_000_000})
    with Deployment(topology, target="model") as deployment:
        until(
            lambda: all(stats(deployment, name)["learned"] for name in topology.clients), "loads are learned"
        )
        first = {name: Counter(stats(deployment, name)) for name in topology.clients}
        ids: set[int | None] = set()

        def changed() -> bool:
            ids.update(item["key_id"] for item in deployment.controller.instances())
            return len(ids) > 3

        until(changed, "keys change", 60)
        for name, before in first.items():
            lost = Counter(stats(deployment, name)) - before
            assert lost.pop("learned") > 50
            assert lost.total() == 0, lost
