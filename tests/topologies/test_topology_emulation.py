"""What links do to frames, seen on the ports of two switches, and to the traffic of hosts."""

import hashlib
import socket
import struct
import threading
import time

import pytest
from topology_helpers import (
    KernelRouters,
    frame,
    numbers,
    raw_socket,
    tcp_connect,
    tcp_listener,
    udp,
    wire,
)

from p4cats.netns import call_in
from p4cats.topologies import emulation, namespaces
from p4cats.topologies.addressing import Plan
from p4cats.topologies.emulation import EmulationError, Impairment
from p4cats.topologies.network import Network, NetworkError

pytestmark = pytest.mark.root

MACHINE_S = 0.2
"""Generous bound for what a busy machine adds to a delay, in seconds."""


def ends(network):
    """Return packet sockets on both ends of the link between a and b."""
    return raw_socket(network, "a", 2), raw_socket(network, "b", 2)


def latency(sender, receiver):
    """Return the seconds that one frame needs."""
    begin = time.monotonic()
    sender.send(frame(7))
    assert numbers(receiver, count=1) == [7]
    return time.monotonic() - begin


def best_latency(sender, receiver, tries=10):
    """Return the shortest of some latencies: the link's, without the machine's moods."""
    return min(latency(sender, receiver) for _ in range(tries))


def test_a_frame_takes_the_delay_in_each_direction_and_hardly_more(mode):
    with Network(wire("delay: 20ms"), emulation=mode) as network:
        a, b = ends(network)
        for sender, receiver in ((a, b), (b, a)):
            taken = best_latency(sender, receiver)
            assert 0.020 <= taken < 0.022


def test_a_plain_link_adds_nothing_that_could_be_taken_for_a_delay(mode):
    with Network(wire(), emulation=mode) as network:
        assert best_latency(*ends(network)) < 0.002


@pytest.mark.parametrize("count", [500])
def test_without_loss_every_frame_arrives_in_order_and_with_full_loss_none(mode, count):
    with Network(wire("delay: 1ms"), emulation=mode) as network:
        a, b = ends(network)
        for number in range(count):
            a.send(frame(number))
        assert numbers(b, count=count) == list(range(count))
        network.set_link("a", "b", loss="100%")
        for number in range(count):
            a.send(frame(number))
        network.set_link("a", "b", loss=0)
        a.send(frame(count))
        assert numbers(b, count=1) == [count]


def test_loss_takes_its_share(mode):
    with Network(wire("loss: 20%"), emulation=mode) as network:
        a, b = ends(network)
        network.set_link("a", "b", delay="1ms")
        for number in range(2000):
            a.send(frame(number))
        network.set_link("a", "b", loss=0)
        a.send(frame(9999))
        arrived = []
        while 9999 not in arrived:
            arrived += numbers(b, count=1)
        # 400 expected, standard deviation 18: ten of them on each side.
        assert 220 < 2001 - len(arrived) < 580


def test_the_same_seed_loses_the_same_frames():
    def arrived(seed):
        with Network(wire("loss: 50%"), emulation="linkem", seed=seed) as network:
            a, b = ends(network)
            for number in range(200):
                a.send(frame(number))
            network.set_link("a", "b", loss=0)
            a.send(frame(9999))
            found = []
            while 9999 not in found:
                found += numbers(b, count=1)
            return found

    assert arrived(5) == arrived(5)
    assert arrived(5) != arrived(6)


def test_frames_follow_one_another_at_the_rate(mode):
    with Network(wire("rate: 8mbit"), emulation=mode) as network:
        a, b = ends(network)
        begin = time.monotonic()
        for number in range(100):
            a.send(frame(number, 1000))  # 1 ms each
        assert numbers(b, count=100) == list(range(100))
        assert 0.095 < time.monotonic() - begin < 0.1 + MACHINE_S


