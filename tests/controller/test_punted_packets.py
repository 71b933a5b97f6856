"""Packet-in to ICMPv6 error to packet-out, over gRPC."""

import asyncio

from scapy.layers.inet import UDP
from scapy.layers.inet6 import ICMPv6PacketTooBig, ICMPv6TimeExceeded, IPv6
from scapy.layers.l2 import Ether
from scapy.packet import Raw

CLIENT, CHAT = "2001:db8:1:1::2", "2001:db8:ca75::53"


def frame(packet):
    return bytes(Ether(src="02:00:00:00:00:01", dst="02:00:00:00:00:02") / packet)


def egress_port(packet):
    return int.from_bytes(packet.metadata[1].value, "big")


def test_hop_limit_is_answered_by_the_switch_that_punted(on_network):
    async def body(network):
        async with network.controlled():
            network.switches["access1"].punt(frame(IPv6(src=CLIENT, dst=CHAT, hlim=1) / UDP()), 1, 1)
            out = await asyncio.wait_for(network.switches["access1"].packets_out.get(), 30)
            error = Ether(out.payload)[IPv6]
            assert ICMPv6TimeExceeded in error
            assert (error.src, error.dst, egress_port(out)) == ("5f00:0:1::1", CLIENT, 0)

    on_network(body)


def test_too_big_response_is_told_at_the_switches_of_the_instances(on_network):
    async def body(network):
        async with network.controlled():
            packet = frame(IPv6(src=CHAT, dst=CLIENT) / UDP() / Raw(b"x" * 1450))
            network.switches["core"].punt(packet, 3, 2, 1400)
            for name in ("edge1", "edge2", "cloud"):
                out = await asyncio.wait_for(network.switches[name].packets_out.get(), 30)
                assert Ether(out.payload)[ICMPv6PacketTooBig].mtu == 1400
                assert egress_port(out) == 1

    on_network(body)


def test_garbage_from_a_switch_does_not_disturb_the_session(on_network):
    async def body(network):
        async with network.controlled() as controller:
            core = network.switches["core"]
            for garbage in (b"", b"x", bytes(14) + b"\x60" * 40):
                core.punt(garbage)
            core.punt(frame(IPv6(src=CLIENT, dst=CHAT, hlim=1) / UDP()))
            await asyncio.wait_for(core.packets_out.get(), 30)
            assert controller.is_converged

    on_network(body)
