"""A host that steers, with the kernel's own segment routing (RFC 8986, End.DT6) at the other end.

The client's agent has its view in its file; offloads of the veth pair are as the kernel sets them.
"""

import copy
import json
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from ebpf_hosts import MTU, PORT, SERVICE, Hosts, eventually
from pyroute2 import NetNS
from test_ebpf_leftovers import gone

from p4cats import netns
from p4cats.ebpf.agent import Agent
from p4cats.ebpf.config import AgentConfig
from p4cats.ebpf.errors import ConfigError
from p4cats.ebpf.libbpf import Map, TcHook
from p4cats.ebpf.stamp import STEER_PRIORITY
from p4cats.ebpf.steer import OVERHEAD_BYTES, ROUTE_PROTOCOL
from p4cats.ebpf.view import View

pytestmark = pytest.mark.root

CLIENT = "fd00:1::2"
SID, VIA = "5f00:0:1:1001::", "5f00:0:9:1::"


def _ip(arguments: str) -> None:
    subprocess.run(["ip", *arguments.split()], check=True)


@pytest.fixture(scope="module")
def network(hosts: Hosts) -> Hosts:
    """The first server takes the outer header off; the client knows no route of its own to the service."""
    _ip(f"-n {hosts.client.name} -6 route del {SERVICE}/128 dev c2")
    _ip(f"-n {hosts.client.name} -6 route del {SERVICE}/128 dev c1 metric 1")
    server = hosts.servers[1]
    with netns.entered(server):
        for interface in ("all", "s1"):
            for name in ("seg6_enabled", "forwarding"):
                Path(f"/proc/sys/net/ipv6/conf/{interface}/{name}").write_text("1")
    _ip(f"-n {server.name} route add {SID}/128 encap seg6local action End.DT6 table 255 dev s1")
    _ip(f"-n {server.name} route add {VIA}/128 encap seg6local action End dev s1")
    _ip(f"-n {hosts.client.name} route add default via fd00:1::1 dev c1")
    return hosts


def view(**service: Any) -> dict[str, Any]:
    return {
        "services": [{"address": SERVICE, "id": 1, "candidates": [{"instance": 1}], **service}],
        "instances": [{"instance": 1, "sid": SID}],
        "keys": [{"instance": 1, "source": SERVICE}],
    }


@pytest.fixture
def steering(network: Hosts, tmp_path: Path) -> dict[str, Any]:
    """A configuration for the client alone."""
    host = {"netns": str(network.client), "interface": "c1", "steer": {"address": CLIENT, "view": view()}}
    return {
        "hosts": [host],
        "authentication": "none",
        "power": "model",
        "pin_dir": f"/sys/fs/bpf/p4cats-test-{os.getpid()}/steer",
        "run_dir": str(tmp_path / "run"),
    }


@pytest.fixture
def config(steering: dict[str, Any]) -> dict[str, Any]:
    """What `start_agent` starts."""
    return steering


def routes(hosts: Hosts) -> dict[str, int]:
    """MTUs of our routes, by destination."""
    with NetNS(hosts.client.name) as found:
        ours = found.get_routes(family=socket.AF_INET6, proto=ROUTE_PROTOCOL)
        return {r.get_attr("RTA_DST"): r.get_attr("RTA_METRICS").get_attr("RTAX_MTU") for r in ours}


def attached(hosts: Hosts) -> list[int | None]:
    """Ids of the programs on the client's interface."""
    with netns.entered(hosts.client):
        index = socket.if_nametoindex("c1")
        found = [TcHook(index, point).query(priority=STEER_PRIORITY) for point in ("ingress", "egress")]
    return [number for number in found if number]


def has_qdisc(hosts: Hosts) -> bool:
    with NetNS(hosts.client.name) as links:
        index = links.link_lookup(ifname="c1")[0]
        return any(q.get_attr("TCA_KIND") == "clsact" for q in links.get_qdiscs(index))


def assert_nothing_left(hosts: Hosts, config: dict[str, Any]) -> None:
    assert attached(hosts) == []
    assert not has_qdisc(hosts)
    assert routes(hosts) == {}
    assert not Path(config["pin_dir"]).parent.exists()


def connect(hosts: Hosts) -> socket.socket:
    with netns.entered(hosts.client):
        return socket.create_connection((SERVICE, PORT), timeout=10)


