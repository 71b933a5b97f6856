"""Both targets on veth pairs: packets in and out, packet I/O, digests, counters and registers."""

from __future__ import annotations

import asyncio
import socket
import subprocess

import pytest
from finsy.proto import p4r
from p4rt_client import Client, client
from switch_process import EVERYTHING, Host, Network, ip, network, running_switch

from p4cats.compiler.backends.p4info import p4info
from p4cats.compiler.driver import compile_file
from p4cats.netns import call_in

pytestmark = pytest.mark.root

ETHERTYPE = 0x88B5
"""For local experiments (IEEE 802): nothing else on the wire has it."""
A, B = bytes.fromhex("02000000000a"), bytes.fromhex("02000000000b")


def ids() -> dict[str, int]:
    info = p4info(compile_file(EVERYTHING))
    lists = (info.tables, info.actions, info.counters, info.registers, info.digests)
    return {o.preamble.alias: o.preamble.id for objects in lists for o in objects}  # type: ignore[attr-defined]


IDS = ids()


def station(address: bytes, port: int) -> p4r.TableEntry:
    entry = p4r.TableEntry(table_id=IDS["stations"])
    entry.match.add(field_id=1).exact.value = address
    entry.action.action.action_id = IDS["forward"]
    entry.action.action.params.add(param_id=1, value=bytes([port]))
    return entry


def frame(payload: bytes = b"hello", to: bytes = B, source: bytes = A) -> bytes:
    return (to + source + ETHERTYPE.to_bytes(2, "big") + payload).ljust(60, b"\0")


async def in_thread(host: Host, ethertype: int = ETHERTYPE) -> bytes:
    return await asyncio.to_thread(host.receive, ethertype)


@pytest.fixture(params=["xdp", "model"])
def target(request: pytest.FixtureRequest) -> str:
    found: str = request.param
    return found


def drive(net: Network, target: str, *steps) -> None:  # type: ignore[no-untyped-def]
    """Run a test's steps against a switch on the network, as primary controller."""

    async def main(address: str) -> None:
        async with client(address) as c:
            assert (await c.arbitrate(1)).status.code == 0
            for step in steps:
                await step(c)

    with running_switch("--target", target, "--pipeline", EVERYTHING, *net.ports) as switch:
        asyncio.run(main(switch.address))


def test_frame_leaves_by_the_port_of_its_entry_and_counters_and_registers_show_it(target: str) -> None:
    with network(2) as net:
        one, two = net.hosts

        async def forward(c: Client) -> None:
            await c.insert(station(B, 2))
            one.send(frame())
            assert await in_thread(two) == frame()

        async def counters(c: Client) -> None:
            request = p4r.CounterEntry(counter_id=IDS["port_packets"])
            request.index.index = 1
            [reply] = await c.read(p4r.Entity(counter_entry=request))
            data = reply.counter_entry.data
            assert (data.packet_count, data.byte_count) == (1, 60)

        async def registers(c: Client) -> None:
            request = p4r.RegisterEntry(register_id=IDS["last_seen"])
            request.index.index = 1
            [reply] = await c.read(p4r.Entity(register_entry=request))
            assert reply.register_entry.data.bitstring == bytes([60])
            [reply] = await c.read(
                p4r.Entity(
                    register_entry=p4r.RegisterEntry(register_id=IDS["cells"], index=p4r.Index(index=0))
                )
            )
            assert reply.register_entry.data.struct.members[0].bitstring == b"\x01"

        drive(net, target, forward, counters, registers)


def test_packet_out_and_packet_in_carry_their_metadata(target: str) -> None:
    with network(2) as net:
        one, two = net.hosts

        async def out(c: Client) -> None:
            packet = p4r.PacketOut(payload=frame())
            packet.metadata.add(metadata_id=1, value=b"\x02")
            packet.metadata.add(metadata_id=2, value=b"\x00")
            await c.send(packet=packet)
            assert await in_thread(two) == frame()

        async def back(c: Client) -> None:
            entry = station(B, 0)
            entry.action.action.Clear()
            entry.action.action.action_id = IDS["to_controller"]
            await c.insert(entry)
            one.send(frame(b"up"))
            packet = await c.receive("packet")
            assert packet.payload == frame(b"up")
            assert {m.metadata_id: m.value for m in packet.metadata} == {1: b"\x01", 2: b"\x01"}

        async def malformed(c: Client) -> None:
            await c.send(packet=p4r.PacketOut(payload=frame()))
            error = await c.receive("error")
            assert error.canonical_code == 3
            assert error.packet_out.packet_out.payload == frame()

        drive(net, target, out, back, malformed)


def test_digest_of_a_new_station_reaches_the_controller(target: str) -> None:
    with network(2) as net:
        one, _ = net.hosts

        async def learn(c: Client) -> None:
            digest = p4r.DigestEntry(digest_id=IDS["learn_t"])
            digest.config.max_list_size = 1
            await c.write(p4r.Update(type=p4r.Update.INSERT, entity=p4r.Entity(digest_entry=digest)))
            one.send(frame())
            message = await c.receive("digest")
            address, port, first = message.data[0].struct.members
            assert (address.bitstring, port.bitstring, first.bool) == (A, b"\x01", True)

        drive(net, target, learn)


