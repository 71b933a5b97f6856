"""The addressing plan: the numbers that other parts rely on, and what holds for any topology."""

from ipaddress import IPv6Address, IPv6Network
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from p4cats.topologies.addressing import SID_BLOCK, Plan
from p4cats.topologies.addressing import Path as Way
from p4cats.topologies.schema import Topology, load


@pytest.fixture(scope="module")
def plan():
    return Plan(load(Path(__file__).parents[2] / "topologies" / "edge-cloud.yaml"))


def test_a_switch_has_the_addresses_of_its_number(plan):
    edge1 = plan.switches["edge1"]
    assert (edge1.number, edge1.device_id, edge1.role) == (4, 4, "edge")
    assert edge1.locator == IPv6Network("5f00:0:4::/48")
    assert edge1.end_sid == IPv6Address("5f00:0:4:1::")
    assert edge1.router_address == IPv6Address("5f00:0:4::1")


def test_an_instance_has_a_sid_at_the_switch_of_its_host(plan):
    sids = [str(plan.dx6_sid(instance)) for instance in plan.topology.instances]
    assert sids == ["5f00:0:4:1001::", "5f00:0:5:1002::", "5f00:0:6:1003::"]


def test_ports_are_hosts_first_then_links_and_know_the_other_end(plan):
    port = plan.switches["edge1"].ports[1]
    assert (port.interface, port.mac, port.mtu) == ("edge1-eth1", "02:ca:00:04:00:01", 1500)
    assert (port.peer.node, port.peer.interface, port.peer.mac) == ("chat-edge1", "eth0", "02:ca:01:00:03:01")
    assert port.peer.is_host
    uplink = plan.port_to("edge1", "core")
    assert (uplink.number, uplink.peer.port, uplink.peer.mac) == (2, 3, "02:ca:00:03:00:03")
    with pytest.raises(KeyError, match="edge1 has no link to edge2"):
        plan.port_to("edge1", "edge2")


def test_a_host_has_an_address_in_the_network_of_its_port(plan):
    server = plan.hosts["chat-edge2"]
    assert str(server.address_with_prefix) == "2001:db8:5:1::2/64"
    assert server.prefix == IPv6Network("2001:db8:5:1::/64")
    assert server.services == {"chat": IPv6Address("2001:db8:ca75::53")}
    assert plan.hosts["clients1"].services == {}


def test_paths_are_the_shortest(plan):
    assert plan.path("access1", "cloud") == Way(port=2, delay_us=16_000, hops=2)
    assert plan.path("access1", "access1") == Way(port=0, delay_us=0, hops=0)
    assert plan.route("access1", "cloud") == ["access1", "core", "cloud"]
    assert set(plan.paths_from("core")) == {"access1", "access2", "edge1", "edge2", "cloud"}
    assert plan.instance_delay_us("access2", plan.topology.instances[1]) == 4_000
    assert plan.path_mtu("access1", "cloud") == 1500
    assert plan.path_mtu("core", "core") is None


@st.composite
def topologies(draw):
    """A connected graph of up to 12 switches with hosts at the edges."""
    count = draw(st.integers(1, 12))
    names = [f"s{number}" for number in range(count)]
    pairs = {(draw(st.integers(0, number - 1)), number) for number in range(1, count)}
    if count > 1:
        extra = st.tuples(st.integers(0, count - 1), st.integers(0, count - 1))
        pairs |= {tuple(sorted(pair)) for pair in draw(st.lists(extra, max_size=10)) if pair[0] != pair[1]}
    links = [
        {
            "ends": draw(st.permutations([names[a], names[b]])),
            "delay": f"{draw(st.integers(0, 5))}ms",
            "mtu": draw(st.sampled_from([1500, 9000])),
        }
        for a, b in draw(st.permutations(sorted(pairs)))
    ]
    edges = draw(st.lists(st.sampled_from(names), max_size=20))
    return Topology.model_validate(
        {
            "name": "drawn",
            "switches": {name: {"role": "edge"} for name in names},
            "hosts": {f"h{number}": {"switch": switch} for number, switch in enumerate(edges)},
            "links": links,
        }
    )


@given(topologies())
@settings(max_examples=60, deadline=None)
def test_nothing_has_the_same_number_as_anything_else(topology):
    plan = Plan(topology)
    ports = [port for switch in plan.switches.values() for port in switch.ports.values()]
    hosts = list(plan.hosts.values())
    switches = list(plan.switches.values())
    for values in (
        [item.mac for item in [*ports, *hosts]],
        [item.address for item in hosts]
        + [s.router_address for s in switches]
        + [s.end_sid for s in switches],
        [item.prefix for item in hosts],
        [item.locator for item in switches],
        [item.interface for item in ports],
        [item.device_id for item in switches],
    ):
        assert len(set(values)) == len(values)
    assert all(len(port.interface) <= 15 for port in ports)
    assert all(switch.locator.subnet_of(SID_BLOCK) for switch in switches)
    assert all(switch.end_sid in switch.locator for switch in switches)


@given(topologies())
@settings(max_examples=60, deadline=None)
def test_the_end_of_a_port_points_back(topology):
    plan = Plan(topology)
    for switch in plan.switches.values():
        assert list(switch.ports) == list(range(1, len(switch.ports) + 1))
        for number, port in switch.ports.items():
            assert (port.switch, port.number) == (switch.name, number)
            if port.peer.is_host:
                host = plan.hosts[port.peer.node]
                assert (host.switch, host.port, host.mac) == (switch.name, number, port.peer.mac)
            else:
                back = plan.switches[port.peer.node].ports[port.peer.port]
                assert (back.peer.node, back.peer.port, back.peer.mac) == (switch.name, number, port.mac)
                assert (back.mac, back.mtu, back.wire) == (port.peer.mac, port.mtu, port.wire)


@given(topologies())
@settings(max_examples=60, deadline=None)
def test_paths_are_as_short_as_those_of_another_algorithm_and_have_no_loop(topology):
    plan = Plan(topology)
    best = {a: {b: (0, 0) if a == b else (10**9, 0) for b in plan.switches} for a in plan.switches}
    for link in topology.links:
        a, b = link.ends
        best[a][b] = best[b][a] = (link.delay_us, 1)
    for via, through in best.items():  # Floyd and Warshall
        for row in best.values():
            for b, (delay, hops) in through.items():
                row[b] = min(row[b], (row[via][0] + delay, row[via][1] + hops))
    for a, row in best.items():
        for b, shortest in row.items():
            path = plan.path(a, b)
            assert (path.delay_us, path.hops) == shortest
            route = plan.route(a, b)
            assert len(route) == path.hops + 1
            assert len(set(route)) == len(route)


@given(topologies())
@settings(max_examples=20, deadline=None)
def test_the_same_topology_gives_the_same_plan(topology):
    one, two = Plan(topology), Plan(topology.model_copy(deep=True))
    assert one.switches == two.switches
    assert one.hosts == two.hosts
