"""The controller with p4cats' own switches: p4src on the model target, joined by wires in memory.
What depends on how packets are processed is shown on the xdp target too.

Shows that the entries mean to the programs what the controller thinks they mean: packets of hosts go in,
and what comes out at other hosts is checked.
"""

import asyncio
import contextlib
import struct
from collections import defaultdict
from pathlib import Path

import pytest
from controlled_network import TOPOLOGY, running, until
from scapy.layers.inet import UDP
from scapy.layers.inet6 import (
    ICMPv6ND_NA,
    ICMPv6ND_NS,
    ICMPv6NDOptDstLLAddr,
    ICMPv6NDOptSrcLLAddr,
    ICMPv6PacketTooBig,
    ICMPv6TimeExceeded,
    IPv6,
)
from scapy.layers.l2 import Ether
from scapy.packet import Raw

import p4cats.p4src
from p4cats import protocol
from p4cats.compiler.backends.p4info import p4info, write_p4info
from p4cats.compiler.diagnostics import Reporter
from p4cats.compiler.driver import compile_text
from p4cats.compiler.parse.preprocessor import preprocess_to_text
from p4cats.controller.controller import Controller
from p4cats.controller.flows import Flow
from p4cats.controller.metrics import Report
from p4cats.controller.overview import Overview
from p4cats.controller.switches import PipelineFiles
from p4cats.halfsiphash import tag
from p4cats.switch.modeltarget import ModelTarget
from p4cats.switch.programs import compile_config
from p4cats.switch.server import start_server
from p4cats.switch.service import P4RuntimeService
from p4cats.switch.xdptarget import XdpTarget
from p4cats.topologies.addressing import Plan
from p4cats.topologies.schema import Topology

CHAT = TOPOLOGY.services["chat"].address
METRIC_LEARNED, METRIC_NO_KEY, METRIC_FORGED = 0, 3, 7
HOUR_US = 3_600_000_000


@pytest.fixture(scope="module")
def pipelines(tmp_path_factory):
    directory, found = tmp_path_factory.mktemp("programs"), {}
    for role in ("edge", "transit"):
        source = Path(p4cats.p4src.__file__).parent / f"{role}.p4"
        text = preprocess_to_text(source, include_dirs=[], reporter=Reporter())
        found[role] = PipelineFiles(directory / f"{role}.p4info.txtpb", directory / f"{role}.p4")
        write_p4info(p4info(compile_text(text, role)), found[role].p4info_path)
        found[role].blob_path.write_text(text)
    return found


class Wires:
    """The ports of one switch, without interfaces that XDP could be put on."""

    def __init__(self, network, switch):
        self.network, self.planned, self.ports = network, network.plan.switches[switch].ports, {}

    def exists(self, port):
        return port in self.planned

    is_up = exists

    def send(self, port, frame):
        peer = self.planned[port].peer
        if peer.is_host:
            assert Ether(frame).dst == peer.mac
            self.network.inbox[peer.node].append(frame)
        else:
            assert Ether(frame).dst == peer.mac
            asyncio.get_running_loop().call_soon(self.network.receive, peer.node, peer.port, frame)


class Network:
    """Switches of a topology in this process, and their controller."""

    def __init__(self, topology, target):
        self.topology, self.plan, self.target = topology, Plan(topology), target
        self.inbox, self.services, self.addresses = defaultdict(list), {}, {}

    @contextlib.asynccontextmanager
    async def up(self, pipelines):
        async with contextlib.AsyncExitStack() as stack:
            for name, switch in self.plan.switches.items():
                wires = Wires(self, name)
                target = self.target(wires, 510)
                service = P4RuntimeService(switch.device_id, target, compile_config, wires)
                self.services[name] = service
                stack.callback(service.close)
                server, port = await start_server(service, "127.0.0.1:0")
                stack.push_async_callback(server.stop, 0)
                self.addresses[name] = f"127.0.0.1:{port}"
            self.controller = Controller(self.topology, self.plan, self.addresses, pipelines)
            async with running(self.controller) as self.task:
                await asyncio.wait_for(self.controller.converged(), 60)
                yield self

    def send(self, host, packet):
        """Send an IPv6 packet (or a whole frame) from a host."""
        planned = self.plan.hosts[host]
        switch = self.plan.switches[planned.switch]
        if not isinstance(packet, Ether):
            packet = Ether(src=planned.mac, dst=switch.ports[planned.port].mac) / packet
        self.receive(planned.switch, planned.port, bytes(packet))

    def receive(self, switch, port, frame):
        """A frame comes in by a port."""
        self.services[switch].pipelines.forwarding.dataplane.process(port, frame)

    async def received(self, host):
        await until(lambda: self.inbox[host])
        return Ether(self.inbox[host].pop(0))

    async def receiver_of(self, packet, host="clients1"):
        self.send(host, packet)
        await until(lambda: any(self.inbox.values()))
        [found] = [name for name, frames in self.inbox.items() if frames]
        return found, Ether(self.inbox[found].pop())