@contextmanager
def accepting(hosts: Hosts) -> Iterator[socket.socket]:
    with hosts.server_socket(1, socket.SOCK_STREAM) as server:
        yield server


@pytest.mark.parametrize("via", [None, VIA], ids=["one_segment", "two_segments"])
def test_bulk_data_arrive_with_all_offloads(
    network: Hosts, start_agent: Callable[..., Agent], steering: dict[str, Any], via: str | None
):
    """Both ways; segments of 64 KiB are cut behind the outer header, or not at all on a veth pair."""
    config = copy.deepcopy(steering)
    if via:
        config["hosts"][0]["steer"]["view"]["instances"][0]["via"] = via
    agent = start_agent(hosts=config["hosts"])
    data = bytes(range(256)) * (4 << 12)
    with accepting(network) as server_socket, connect(network) as client:
        accepted, _ = server_socket.accept()
        with accepted:
            sender = threading.Thread(target=lambda: (client.sendall(data), client.shutdown(socket.SHUT_WR)))
            sender.start()
            received = b"".join(iter(lambda: accepted.recv(1 << 20), b""))
            sender.join()
            assert received == data
            accepted.sendall(b"thanks")
            assert client.recv(100) == b"thanks"
    counted = next(iter(agent._hosts.values())).steering
    assert counted is not None
    assert counted.counts()[1]["placed"] == 1
    assert counted.stats()["not_grown"] == 0


@pytest.mark.parametrize("size", [1, MTU - OVERHEAD_BYTES - 48])
def test_datagrams_arrive(network: Hosts, start_agent: Callable[..., Agent], size: int):
    start_agent()
    with network.server_socket(1, socket.SOCK_DGRAM) as server:
        with netns.entered(network.client):
            client = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
        with client:
            client.sendto(bytes(size), (SERVICE, PORT))
            assert server.recv(65536) == bytes(size)


def test_the_route_leaves_room_and_goes_with_the_service(
    network: Hosts, start_agent: Callable[..., Agent], steering: dict[str, Any]
):
    agent = start_agent()
    assert routes(network) == {SERVICE: MTU - OVERHEAD_BYTES}
    config = copy.deepcopy(steering)
    config["hosts"][0]["steer"]["view"] = view(address="fd00:cafe::2")
    agent.reload(AgentConfig.model_validate(config))
    assert routes(network) == {"fd00:cafe::2": MTU - OVERHEAD_BYTES}


def test_a_link_that_was_down_gets_its_routes_again(network: Hosts, start_agent: Callable[..., Agent]):
    agent = start_agent()
    name = network.client.name
    _ip(f"-n {name} link set c1 down")
    _ip(f"-n {name} link set c1 up")
    _ip(f"-n {name} addr replace {CLIENT}/64 dev c1 nodad")
    _ip(f"-n {name} route replace default via fd00:1::1 dev c1")
    assert routes(network) == {}
    host = next(iter(agent._hosts.values()))
    assert host.steering is not None

    def send() -> bool:
        with netns.entered(network.client):
            client = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
        with client:
            client.sendto(bytes(MTU - 48), (SERVICE, PORT))
        host.steering.look()
        return bool(routes(network))

    eventually(send, "the route is set again")


def test_nothing_is_left_after_stop(
    network: Hosts, start_agent: Callable[..., Agent], steering: dict[str, Any]
):
    agent = start_agent()
    assert len(attached(network)) == 2
    agent.stop()
    assert_nothing_left(network, steering)


def test_a_host_steers_and_serves_and_ceases_to_do_either(
    network: Hosts, start_agent: Callable[..., Agent], steering: dict[str, Any]
):
    instance = {"instance": 5, "address": CLIENT, "port": PORT, "workers": 1, "service_time_us": 1000}
    both = {**steering["hosts"][0], "instances": [instance]}
    agent = start_agent()
    for hosts in ([both], steering["hosts"], [{**both, "steer": None}], [both]):
        agent.reload(AgentConfig.model_validate({**steering, "hosts": hosts}))
        assert bool(attached(network)) == (hosts[0].get("steer") is not None)
        assert has_qdisc(network)
    agent.stop()
    assert_nothing_left(network, steering)


