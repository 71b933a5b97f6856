"""Programs on interfaces, in this process: exchange without loss, generic mode, copies by user space."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from collections.abc import Iterator

import pytest
from xdp_network import HERE, Network, run

from p4cats.compiler.driver import compile_file
from p4cats.netns import call_in
from p4cats.switch.dataplane import Replica
from p4cats.switch.xdp import XdpDataPlane
from p4cats.switch.xdp.attach import Attachments

pytestmark = pytest.mark.root
_COUNT = """
import socket
s = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
s.setsockopt(socket.SOL_SOCKET, 33, 1 << 25)
s.bind(("::", 7))
print("up", flush=True)
seen = set()
s.settimeout(10)
while True:
    packet = s.recv(2000)
    s.settimeout(1)
    if packet == b"end":
        break
    seen.add(packet)
print(len(seen), flush=True)
"""
_SEND = """
import socket, sys, time
s = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
s.connect((sys.argv[1], 7))
for i in range(int(sys.argv[2])):
    s.send(i.to_bytes(4, "big"))
    if i % 20 == 0:
        time.sleep(0.001)
time.sleep(0.2)
s.send(b"end")
"""


@pytest.fixture
def network() -> Iterator[Network]:
    with Network() as made:
        yield made


def interfaces(network: Network) -> dict[int, int]:
    shown = json.loads(run("ip", "-n", network.switch, "-j", "link"))
    return {i: next(x["ifindex"] for x in shown if x["ifname"] == f"p{i}") for i in (1, 2)}


def test_pipelines_are_exchanged_without_loss(network: Network) -> None:
    program = compile_file(HERE / "routed.p4")
    attached, found = Attachments(network.switch), interfaces(network)
    planes = [XdpDataPlane(program)]
    attached.activate(planes[0], found)
    try:
        argv = ["ip", "netns", "exec", network.host(2), sys.executable, "-c", _COUNT]
        with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True) as receiver:
            assert receiver.stdout is not None
            assert receiver.stdout.readline() == "up\n"
            argv = [
                "ip",
                "netns",
                "exec",
                network.host(1),
                sys.executable,
                "-c",
                _SEND,
                "2001:db8:2::1",
                "20000",
            ]
            sender = subprocess.Popen(argv)
            stop = threading.Event()
            while sender.poll() is None:
                planes.append(XdpDataPlane(program))
                attached.activate(planes[-1], found)
                planes.pop(0).close()
                stop.wait(0.02)
            assert receiver.stdout.readline() == "20000\n"
    finally:
        attached.close()
        for plane in planes:
            plane.close()


def test_two_switches_share_a_veth_pair(network: Network) -> None:
    """Each finds the other's passing program on its own end, or puts one there: the order does not matter."""
    program = compile_file(HERE / "routed.p4")
    index = dict.fromkeys(("p1", "x1", "p2", "x2"), 0)
    run("ip", "-n", network.switch, "link", "add", "x1", "type", "veth", "peer", "name", "x2")
    for name in ("x1", "x2"):
        run("ip", "-n", network.switch, "link", "set", name, "up")
    for link in json.loads(run("ip", "-n", network.switch, "-j", "link")):
        index[link["ifname"]] = link["ifindex"]
    planes = [XdpDataPlane(program), XdpDataPlane(program)]
    switches = [Attachments(network.switch), Attachments(network.switch)]
    try:
        # h1 - (1) A (2) - (1) B (2) - h2
        switches[0].activate(planes[0], {1: index["p1"], 2: index["x1"]})
        switches[1].activate(planes[1], {1: index["x2"], 2: index["p2"]})
        assert [s.mode for s in switches] == ["native", "native"]
        assert network.echo(1, 2, 20) == 20
        assert network.echo(2, 1, 20) == 20
    finally:
        for switch, plane in zip(switches, planes, strict=True):
            switch.close()
            plane.close()


def test_generic_mode_needs_nothing_of_the_peer(network: Network, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Attachments, "_prepare_peer", lambda *_: "no peer")
    plane, attached = XdpDataPlane(compile_file(HERE / "routed.p4")), Attachments(network.switch)
    try:
        attached.activate(plane, interfaces(network))
        assert attached.modes == {1: "generic", 2: "generic"}
        assert attached.generic_because == "port 1: no peer"
        assert network.xdp(network.switch, "p1") == "generic"
        assert network.echo(1, 2, 20) == 20
        assert network.echo(2, 1, 5, size=1400) == 5
    finally:
        attached.close()
        plane.close()


def test_copies_of_live_frames_are_made(network: Network) -> None:
    sent: list[tuple[int, bytes]] = []
    program = compile_file(HERE / "routed.p4")
    plane = XdpDataPlane(program, lambda port, packet: sent.append((port, packet)))
    attached = Attachments(network.switch)
    try:
        plane.set_multicast_group(1, [Replica(1, 0), Replica(2, 0)])
        attached.activate(plane, interfaces(network))
        send = "import socket; s=socket.socket(socket.AF_INET6, socket.SOCK_DGRAM);"
        send += "s.sendto(b'to all', ('2001:db8:ff::1', 7))"
        run("ip", "netns", "exec", network.host(1), sys.executable, "-c", send)
        call_in(None, plane.injector.work)
        assert sorted(port for port, _ in sent) == [1, 2]
        assert all(packet.endswith(b"to all") for _, packet in sent)
    finally:
        attached.close()
        plane.close()