def request(network, port=40_000, host="clients1", size=10, **fields):
    source = str(network.plan.hosts[host].address)
    return IPv6(src=source, dst=str(CHAT), **fields) / UDP(sport=port, dport=8080) / Raw(b"x" * size)


def response_with_load(network, key, instance, wait_us, sequence):
    """What an instance's host sends: a datagram with the metric option."""
    data = protocol.OPTION_DATA.pack(
        protocol.MAGIC, protocol.VERSION << 4, key.id, instance, 5, 5, 5, 5, 5, 0, 1, wait_us, 0, sequence, 0
    )
    destination = network.plan.hosts["clients1"].address
    mac = tag(key.octets, protocol.metric_message(data, destination))
    udp = bytes(UDP(sport=8080, dport=40_000) / Raw(b"answer"))
    header = struct.pack("!BBBB", 17, 4, protocol.OPTION_TYPE, protocol.OPTION_LENGTH) + data[:-8] + mac
    return IPv6(src=str(CHAT), dst=str(destination), nh=0, plen=len(header) + len(udp)) / Raw(header + udp)


async def key_for(controller, instance, old=None):
    """Ask for a key like the agent of an instance, until one is handed over."""
    handed = {}

    def ask():
        handed.update(controller.hand_keys({instance: old.id if old else 0}, []))
        return instance in handed

    await until(ask)
    return handed[instance]


async def results(network, switch="access1"):
    """What the checks of metrics have counted, by the index in p4src/include/metrics.p4."""
    found = await network.controller.sessions[switch].read_counters("metrics", list(range(8)))
    return {index: count for index, count in found.items() if count}


def runner(pipelines, target):
    def run(body, topology=TOPOLOGY):
        async def main():
            async with Network(topology, target).up(pipelines) as network:
                await body(network, network.controller)

        asyncio.run(main())

    return run


@pytest.fixture
def on_model(pipelines):
    return runner(pipelines, ModelTarget)


@pytest.fixture(params=[ModelTarget, pytest.param(XdpTarget, marks=pytest.mark.root)])
def on_both(pipelines, request):
    return runner(pipelines, request.param)


def test_hosts_find_their_gateway_and_reach_each_other(on_both):
    async def body(network, controller):
        host = network.plan.hosts["clients1"]
        solicitation = IPv6(src=str(host.address), dst="ff02::1:ff00:1", hlim=255) / ICMPv6ND_NS(
            tgt="fe80::1"
        )
        frame = (
            Ether(src=host.mac, dst="33:33:ff:00:00:01")
            / solicitation
            / ICMPv6NDOptSrcLLAddr(lladdr=host.mac)
        )
        network.send("clients1", frame)
        answer = await network.received("clients1")
        assert answer[ICMPv6ND_NA].tgt == "fe80::1"
        gateway = network.plan.switches["access1"].ports[host.port].mac
        assert answer[ICMPv6NDOptDstLLAddr].lladdr == gateway
        for name, other in network.plan.hosts.items():
            if name != "clients1":
                packet = IPv6(src=str(host.address), dst=str(other.address), hlim=64) / UDP() / b"hello"
                receiver, found = await network.receiver_of(packet)
                assert receiver == name
                assert found[IPv6].hlim == 64 - 1 - network.plan.path("access1", other.switch).hops

    on_both(body)


def test_requests_go_to_the_instance_that_explain_names_under_every_policy(on_both):
    async def body(network, controller):
        overview = Overview(controller)
        for index, policy in enumerate(("static", "hash", "nearest", "least", "p2c", "joint")):
            controller.set_service("chat", policy=policy)
            await asyncio.wait_for(controller.converged(), 30)
            for port in range(40_000 + 12 * index, 40_012 + 12 * index):
                flow = Flow(network.plan.hosts["clients1"].address, CHAT, 17, port, 8080)
                expected = (await overview.explain(flow))["path"][-1]
                receiver, found = await network.receiver_of(request(network, port))
                assert receiver == expected, policy
                assert found[IPv6].dst == str(CHAT)
                placed = await overview.explain(flow)
                assert placed["reason"].startswith("affinity")
                assert placed["path"][-1] == receiver

    on_both(body)