def test_idle_entry_is_notified(target: str) -> None:
    with network(1) as net:

        async def idle(c: Client) -> None:
            entry = p4r.TableEntry(table_id=IDS["learned"], idle_timeout_ns=1_000_000, metadata=b"m")
            entry.match.add(field_id=1).exact.value = A
            entry.action.action.action_id = IDS["NoAction"]
            await c.insert(entry)
            note = await c.receive("idle_timeout_notification")
            entry.ClearField("action")
            assert list(note.table_entry) == [entry]
            assert note.timestamp > 0

        drive(net, target, idle)


def test_vlan_tag_that_the_kernel_strips_is_put_back(target: str) -> None:
    with network(2) as net:
        one, two = net.hosts
        tagged = B + A + bytes.fromhex("8100000a") + ETHERTYPE.to_bytes(2, "big") + b"tagged".ljust(60, b"\0")

        async def forward(c: Client) -> None:
            await c.insert(station(B, 2))
            one.send(tagged)
            one.send(frame())
            assert b"tagged" in await in_thread(two)  # our own socket's kernel has stripped the tag once more
            assert await in_thread(two) == frame()
            request = p4r.CounterEntry(counter_id=IDS["port_packets"], index=p4r.Index(index=1))
            [reply] = await c.read(p4r.Entity(counter_entry=request))
            assert reply.counter_entry.data.byte_count == len(tagged) + len(frame())

        drive(net, target, forward)


def test_frame_too_large_for_a_port_is_dropped_and_the_next_one_passes(target: str) -> None:
    with network(2) as net:
        one, two = net.hosts
        ip("-n", one.netns, "link", "set", "eth0", "mtu", "9000")
        ip("-n", net.switch, "link", "set", "p1", "mtu", "9000")

        async def forward(c: Client) -> None:
            await c.insert(station(B, 2))
            one.send(frame(bytes(8000)))
            one.send(frame())
            assert await in_thread(two) == frame()

        drive(net, target, forward)


def test_interface_that_goes_down_or_away_comes_back_as_the_same_port(target: str) -> None:
    with network(2) as net:
        one, two = net.hosts

        async def forwards(c: Client) -> None:
            one.send(frame())
            assert await in_thread(two) == frame()

        async def insert(c: Client) -> None:
            await c.insert(station(B, 2))

        async def down_and_up(c: Client) -> None:
            ip("-n", net.switch, "link", "set", "p2", "down")
            one.send(frame(b"lost"))
            ip("-n", net.switch, "link", "set", "p2", "up")

        async def replace(c: Client) -> None:
            two.socket.close()
            ip("-n", net.switch, "link", "del", "p2")
            one.send(frame(b"lost"))
            ip(
                "-n",
                net.switch,
                "link",
                "add",
                "p2",
                "type",
                "veth",
                "peer",
                "name",
                "eth0",
                "netns",
                two.netns,
            )
            ip("-n", two.netns, "link", "set", "eth0", "up")
            ip("-n", net.switch, "link", "set", "p2", "up")
            two.__init__(two.netns, "eth0")  # type: ignore[misc]  # its interface is a new one

        async def forwards_again(c: Client) -> None:
            """The switch hears of the new interface some time after we do."""
            for _ in range(100):
                one.send(frame())
                try:
                    assert await asyncio.to_thread(two.receive, ETHERTYPE, 0.1) == frame()
                except AssertionError:
                    continue
                return
            raise AssertionError("the port did not come back")

        drive(net, target, insert, forwards, down_and_up, forwards, replace, forwards_again)


def test_switch_leaves_its_interfaces_as_it_found_them(target: str) -> None:
    with network(1) as net:
        path = "/proc/sys/net/ipv6/conf/p1/disable_ipv6"

        def setting() -> str:
            command = ["ip", "netns", "exec", net.switch, "cat", path]
            return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()

        assert setting() == "0"
        with running_switch("--target", target, *net.ports):
            assert setting() == "1"
        assert setting() == "0"


@pytest.mark.parametrize("target", ["model"])
def test_checksums_that_hosts_leave_to_their_interfaces_are_completed(target: str) -> None:
    """UDP between hosts whose offloads are on, as `ip link add … type veth` leaves them; XDP cannot know."""
    with network(2) as net:
        one, two = net.hosts
        mac = bytes.fromhex("02000000000b")
        for n, host in enumerate(net.hosts, 1):
            ip("-n", host.netns, "addr", "add", f"10.0.0.{n}/24", "dev", "eth0")
        ip("-n", two.netns, "link", "set", "eth0", "address", mac.hex(":"))
        ip("-n", one.netns, "neigh", "add", "10.0.0.2", "lladdr", mac.hex(":"), "dev", "eth0")
        sender, receiver = call_in(one.netns, udp_socket), call_in(two.netns, udp_socket)

        async def forward(c: Client) -> None:
            route = p4r.TableEntry(table_id=IDS["routes"])
            route.match.add(field_id=1).exact.value = b"\0"
            lpm = route.match.add(field_id=2).lpm
            lpm.value, lpm.prefix_len = bytes([10, 0, 0, 2]), 32
            route.action.action.action_id = IDS["forward"]
            route.action.action.params.add(param_id=1, value=b"\x02")
            await c.insert(route)
            receiver.bind(("10.0.0.2", 4000))
            sender.sendto(b"checked", ("10.0.0.2", 4000))
            assert await asyncio.to_thread(receiver.recv, 100) == b"checked"

        with sender, receiver:
            drive(net, target, forward)


def udp_socket() -> socket.socket:
    made = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    made.settimeout(10)
    return made