def test_a_full_queue_drops_the_newest(mode):
    impairment = Impairment(rate_bps=1_000_000)
    with Network(wire("rate: 1mbit"), emulation=mode) as network:
        a, b = ends(network)
        count = impairment.limit + 400
        for number in range(count):
            a.send(frame(number, 100))  # 0.8 ms each: the queue fills faster than it drains
        arrived = numbers(b, until=time.monotonic() + 0.8e-3 * count + MACHINE_S)
        assert arrived == sorted(arrived)
        assert arrived[: impairment.limit] == list(range(impairment.limit))
        assert len(arrived) < count


def test_the_queue_holds_a_tenth_of_a_second_and_what_is_on_the_way():
    assert Impairment(rate_bps=100_000_000).limit == 833
    assert Impairment(rate_bps=100_000_000, delay_us=100_000).limit == 1667
    assert Impairment(rate_bps=64_000).limit == emulation.MIN_QUEUE_FRAMES
    assert Impairment(delay_us=10).limit == emulation.UNLIMITED_QUEUE_FRAMES


def test_frames_pass_unchanged_with_their_tag_and_at_any_size(mode):
    with Network(wire("delay: 1ms, mtu: 9000"), emulation=mode) as network:
        a, b = ends(network)
        b.setsockopt(263, 8, 1)  # SOL_PACKET, PACKET_AUXDATA
        for sent, vlan in ((frame(1, 60), 0), (frame(2, 9014), 0), (frame(3, 1000, vlan=0x2123), 0x2123)):
            a.send(sent)
            data, control, _, _ = b.recvmsg(65536, 100)
            tag = 0
            for _, kind, value in control:
                if kind == 8:
                    status, *_, tag, tpid = struct.unpack("=IIIHHHH", value)
                    if status & 0x10:  # TP_STATUS_VLAN_VALID: the kernel took it out of the frame
                        data = data[:12] + struct.pack("!HH", tpid, tag) + data[12:]
            assert data == sent
            assert tag == vlan


def test_a_changed_delay_counts_for_the_frames_that_come_after(mode):
    with Network(wire("delay: 60ms"), emulation=mode) as network:
        a, b = ends(network)
        assert best_latency(a, b, 3) >= 0.06
        network.set_link("b", "a", delay="2ms")
        assert network.link("a", "b") == Impairment(delay_us=2000)
        assert 0.002 <= best_latency(a, b) < 0.01


def test_frames_keep_their_order_when_the_delay_shrinks():
    with Network(wire("delay: 100ms"), emulation="linkem") as network:
        a, b = ends(network)
        for number in range(10):
            a.send(frame(number))
        network.set_link("a", "b", delay="1ms")
        for number in range(10, 20):
            a.send(frame(number))
        assert numbers(b, count=20) == list(range(20))


@pytest.mark.parametrize("link", ["", "delay: 1ms"])
def test_a_link_that_is_down_carries_nothing_and_works_again_when_it_is_up(mode, link):
    with Network(wire(link), emulation=mode) as network:
        a, b = ends(network)
        network.set_link("a", "b", up=False)
        with pytest.raises(OSError, match="Network is down"):
            a.send(frame(1))
        for end in (a, b):
            with pytest.raises(OSError, match="Network is down"):
                end.recv(100)
        network.set_link("a", "b", up=True)
        a.send(frame(2))
        assert numbers(b, count=1) == [2]
        b.send(frame(3))
        assert numbers(a, count=1) == [3]


def test_every_link_can_be_impaired_if_asked_for(mode):
    with Network(wire(), emulation=mode, emulate_all=True) as network:
        a, b = ends(network)
        network.set_link("a", "b", delay="30ms")
        assert best_latency(a, b, 3) >= 0.03


def test_what_cannot_be_changed_is_refused_with_the_reason():
    with Network(wire(), emulation="linkem") as network:
        with pytest.raises(NetworkError, match="a bare veth pair: give it a delay"):
            network.set_link("a", "b", delay="1ms")
        with pytest.raises(NetworkError, match="no node is named c; there are ha, hb, a, b"):
            network.set_link("a", "c", delay="1ms")
        with pytest.raises(NetworkError, match="no link joins a and hb"):
            network.set_link("a", "hb", delay="1ms")
        with pytest.raises(NetworkError, match=r"link a, b: must not be negative \(got -1ms\)"):
            network.set_link("a", "b", delay="-1ms")
        with pytest.raises(NetworkError, match="carried by the kernel"):
            network.link_counters("a", "b")


