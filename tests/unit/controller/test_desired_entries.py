"""Desired entries: complete, stable, and what p4src expects."""

from ipaddress import IPv6Address, IPv6Network
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import p4cats.topologies
from p4cats import protocol
from p4cats.controller.desired import MAX_24, Desired, ServiceSettings, State
from p4cats.controller.telemetry import Sampling
from p4cats.topologies.addressing import Plan
from p4cats.topologies.schema import Telemetry, Topology, load

EDGE_CLOUD = Path(p4cats.topologies.__file__).parent / "edge-cloud.yaml"
TOPOLOGY = load(EDGE_CLOUD)
DESIRED = Desired(TOPOLOGY, Plan(TOPOLOGY))
CHAT = IPv6Address("2001:db8:ca75::53")


def entries_of(switch, table, state=None):
    held = DESIRED.entries(state or State())[switch].values()
    return {item.match: item for item in held if item.table == table}


def lookup(switch, address, state=None):
    """Longest prefix match, as the data plane does it."""
    best = None
    for match, item in entries_of(switch, "routes", state).items():
        value, length = dict(match)["destination"]
        if IPv6Address(address) in IPv6Network((value, length)) and (best is None or length > best[0]):
            best = length, item
    return best and best[1]


def test_every_host_is_reached_from_every_switch_along_the_plan():
    plan = DESIRED.plan
    for host in plan.hosts.values():
        for switch in plan.switches:
            hops = [switch]
            while (item := lookup(hops[-1], host.address)).action == "forward":
                hops.append(plan.switches[hops[-1]].ports[item.arg("port")].peer.node)
            assert hops == plan.route(switch, host.switch)
            assert plan.switches[hops[-1]].ports[item.arg("port")].peer.node == host.name


def test_routes_carry_the_macs_of_both_ends_and_the_mtu():
    plan = DESIRED.plan
    item = lookup("access1", plan.hosts["chat-cloud"].address)
    port = plan.port_to("access1", "core")
    assert item.arg("source") == int(port.mac.replace(":", ""), 16)
    assert item.arg("neighbor") == int(port.peer.mac.replace(":", ""), 16)
    assert item.arg("mtu") == 1500


def test_service_addresses_are_classified_and_never_routed():
    for switch, planned in DESIRED.plan.switches.items():
        assert lookup(switch, CHAT) is None
        services = entries_of(switch, "services")
        if planned.role == "edge":
            assert services[(("address", int(CHAT)),)].action == "classify"
            assert services[(("address", int(planned.router_address)),)].action == "own_address"
        else:
            assert not services


def test_transit_switches_hold_only_routes_and_their_end_sid():
    held = DESIRED.entries(State())["core"].values()
    assert {item.table for item in held} == {"routes", "local_sids"}
    assert [item.action for item in held if item.table == "local_sids"] == ["end"]


def test_gateway_is_answered_on_host_ports_only():
    found = entries_of("edge1", "addresses")
    port = DESIRED.plan.hosts["chat-edge1"].port
    assert list(found) == [(("port", port), ("target", int(IPv6Address("fe80::1"))))]
    assert found[next(iter(found))].arg("mac") == 0x02CA00_04_0001


def test_instances_are_steered_by_sid_and_attached_ones_locally():
    plan = DESIRED.plan
    remote = entries_of("access1", "instances")[(("instance", 3),)]
    assert remote.action == "steer"
    assert remote.arg("sid") == int(IPv6Address("5f00:0:6:1003::"))
    assert remote.arg("headend") == int(plan.switches["access1"].router_address)
    assert entries_of("cloud", "instances")[(("instance", 3),)].action == "steer_local"
    sids = entries_of("cloud", "local_sids")
    assert sids[(("sid", int(IPv6Address("5f00:0:6:1003::"))),)].action == "end_dx6"


def test_segment_detours_the_path_and_lengthens_its_delay():
    state = State(segments={("access1", 1): "cloud"})
    item = entries_of("access1", "instances", state)[(("instance", 1),)]
    assert item.action == "steer_via"
    assert item.arg("via") == int(DESIRED.plan.switches["cloud"].end_sid)
    delays = {c.instance: c.path_delay_us for c in DESIRED.candidates(state, "access1", "chat")}
    assert delays == {1: 32_000, 2: 4_000, 3: 16_000}


def test_measured_delay_replaces_the_planned_one():
    joint = {"chat": ServiceSettings("joint", 1, 1)}
    state = State(services=joint, delays={("access1", "edge2"): 700})
    assert [c.path_delay_us for c in DESIRED.candidates(state, "access1", "chat")] == [2000, 700, 16000]
    assert [c.path_delay_us for c in DESIRED.candidates(state, "access2", "chat")] == [2000, 4000, 16000]
    configured = State(delays=state.delays)
    assert [c.path_delay_us for c in DESIRED.candidates(configured, "access1", "chat")] == [2000, 4000, 16000]


def test_links_cost_under_joint_alone():
    links = tuple(item.model_copy(update={"cost_us": 500}) for item in TOPOLOGY.links)
    topology = TOPOLOGY.model_copy(update={"links": links})
    desired = Desired(topology, Plan(topology))
    for policy, delays in (("joint", [3000, 5000, 17000]), ("least", [2000, 4000, 16000])):
        state = State(services={"chat": ServiceSettings(policy, 1, 1)})
        assert [c.path_delay_us for c in desired.candidates(state, "access1", "chat")] == delays