def test_a_wrong_address_is_one_line_and_leaves_nothing(network: Hosts, steering: dict[str, Any]):
    steering["hosts"][0]["steer"]["address"] = "fd00:77::1"
    agent = Agent(AgentConfig.model_validate(steering))
    with pytest.raises(ConfigError, match=r"steer: fd00:77::1 is not an address of /run/netns/"):
        agent.start()
    assert_nothing_left(network, steering)


def test_a_link_too_small_for_a_tunnel_is_one_line_and_leaves_nothing(
    network: Hosts, steering: dict[str, Any]
):
    network.set_mtu(1, 1340)
    try:
        with pytest.raises(ConfigError, match="the MTU of c1 is 1340: 1344 are needed"):
            Agent(AgentConfig.model_validate(steering)).start()
    finally:
        network.set_mtu(1, MTU)
    assert_nothing_left(network, steering)


def test_flows_outlive_an_agent_that_is_killed(network: Hosts, steering: dict[str, Any], tmp_path: Path):
    """Its programs go on, the next agent takes over maps and hook without a moment of none."""
    with accepting(network) as server:
        with agent_process(steering, tmp_path) as killed:
            client = connect(network)
            accepted, _ = server.accept()
            before, flows = attached(network), flow_map(steering)
            killed.send_signal(signal.SIGKILL)
            killed.wait()
        with client, accepted:
            assert attached(network) == before
            client.sendall(b"while there is no agent")
            assert accepted.recv(100) == b"while there is no agent"
            with agent_process(steering, tmp_path) as second:
                assert flow_map(steering) == flows
                assert attached(network) != before
                client.sendall(b"with the next")
                assert accepted.recv(100) == b"with the next"
                second.send_signal(signal.SIGTERM)
                assert second.wait(10) == 0
    assert_nothing_left(network, steering)
    assert gone(flows)


def test_a_killed_agents_steering_goes_if_the_next_does_not_want_it(
    network: Hosts, steering: dict[str, Any], tmp_path: Path
):
    with agent_process(steering, tmp_path) as killed:
        killed.send_signal(signal.SIGKILL)
        killed.wait()
    server = {"instance": 5, "address": SERVICE, "port": PORT, "workers": 1, "service_time_us": 1000}
    other = {"netns": str(network.servers[2]), "interface": "s2", "instances": [server]}
    agent = Agent(AgentConfig.model_validate({**steering, "hosts": [other]}))
    agent.start()
    try:
        assert attached(network) == []
        assert routes(network) == {}
    finally:
        agent.stop()
    assert_nothing_left(network, steering)


def test_a_service_is_replaced_alone(network: Hosts, start_agent: Callable[..., Agent]):
    agent = start_agent()
    steering = next(iter(agent._hosts.values())).steering
    assert steering is not None
    assert steering.apply(View.model_validate(view())) == 0
    assert steering.apply(View.model_validate(view(policy="hash"))) == 1


@contextmanager
def agent_process(config: dict[str, Any], directory: Path) -> Iterator["subprocess.Popen[str]"]:
    """Run an agent in a process of its own; yield it when it is ready."""
    path = directory / "agent.json"
    path.write_text(json.dumps(config))
    command = [sys.executable, "-m", "p4cats.ebpf.agent", str(path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline().startswith("agent ready")
            yield process
        finally:
            process.kill()


def flow_map(config: dict[str, Any]) -> int:
    [path] = Path(config["pin_dir"]).glob("steer-*/flows")
    found = Map.pinned(path)
    map_id: int = found.info.id
    found.close()
    return map_id


def test_a_reload_that_cannot_steer_is_one_line_and_leaves_the_host_unsteered(
    network: Hosts, start_agent: Callable[..., Agent], steering: dict[str, Any]
):
    instance = {"instance": 5, "address": CLIENT, "port": PORT, "workers": 1, "service_time_us": 1000}
    serving = {**steering["hosts"][0], "instances": [instance]}
    agent = start_agent(hosts=[{**serving, "steer": None}])
    name = network.client.name
    _ip(f"-n {name} -6 route del default via fd00:1::1 dev c1")
    try:
        with pytest.raises(ConfigError, match="no route to fd00:cafe::1: give the host a default route"):
            agent.reload(AgentConfig.model_validate({**steering, "hosts": [serving]}))
    finally:
        _ip(f"-n {name} -6 route add default via fd00:1::1 dev c1")
    assert attached(network) == []
    agent.reload(AgentConfig.model_validate({**steering, "hosts": [serving]}))
    assert attached(network)