def test_load_in_a_response_moves_the_next_flow_and_placed_ones_stay(on_both):
    async def body(network, controller):
        assert (await network.receiver_of(request(network)))[0] == "chat-edge1"
        for instance in (3, 2, 1):
            load_us = 500_000 if instance == 1 else 10_000
            key = await key_for(controller, instance)
            network.send(
                TOPOLOGY.instances[instance - 1].host, response_with_load(network, key, instance, load_us, 1)
            )
            answer = await network.received("clients1")
        option = bytes(answer)[14 + 40 :][: protocol.HBH_BYTES]
        assert option[2:] == bytes([protocol.OPTION_TYPE, protocol.OPTION_LENGTH]) + bytes(36)
        overview = Overview(controller)
        flow = Flow(network.plan.hosts["clients1"].address, CHAT, 17, 40_001, 8080)
        assert (await overview.explain(flow))["candidates"][0]["learned_wait_us"] == 500_000
        assert (await network.receiver_of(request(network, 40_001)))[0] == "chat-edge2"
        assert (await network.receiver_of(request(network)))[0] == "chat-edge1"

    chat = TOPOLOGY.services["chat"].model_copy(update={"load_ttl_us": HOUR_US, "dead_after_us": HOUR_US})
    on_both(body, TOPOLOGY.model_copy(update={"services": {"chat": chat}}))


def test_load_under_a_key_of_another_site_moves_nothing(on_model):
    async def body(network, controller):
        await key_for(controller, 1)
        key = await key_for(controller, 2)
        network.send("chat-edge2", response_with_load(network, key, 1, 500_000, 1))
        await network.received("clients1")
        assert await results(network) in ({METRIC_FORGED: 1}, {METRIC_NO_KEY: 1})
        assert (await network.receiver_of(request(network)))[0] == "chat-edge1"

    on_model(body)


def test_keys_change_without_a_metric_lost(on_model):
    async def body(network, controller):
        key, seen, sequence, sent = await key_for(controller, 1), set(), 0, 0
        while len(seen) < 3:
            handed = controller.hand_keys({1: key.id}, [])
            if handed:
                key, sequence = handed[1], 0
            seen.add(key.id)
            sequence, sent = sequence + 1, sent + 1
            network.send("chat-edge1", response_with_load(network, key, 1, 500, sequence))
            await network.received("clients1")
        assert await results(network) == {METRIC_LEARNED: sent}

    on_model(body, TOPOLOGY.model_copy(update={"key_lifetime_us": 200_000}))


def test_restarted_controller_goes_on_with_the_keys_of_the_switches(on_model, pipelines):
    async def body(network, controller):
        key = await key_for(controller, 1)
        network.task.cancel()
        await asyncio.wait({network.task})
        network.controller = second = Controller(network.topology, network.plan, network.addresses, pipelines)
        async with running(second):
            await asyncio.wait_for(second.converged(), 30)
            assert second.hand_keys({1: key.id}, []) == {}
            network.send("chat-edge1", response_with_load(network, key, 1, 500, 1))
            await network.received("clients1")
            assert await results(network) == {METRIC_LEARNED: 1}
            changed = {}
            await until(lambda: changed.update(second.hand_keys({1: 0}, [1])) or changed)
            assert changed[1].id == key.id + 1, "a host without a sequence gets another"

    on_model(body)


def test_drained_instance_keeps_its_flows_and_a_dead_one_loses_them(on_both):
    async def body(network, controller):
        assert (await network.receiver_of(request(network)))[0] == "chat-edge1"
        controller.set_instance(1, "drained")
        await asyncio.wait_for(controller.converged(), 30)
        assert (await network.receiver_of(request(network)))[0] == "chat-edge1"
        assert (await network.receiver_of(request(network, 40_001)))[0] == "chat-edge2"
        controller.set_instance(1, "down")
        await asyncio.wait_for(controller.converged(), 30)
        assert (await network.receiver_of(request(network)))[0] == "chat-edge2"

    on_both(body)


def test_drained_instance_that_has_no_request_left_is_gone_and_comes_back_when_it_is_up(on_model):
    async def body(network, controller):
        overview = Overview(controller)

        async def standing():
            return next(view["state"] for view in await overview.instances() if view["id"] == 1)

        controller.set_instance(1, "drained")
        controller.report([Report(1, 0, in_flight=1)])
        assert await standing() == "drained"
        controller.report([Report(1, 0, seq=1)])
        assert await standing() == "gone"
        await asyncio.wait_for(controller.converged(), 30)
        controller.set_instance(1, "up")
        assert await standing() == "up"
        await asyncio.wait_for(controller.converged(), 30)
        assert (await network.receiver_of(request(network)))[0] == "chat-edge1"

    chat = TOPOLOGY.services["chat"].model_copy(update={"affinity_timeout_us": 0})
    on_model(body, TOPOLOGY.model_copy(update={"services": {"chat": chat}}))