def test_counters_tell_where_frames_went():
    with Network(wire("loss: 100%"), emulation="linkem") as network:
        a, b = ends(network)
        for number in range(10):
            b.send(frame(number))
        network.set_link("a", "b", loss=0)
        b.send(frame(11))
        assert numbers(a, count=1) == [11]
        forth, back = network.link_counters("a", "b")
        assert (forth.received, forth.sent) == (0, 0)
        assert (back.received, back.sent, back.lost, back.dropped) == (11, 1, 10, 0)


def transfer(network, source, destination, size):
    """Send octets by TCP and return whether they came intact."""
    data = b"".join(hashlib.sha256(struct.pack("!I", number)).digest() for number in range(size // 32))
    listener = tcp_listener(network, destination)
    address = (str(network.plan.hosts[destination].address), listener.getsockname()[1])
    client = tcp_connect(network, source, address)
    server, peer = listener.accept()
    server.settimeout(20)
    assert peer[0] == str(network.plan.hosts[source].address)

    def send():
        client.sendall(data)
        client.shutdown(socket.SHUT_WR)

    sender = threading.Thread(target=send)
    sender.start()
    received = b"".join(iter(lambda: server.recv(1 << 16), b""))
    sender.join()
    for item in (listener, client, server):
        item.close()
    return received == data


@pytest.mark.parametrize(
    "link", ["delay: 2ms, loss: 1%", "delay: 1ms, rate: 50mbit", "delay: 1ms, mtu: 9000"]
)
def test_a_tcp_transfer_is_intact(mode, link):
    topology = wire(link)
    with Network(topology, emulation=mode, runner=KernelRouters(Plan(topology))) as network:
        assert transfer(network, "ha", "hb", 1 << 20)


def test_checksums_and_segments_left_to_the_network_card_survive_the_emulator():
    topology = wire("delay: 1ms")
    with Network(
        topology, emulation="linkem", emulate_all=True, runner=KernelRouters(Plan(topology))
    ) as network:
        for host in ("ha", "hb"):
            call_in(network.netns(host), lambda: namespaces.set_offloads("eth0", tx=True, tso=True, gso=True))
        assert transfer(network, "ha", "hb", 1 << 20)
        forth, _ = network.link_counters("ha", "a")
        assert forth.received < (1 << 20) / 1448, "no frame was larger than the MTU: nothing was tested"


def test_a_host_has_the_delay_of_its_access_link_beside_the_others(mode):
    topology = wire("delay: 5ms")
    host = topology.hosts["ha"].model_copy(update={"delay_us": 10_000})
    topology = topology.model_copy(update={"hosts": {**topology.hosts, "ha": host}})
    with Network(topology, emulation=mode, runner=KernelRouters(Plan(topology))) as network:
        one, other = udp(network, "ha"), udp(network, "hb", port=7)
        address = (str(network.plan.hosts["hb"].address), 7)
        best = 1.0
        for _ in range(5):
            begin = time.monotonic()
            one.sendto(b"there", address)
            data, back = other.recvfrom(100)
            other.sendto(data, back)
            assert one.recv(100) == b"there"
            best = min(best, time.monotonic() - begin)
        assert 0.030 <= best < 0.036


def test_without_a_compiler_one_line_says_what_to_install(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(emulation.shutil, "which", lambda _name: None)
    with pytest.raises(EmulationError, match="install one with `apt-get install gcc libc6-dev`"):
        emulation.compiled()


def test_the_emulator_is_compiled_once(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    program = emulation.compiled()
    assert program.parent == tmp_path / "p4cats"
    monkeypatch.setattr(emulation.shutil, "which", lambda _name: None)
    assert emulation.compiled() == program
    assert list(program.parent.iterdir()) == [program]
