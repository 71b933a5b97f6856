"""What a switch tells of its ports and of what it drops, on both targets."""

from __future__ import annotations

import json
import time
from pathlib import Path

import grpc
import pytest
from switch_process import Host, ip, network, running_switch

from p4cats.switch_status import METHOD, SERVICE, PortStatus, SwitchStatus

pytestmark = pytest.mark.root

FORWARDED, DROPPED, NOWHERE = 0x88B5, 0x88B6, 0x8999
PROGRAM = """
#include <core.p4>
#include <v1model.p4>
struct metadata_t {}
header ethernet_t { bit<48> dst; bit<48> src; bit<16> type; }
struct headers_t { ethernet_t ethernet; }
parser Take(packet_in packet, out headers_t hdr, inout metadata_t meta, inout standard_metadata_t sm) {
    state start { packet.extract(hdr.ethernet); transition accept; }
}
control NoVerify(inout headers_t hdr, inout metadata_t meta) { apply {} }
control Steer(inout headers_t hdr, inout metadata_t meta, inout standard_metadata_t sm) {
    apply {
        if (hdr.ethernet.type == 0x88B5) { sm.egress_spec = 2; }
        else if (hdr.ethernet.type == 0x8999) { sm.egress_spec = 9; }
        else { mark_to_drop(sm); }
    }
}
control Leave(inout headers_t hdr, inout metadata_t meta, inout standard_metadata_t sm) { apply {} }
control NoUpdate(inout headers_t hdr, inout metadata_t meta) { apply {} }
control Emit(packet_out packet, in headers_t hdr) { apply { packet.emit(hdr.ethernet); } }
V1Switch(Take(), NoVerify(), Steer(), Leave(), NoUpdate(), Emit()) main;
"""


def frame(ethertype: int) -> bytes:
    return (bytes(12) + ethertype.to_bytes(2, "big")).ljust(100, b"x")


class Asked:
    """A switch that is asked for its status."""

    def __init__(self, address: str) -> None:
        self._channel = grpc.insecure_channel(address)

    def status(self) -> SwitchStatus:
        answer: SwitchStatus = json.loads(self._channel.unary_unary(f"/{SERVICE}/{METHOD}")(b"", timeout=10))
        return answer

    def port(self, number: int) -> PortStatus:
        return next(p for p in self.status()["ports"] if p["port"] == number)

    def packets(self, number: int) -> tuple[int, int]:
        traffic = self.port(number)["traffic"]
        assert traffic is not None
        return traffic["rx_packets"], traffic["tx_packets"]

    def wait_for_state(self, number: int, state: str) -> PortStatus:
        deadline = time.monotonic() + 20
        while (port := self.port(number))["state"] != state:
            assert time.monotonic() < deadline, f"port {number} is {port['state']}, not {state}"
        return port

    def wait_for_drops(self, expected: dict[str, int]) -> None:
        deadline = time.monotonic() + 20
        while not expected.items() <= self.status()["drops"].items():
            assert time.monotonic() < deadline, f"{self.status()['drops']} is not {expected}"


def send(host: Host, ethertype: int, count: int) -> None:
    for _ in range(count):
        host.send(frame(ethertype))


@pytest.fixture
def program(tmp_path: Path) -> Path:
    path = tmp_path / "program.p4"
    path.write_text(PROGRAM)
    return path


@pytest.mark.parametrize(("target", "mode"), [("xdp", "native"), ("model", "model")])
def test_ports_count_what_passes_and_the_switch_what_it_drops(program: Path, target: str, mode: str) -> None:
    with network(2) as net, running_switch("--target", target, "--pipeline", program, *net.ports) as switch:
        asked = Asked(switch.address)
        assert asked.status()["target"] == target
        assert asked.status()["generic_because"] is None
        for number in (1, 2):
            assert asked.wait_for_state(number, "up")["mode"] == mode
        one, two = net.hosts
        before = asked.packets(1), asked.packets(2)
        send(one, FORWARDED, 5)
        for _ in range(5):
            two.receive(FORWARDED)
        send(one, DROPPED, 3)
        send(one, NOWHERE, 2)
        asked.wait_for_drops({"ingress": 3, "no egress port": 2})
        received, sent = asked.packets(1)[0] - before[0][0], asked.packets(2)[1] - before[1][1]
        assert (received, sent) == (10, 5)
        assert asked.port(1)["drops"] == asked.port(2)["drops"] == {}


@pytest.mark.parametrize(("target", "reason"), [("xdp", (1, "receive")), ("model", (2, "interface down"))])
def test_frame_for_a_port_that_is_down_is_counted(
    program: Path, target: str, reason: tuple[int, str]
) -> None:
    with network(2) as net, running_switch("--target", target, "--pipeline", program, *net.ports) as switch:
        asked = Asked(switch.address)
        asked.wait_for_state(1, "up")
        ip("-n", net.switch, "link", "set", "p2", "down")
        asked.wait_for_state(2, "down")
        send(net.hosts[0], FORWARDED, 4)
        deadline = time.monotonic() + 20
        while asked.port(reason[0])["drops"] != {reason[1]: 4}:
            assert time.monotonic() < deadline, asked.status()["ports"]


@pytest.mark.parametrize(("target", "mode"), [("xdp", "native"), ("model", "model")])
def test_port_that_goes_and_comes_back_shows(program: Path, target: str, mode: str) -> None:
    with network(2) as net, running_switch("--target", target, "--pipeline", program, *net.ports) as switch:
        asked = Asked(switch.address)
        asked.wait_for_state(2, "up")
        ip("-n", net.switch, "link", "del", "p2")
        away = asked.wait_for_state(2, "away")
        assert (away["traffic"], away["mode"]) == (None, "none")
        assert asked.port(1)["state"] in ("up", "down")
        peer = ("type", "veth", "peer", "name", "eth0", "netns", net.hosts[1].netns)
        ip("-n", net.switch, "link", "add", "p2", *peer)
        ip("-n", net.switch, "link", "set", "p2", "up")
        ip("-n", net.hosts[1].netns, "link", "set", "eth0", "up")
        assert asked.wait_for_state(2, "up")["mode"] == mode


def test_switch_without_a_program_says_so() -> None:
    with network(1) as net, running_switch("--target", "xdp", *net.ports) as switch:
        asked = Asked(switch.address)
        assert asked.wait_for_state(1, "up")["mode"] == "none"
        send(net.hosts[0], FORWARDED, 2)
        asked.wait_for_drops({"no program": 2})


def test_one_port_without_native_xdp_makes_all_generic_and_is_named(program: Path) -> None:
    with network(1) as net:
        ip("-n", net.switch, "link", "add", "d2", "type", "bridge")
        ip("-n", net.switch, "link", "set", "d2", "up")
        options = ("--target", "xdp", "--pipeline", program, *net.ports, "--port", "2@d2")
        with running_switch(*options) as switch:
            asked = Asked(switch.address)
            assert [port["mode"] for port in asked.status()["ports"]] == ["generic", "generic"]
            assert (asked.status()["generic_because"] or "").startswith("port 2: no native XDP")
            asked.wait_for_state(1, "up")
            before = asked.packets(2)
            send(net.hosts[0], FORWARDED, 3)
            deadline = time.monotonic() + 20
            while asked.packets(2)[1] != before[1] + 3:
                assert time.monotonic() < deadline, asked.status()