def test_detour_by_a_segment_arrives(on_both):
    async def body(network, controller):
        controller.set_service("chat", policy="joint")
        controller.set_segment("access1", 1, "cloud")
        controller.set_delay("access1", "cloud", 0)
        controller.set_delay("cloud", "edge1", 0)
        await asyncio.wait_for(controller.converged(), 30)
        receiver, found = await network.receiver_of(request(network, hlim=64))
        assert (receiver, found[IPv6].hlim) == ("chat-edge1", 62)

    on_both(body)


@pytest.mark.parametrize(("hop_limit", "switch"), [(1, "access1"), (2, "edge1")])
def test_expired_request_is_answered_to_its_client(on_both, hop_limit, switch):
    async def body(network, controller):
        network.send("clients1", request(network, hlim=hop_limit))
        answer = await network.received("clients1")
        assert answer[IPv6].src == str(network.plan.switches[switch].router_address)
        assert answer[IPv6].dst == str(network.plan.hosts["clients1"].address)
        assert ICMPv6TimeExceeded in answer

    on_both(body)


def test_hop_limit_expired_in_the_core_is_answered(on_model):
    async def body(network, controller):
        source, destination = (network.plan.hosts[n].address for n in ("clients1", "clients2"))
        network.send("clients1", IPv6(src=str(source), dst=str(destination), hlim=2) / UDP())
        answer = await network.received("clients1")
        assert answer[IPv6].src == str(network.plan.switches["core"].router_address)

    on_model(body)


def with_mtu(**mtus):
    """edge-cloud.yaml with other MTUs of the core links, by the switch at their outer end."""
    links = tuple(
        link.model_copy(update={"mtu": mtus.get(link.ends[0], link.mtu)}) for link in TOPOLOGY.links
    )
    return Topology.model_validate(TOPOLOGY.model_copy(update={"links": links}))


@pytest.mark.parametrize(
    ("mtus", "switch", "told"),
    [({}, "access1", 1460), ({"edge1": 1400}, "core", 1360)],
    ids=["at the headend", "inside the tunnel"],
)
def test_request_too_big_for_the_tunnel_is_told_the_mtu_left_inside(on_both, mtus, switch, told):
    async def body(network, controller):
        headers = 48
        network.send("clients1", request(network, size=told - headers + 1))
        answer = await network.received("clients1")
        assert answer[IPv6].src == str(network.plan.switches[switch].router_address)
        assert answer[ICMPv6PacketTooBig].mtu == told
        receiver, _ = await network.receiver_of(request(network, size=told - headers))
        assert receiver == "chat-edge1"

    on_both(body, with_mtu(**mtus))


def test_response_too_big_for_a_link_is_told_to_the_instances(on_both):
    async def body(network, controller):
        client = str(network.plan.hosts["clients1"].address)
        packet = IPv6(src=str(CHAT), dst=client) / UDP(sport=8080) / Raw(b"x" * 1400)
        network.send("chat-cloud", packet)
        for name in ("chat-edge1", "chat-edge2", "chat-cloud"):
            answer = await network.received(name)
            assert answer[IPv6].dst == str(CHAT)
            assert answer[ICMPv6PacketTooBig].mtu == 1300
        assert not network.inbox["clients1"]

    on_both(body, with_mtu(access1=1300))


def test_restarted_controller_writes_nothing_and_flows_stay(on_both, pipelines):
    async def body(network, controller):
        controller.set_service("chat", policy="nearest")
        assert (await network.receiver_of(request(network)))[0] == "chat-edge1"
        controller.set_service("chat", policy="least")
        await asyncio.wait_for(controller.converged(), 30)
        network.task.cancel()
        await asyncio.wait({network.task})
        assert (await network.receiver_of(request(network)))[0] == "chat-edge1"
        second = Controller(network.topology, network.plan, network.addresses, pipelines)
        async with running(second):
            await asyncio.wait_for(second.converged(), 30)
            assert not any(session.updates_written for session in second.sessions.values())
            assert not any(session.pipelines_pushed for session in second.sessions.values())
            assert (await network.receiver_of(request(network)))[0] == "chat-edge1"

    on_both(body)