@pytest.mark.parametrize(
    ("policy", "code", "weights"),
    [
        ("nearest", "least", (0, 1)),
        ("least", "least", (1, 1)),
        ("joint", "least", (5, 3)),
        ("p2c", "p2c", (5, 3)),
    ],
)
def test_policies_become_a_code_and_weights(policy, code, weights):
    state = State(services={"chat": ServiceSettings(policy, 5, 3)})
    item = entries_of("access1", "services", state)[(("address", int(CHAT)),)]
    assert item.arg("policy") == protocol.POLICIES[code]
    assert (item.arg("compute_weight"), item.arg("network_weight")) == weights


def test_waits_are_blurred_where_several_ingresses_hear_the_same():
    service = entries_of("access1", "services")[(("address", int(CHAT)),)]
    mean_step_us = (10_000 + 10_000 + 2_500) // 3
    assert service.arg("spread_us") == mean_step_us * protocol.SPREAD_TIME_US // protocol.SPREAD_WINDOW_US
    hosts = {name: host for name, host in TOPOLOGY.hosts.items() if name != "clients2"}
    alone = load(EDGE_CLOUD).model_copy(update={"hosts": hosts})
    desired = Desired(alone, Plan(alone))
    assert desired.spread_us(desired.candidates(State(), "access1", "chat")) == 0


def test_unreported_wait_is_one_service_time_and_step_is_shared_by_workers():
    first, _, last = DESIRED.candidates(State(), "access1", "chat")
    assert (first.wait_us, first.wait_step_us) == (20_000, 10_000)
    assert last.wait_step_us == 2_500


def test_waits_are_cut_to_24_bits():
    state = State(waits={1: 1 << 30})
    assert DESIRED.candidates(state, "access1", "chat")[0].wait_us == MAX_24


@pytest.mark.parametrize(
    ("availability", "candidate", "living"),
    [("up", 1, 1), ("drained", 0, 1), ("gone", 0, 0), ("down", 0, 0)],
)
def test_availability_decides_who_is_candidate_and_who_lives(availability, candidate, living):
    state = State(availability={2: availability})
    assert len(entries_of("access1", "c1.candidates", state)) == candidate
    for table in ("living", "instances"):
        assert ((("instance", 2),) in entries_of("access1", table, state)) == bool(living)
    total = entries_of("access1", "services", state)[(("address", int(CHAT)),)].arg("total_weight")
    assert total == 2 + candidate


def test_instances_keep_their_slots_when_others_leave():
    state = State(availability={1: "down"})
    assert {c.instance: c.slot for c in DESIRED.candidates(state, "access1", "chat")} == {2: 1, 3: 2}


def test_a_service_address_inside_a_hosts_prefix_is_still_not_routed():
    document = {
        "name": "inside",
        "switches": {"a": {"role": "edge"}},
        "hosts": {"x": {"switch": "a", "address": "2001:db8::2"}},
        "services": {"s": {"address": "2001:db8::53", "port": 80}},
    }
    topology = Topology.model_validate(document)
    desired = Desired(topology, Plan(topology))
    assert [str(desired.prefix(host)) for host in desired.plan.hosts.values()] == ["2001:db8::2/128"]


states = st.builds(
    State,
    availability=st.dictionaries(st.sampled_from([1, 2, 3]), st.sampled_from(["up", "drained", "down"])),
    weights=st.dictionaries(st.sampled_from([1, 2, 3]), st.integers(0, 65535)),
    waits=st.dictionaries(st.sampled_from([1, 2, 3]), st.integers(0, 1 << 32)),
)


@settings(max_examples=50, deadline=None)
@given(states)
def test_whoever_can_be_chosen_can_be_reached(state):
    for switch, planned in DESIRED.plan.switches.items():
        if planned.role != "edge":
            continue
        reachable = {dict(match)["instance"] for match in entries_of(switch, "instances", state)}
        living = {dict(match)["instance"] for match in entries_of(switch, "living", state)}
        chosen = {c.instance for c in DESIRED.candidates(state, switch, "chat")}
        assert chosen <= living <= reachable


STATE = State()


def test_telemetry_is_sampled_at_edges_and_reported_by_way_of_the_collectors_link():
    watched = DESIRED.topology.model_copy(
        update={"telemetry": Telemetry(collector="clients2", flow_share=0.5)}
    )
    desired = Desired(watched, DESIRED.plan)

    def held(switch, table, state=STATE):
        return [item for item in desired.entries(state)[switch].values() if item.table == table]

    sampled = held("access1", "int_watchlist")
    assert {dict(item.match).popitem()[0] for item in sampled} == {"source", "destination"}
    assert {item.arg("flow_limit") for item in sampled} == {32767}
    off = Sampling(False, 1.0, 1.0, ("chat",))
    assert held("access1", "int_watchlist", State(sampling=off)) == []
    assert held("core", "int_watchlist") == []
    assert [item.arg("node_id") for item in held("core", "int_nodes")] == [3]
    [here] = held("access2", "clone sessions")
    assert here.arg("port") == DESIRED.plan.hosts["clients2"].port
    [there] = held("edge1", "clone sessions")
    assert there.arg("port") == DESIRED.plan.port_to("edge1", "core").number
