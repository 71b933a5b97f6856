"""A deployed network as hosts see it: paths, errors, and parts that fail."""

from __future__ import annotations

import errno
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from http.client import HTTPConnection

import pytest
from emulation_helpers import EDGE_CLOUD

from p4cats.emulation.deployment import Deployment
from p4cats.netns import call_in
from p4cats.replay import wire
from p4cats.topologies.schema import ServiceTime, load

pytestmark = [pytest.mark.root, pytest.mark.timeout(180)]

SERVICE = ("2001:db8:ca75::53", 8080)
POST = """
import http.client, json, sys
connection = http.client.HTTPConnection("2001:db8:ca75::53", 8080, timeout=20)
connection.request("POST", "/?work=0.01", body=bytes(int(sys.argv[1])))
print(json.loads(connection.getresponse().read())["received_bytes"])
"""


@pytest.fixture(scope="module", params=["model", "xdp"])
def deployment(request: pytest.FixtureRequest) -> Iterator[Deployment]:
    with Deployment(load(EDGE_CLOUD), target=request.param) as running:
        yield running


def ask(deployment: Deployment, client: str = "clients1", number: int = 1) -> str | None:
    """Send one UDP request of no work as a new flow; return the site that answered."""

    def exchange() -> str | None:
        with udp_flow() as flow:
            return site_of(flow, number)

    return call_in(deployment.network.netns(client), exchange)


def udp_flow() -> socket.socket:
    """Return a socket for one flow to the service, from this network namespace."""
    flow = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
    flow.settimeout(2.0)
    flow.connect(SERVICE)
    return flow


def site_of(flow: socket.socket, number: int = 1) -> str | None:
    """Send a request of no work; return the site that answered."""
    flow.send(wire.pack_request(number, 0.0))
    try:
        answer = wire.unpack_response(flow.recv(2048))
    except TimeoutError:
        return None
    return answer[1].site if answer else None


def connected() -> HTTPConnection:
    """Return a TCP connection to the service, from this network namespace."""
    connection = HTTPConnection(*SERVICE, timeout=10)
    connection.connect()
    return connection


def posted(connection: HTTPConnection) -> int:
    """Send a request on a connection that is open; return the status of the answer."""
    assert connection.sock is not None
    connection.request("POST", "/?work=0.001", body=b"x")
    answer = connection.getresponse()
    answer.read()
    return answer.status


def until(condition: Callable[[], bool], what: str, timeout_s: float = 20.0) -> None:
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, f"{what}: not within {timeout_s:.0f} s"
        time.sleep(0.05)


def test_idle_network_answers_from_the_nearest_site(deployment: Deployment) -> None:
    assert [ask(deployment, client) for client in ("clients1", "clients2")] == ["edge1", "edge1"]


def test_large_upload_finds_its_path_mtu(deployment: Deployment) -> None:
    """A full-size packet does not fit the tunnel: Packet Too Big tells the client, and TCP goes on."""
    done = deployment.network.run("clients1", [sys.executable, "-c", POST, "200000"], timeout_s=30)
    assert done.stdout.strip() == "200000"


def test_hop_limit_is_answered_with_time_exceeded(deployment: Deployment) -> None:
    def probe() -> int:
        with closing(socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)) as sender:
            sender.settimeout(5.0)
            sender.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_UNICAST_HOPS, 1)
            sender.setsockopt(socket.IPPROTO_IPV6, 25, 1)  # IPV6_RECVERR
            sender.connect(("2001:db8:2:1::2", 9))
            sender.send(b"probe")
            try:
                sender.recv(100)
            except OSError as error:
                return error.errno or 0
        return 0

    assert call_in(deployment.network.netns("clients1"), probe) == errno.EHOSTUNREACH


def test_drained_instance_gets_no_new_flow(deployment: Deployment) -> None:
    deployment.controller.set_instance(1, state="drained")
    try:
        assert deployment.controller.converged()
        assert {ask(deployment, number=n) for n in range(5)} == {"edge2"}
    finally:
        deployment.controller.set_instance(1, state="up")
        assert deployment.controller.converged()
    assert ask(deployment) == "edge1"


def restart(deployment: Deployment, switch: str, *, kill: bool = False) -> None:
    """End a switch, by SIGKILL if asked to, and start it again."""
    if kill:
        os.kill(deployment.switches.pid(switch), signal.SIGKILL)
    ports = {p.number: p.interface for p in deployment.plan.switches[switch].ports.values()}
    deployment.switches.stop(switch)
    deployment.switches.start(switch, deployment.network.netns(switch), ports)
    deployment.switches.wait()


def test_restarted_switch_gets_its_tables_back(deployment: Deployment) -> None:
    restart(deployment, "access1")
    until(lambda: ask(deployment) == "edge1", "requests are answered again")
    assert all(switch["synced"] for switch in deployment.controller.status()["switches"])


def test_flows_stay_while_their_switch_restarts_and_policies_and_instances_change(
    deployment: Deployment,
) -> None:
    """Sockets stay open: UDP flows are asked who answers them, TCP connections go on."""
    control, netns = deployment.controller, deployment.network.netns("clients1")
    control.set_service("chat", policy="hash")
    assert control.converged()
    with ExitStack() as stack:
        opened = call_in(netns, lambda: [stack.enter_context(udp_flow()) for _ in range(40)])
        connections = call_in(netns, lambda: [stack.enter_context(closing(connected())) for _ in range(20)])
        before = [site_of(flow) for flow in opened]
        assert {"edge1", "edge2", "cloud"} <= set(before)
        assert before == [site_of(flow) for flow in opened]
        assert [posted(connection) for connection in connections] == [200] * 20
        restart(deployment, "access1")
        until(lambda: ask(deployment) is not None, "requests are answered again")
        control.set_service("chat", policy="least")
        control.set_instance(2, state="drained")
        try:
            assert control.converged()
            assert [site_of(flow) for flow in opened] == before
            assert [posted(connection) for connection in connections] == [200] * 20
            if deployment.target == "xdp":
                restart(deployment, "access1", kill=True)
                until(lambda: ask(deployment) is not None, "requests are answered again")
                assert control.converged()
                assert [site_of(flow) for flow in opened] == before
                assert [posted(connection) for connection in connections] == [200] * 20
        finally:
            control.set_instance(2, state="up")
            assert control.converged()


def test_an_instance_that_is_cut_off_gets_no_new_flow_until_it_is_heard_again(
    deployment: Deployment,
) -> None:
    """By the data plane: the agent still reports to the controller, which calls the instance up."""
    edge1 = deployment.plan.switches["edge1"]
    interface = edge1.ports[deployment.plan.hosts["chat-edge1"].port].interface

    def switch_port(state: str) -> None:
        argv = ["ip", "link", "set", interface, state]
        call_in(deployment.network.netns("edge1"), lambda: subprocess.run(argv, check=True))

    until(lambda: ask(deployment) == "edge1", "the nearest answers")
    switch_port("down")
    try:
        until(lambda: ask(deployment) == "edge2", "new flows go elsewhere")
        standing = {view["id"]: view["state"] for view in deployment.controller.instances()}
        assert standing[1] == "up"
    finally:
        switch_port("up")
    until(lambda: ask(deployment) == "edge1", "the nearest is back")


def p4cats(deployment: Deployment, *argv: str) -> str:
    """Run the command on this network (others may run beside it) and return what it prints."""
    command = [sys.executable, "-m", "p4cats", *argv, "--network", deployment.network.directory.name]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_commands_show_and_change_the_running_network(deployment: Deployment) -> None:
    status = json.loads(p4cats(deployment, "status", "--json"))
    assert {switch["name"] for switch in status["switches"]} == set(deployment.topology.switches)
    mode = "native" if deployment.target == "xdp" else "model"
    for switch in status["switches"]:
        ports = deployment.plan.switches[switch["name"]].ports
        assert switch["target"] == deployment.target
        assert {p["port"]: p["peer"] for p in switch["ports"]} == {n: p.peer.node for n, p in ports.items()}
        assert {(p["state"], p["mode"]) for p in switch["ports"]} == {("up", mode)}
        assert all(port["traffic"] for port in switch["ports"])
        assert "no route" in switch["program_drops"]
    assert "dropped by" in p4cats(deployment, "status"), "hosts send multicast, which switches drop"
    assert "2001:db8:ca75::53" in p4cats(deployment, "services")
    until(lambda: "40.0 W" in p4cats(deployment, "instances"), "the agent has reported power")
    p4cats(deployment, "instance", "1", "drained")
    assert ask(deployment) == "edge2"
    p4cats(deployment, "instance", "1", "up")
    p4cats(deployment, "policy", "chat", "nearest")
    assert ask(deployment) == "edge1"
    p4cats(deployment, "policy", "chat", "least")
    assert "edge1" in p4cats(deployment, "explain", "2001:db8:1:1::2,2001:db8:ca75::53,udp,40000,8080")


def test_connections_that_are_kept_open_count_while_they_wait_where_the_service_says_so():
    topology = load(EDGE_CLOUD)
    services = {
        name: item.model_copy(update={"tcp_request": "exchange"}) for name, item in topology.services.items()
    }
    steady = tuple(
        item.model_copy(update={"service_time": ServiceTime(distribution="constant", mean="20ms")})
        for item in topology.instances
    )
    changed = topology.model_copy(update={"services": services, "instances": steady})
    with Deployment(changed, target="xdp") as deployment:

        def connect() -> HTTPConnection:
            connection = HTTPConnection(*SERVICE, timeout=20)
            connection.connect()
            return connection

        def until_in_flight(wanted: int) -> None:
            deadline = time.monotonic() + 10
            while sum(item["in_flight"] or 0 for item in deployment.controller.instances()) != wanted:
                assert time.monotonic() < deadline, f"not {wanted} in flight within 10 s"
                time.sleep(0.02)

        with closing(call_in(deployment.network.netns("clients1"), connect)) as connection:
            for _ in range(2):
                connection.request("GET", "/?work=60")  # 1.2 s
                until_in_flight(1)
                assert connection.getresponse().read()
                until_in_flight(0)
            assert connection.sock is not None, "kept open"
