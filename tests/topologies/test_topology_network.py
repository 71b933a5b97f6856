"""The network that Mininet builds: what nodes see, how programs run in them, and what fails clearly."""

import os
import select
import subprocess
import sys
import time
from pathlib import Path

import pytest
from topology_helpers import KernelRouters, raw_socket, udp, wire

from p4cats import topologies
from p4cats.topologies import cleanup
from p4cats.topologies import network as network_module
from p4cats.topologies.addressing import Plan
from p4cats.topologies.emulation import Impairment
from p4cats.topologies.network import Network, NetworkError
from p4cats.topologies.schema import load

pytestmark = pytest.mark.root

EXAMPLE = Path(__file__).parents[2] / "topologies" / "edge-cloud.yaml"


@pytest.fixture(scope="module")
def routed():
    """The example with Linux routers in place of its switches."""
    topology = load(EXAMPLE)
    with Network(topology, runner=KernelRouters(Plan(topology))) as network:
        yield network


def test_interfaces_have_the_names_macs_and_mtu_of_the_plan(routed):
    for switch in routed.plan.switches.values():
        said = routed.run(switch.name, ["ip", "-o", "link"]).stdout
        for port in switch.ports.values():
            line = next(line for line in said.splitlines() if f" {port.interface}@" in line)
            assert f"link/ether {port.mac} " in line
            assert f" mtu {port.mtu} " in line
    for host in routed.plan.hosts.values():
        assert f"link/ether {host.mac} " in routed.run(host.name, ["ip", "-o", "link", "show", "eth0"]).stdout


def test_every_pair_of_hosts_is_as_far_apart_as_the_plan_says(routed):
    hosts = list(routed.plan.hosts.values())
    sockets = {host.name: udp(routed, host.name, port=7) for host in hosts}
    for one in hosts:
        for other in hosts:
            if one.name < other.name:
                path = routed.plan.path(one.switch, other.switch)
                begin = time.monotonic()
                sockets[one.name].sendto(b"x", (str(other.address), 7))
                _, back = sockets[other.name].recvfrom(100)
                assert back[0] == str(one.address)
                sockets[other.name].sendto(b"y", back)
                assert sockets[one.name].recv(100) == b"y"
                assert 2e-6 * path.delay_us <= time.monotonic() - begin < 2e-6 * path.delay_us + 0.5


def test_a_server_answers_from_the_service_address(routed):
    service = str(routed.topology.services["chat"].address)
    server = udp(routed, "chat-edge1", service, 9)
    client = udp(routed, "clients1")
    server.sendto(b"hello", (str(routed.plan.hosts["clients1"].address), client.getsockname()[1]))
    assert client.recvfrom(100)[1][:2] == (service, 9)


def test_programs_in_a_node_see_the_file_systems_of_their_parent(routed):
    spaces = routed.run("clients1", ["readlink", "/proc/self/ns/net", "/proc/self/ns/mnt"]).stdout.split()
    assert spaces == [os.readlink(routed.netns("clients1")), os.readlink("/proc/self/ns/mnt")]
    assert os.readlink(f"/proc/{routed.mininet['clients1'].pid}/ns/mnt") == os.readlink("/proc/self/ns/mnt")


def test_the_root_namespace_has_no_interface_of_the_network(routed):
    names = {
        line.split(":")[1].split("@")[0].strip()
        for line in subprocess.run(
            ["ip", "-o", "link"], capture_output=True, text=True, check=True
        ).stdout.splitlines()
    }
    ports = {port.interface for switch in routed.plan.switches.values() for port in switch.ports.values()}
    assert not names & ports  # fmt: skip


def test_a_failed_command_tells_its_exit_code_and_a_missing_one_its_name(routed):
    with pytest.raises(subprocess.CalledProcessError) as caught:
        routed.run("clients1", ["sh", "-c", "echo reason >&2; exit 3"])
    assert (caught.value.returncode, caught.value.stderr) == (3, "reason\n")
    assert routed.run("clients1", ["false"], check=False).returncode == 1
    with pytest.raises(FileNotFoundError, match="nosuchprogram: not installed"):
        routed.run("clients1", ["nosuchprogram"])
    with pytest.raises(NetworkError, match="no node is named nobody"):
        routed.run("nobody", ["true"])
    with pytest.raises(subprocess.TimeoutExpired):
        routed.run("clients1", ["sleep", "60"], timeout_s=0.05)


def test_the_console_of_mininet_works_on_names_with_a_hyphen(routed, tmp_path, capsys):
    script = tmp_path / "script"
    script.write_text("nodes\nchat-edge1 ip -6 -o addr show lo\nclients1 echo chat-edge1\n")
    routed.cli(str(script))
    said = "".join(capsys.readouterr())
    assert "chat-edge1" in said
    assert "2001:db8:ca75::53/128" in said
    assert str(routed.plan.hosts["chat-edge1"].address) in said


def test_the_kernel_says_nothing_on_the_ports_of_a_switch():
    with Network(wire("delay: 1ms")) as network:
        ends = [raw_socket(network, "a", 2), raw_socket(network, "b", 2)]
        network.set_link("a", "b", up=False)
        for end in ends:
            with pytest.raises(OSError, match="Network is down"):
                end.recv(100)
        network.set_link("a", "b", up=True)  # when the kernel would solicit and advertise
        assert select.select(ends, [], [], 0.5)[0] == []


def test_a_host_is_reachable_again_after_its_link_was_down():
    topology = wire()
    routers = KernelRouters(Plan(topology))
    with Network(topology, runner=routers) as network:
        one, other = udp(network, "ha"), udp(network, "hb", port=7)
        network.set_link("a", "ha", up=False)
        with pytest.raises(OSError, match="unreachable"):
            one.sendto(b"x", (str(network.plan.hosts["hb"].address), 7))
        network.set_link("a", "ha", up=True)
        routers.start("a", network.netns("a"), {1: "a-eth1", 2: "a-eth2"})  # Linux forgets routes of a port
        one.sendto(b"x", (str(network.plan.hosts["hb"].address), 7))
        assert other.recv(100) == b"x"


def test_two_networks_of_the_same_topology_do_not_meet():
    topology = load(EXAMPLE)
    with Network(topology) as one, Network(topology) as other:
        assert one.directory != other.directory
        assert os.readlink(one.netns("core")) != os.readlink(other.netns("core"))
        one.set_link("cloud", "core", delay="99ms")
        assert one.link("core", "cloud") == Impairment(delay_us=99_000)
        assert other.link("core", "cloud") == Impairment(delay_us=15_000)


class Recorder:
    """A SwitchRunner that writes down what it is asked, and fails at one switch."""

    def __init__(self, failing=None):
        self.failing = failing
        self.started, self.stopped = {}, []

    def start(self, name, netns, ports):
        self.started[name] = (netns, dict(ports))
        if name == self.failing:
            raise RuntimeError("switch does not start")

    def stop(self, name):
        self.stopped.append(name)


def test_a_runner_gets_the_namespace_and_the_ports_of_each_switch_and_stops_each_once():
    runner = Recorder()
    network = Network(wire(), runner=runner)
    with network:
        netns = {name: network.netns(name) for name in "ab"}
        assert runner.started == {n: (netns[n], {1: f"{n}-eth1", 2: f"{n}-eth2"}) for n in "ab"}
    network.stop()
    assert sorted(runner.stopped) == ["a", "b"]
    with pytest.raises(NetworkError, match="not running"):
        network.netns("a")


def test_a_switch_that_does_not_start_leaves_nothing_behind():
    runner = Recorder("b")
    network = Network(wire("delay: 1ms"), runner=runner)
    with pytest.raises(RuntimeError, match="switch does not start"):
        network.start()
    assert sorted(runner.stopped) == ["a", "b"]
    with pytest.raises(NetworkError, match="not running"):
        _ = network.directory
    assert not list(cleanup.ROOT.glob(f"{os.getpid()}-*-wire"))


def test_another_user_than_root_is_told(monkeypatch):
    monkeypatch.setattr(network_module.os, "geteuid", lambda: 1000)
    with pytest.raises(NetworkError, match=r"^network namespaces need root: run it with sudo$"):
        Network(wire()).start()


def test_a_missing_tool_and_a_missing_mininet_are_named_with_their_package(monkeypatch):
    monkeypatch.setitem(sys.modules, "mininet.cli", None)
    monkeypatch.delitem(sys.modules, "p4cats.topologies.nodes", raising=False)
    monkeypatch.delattr(topologies, "nodes", raising=False)
    with pytest.raises(NetworkError, match=r"^Mininet cannot be imported .*apt-get install mininet"):
        Network(wire()).start()
    monkeypatch.setattr(network_module.shutil, "which", lambda _name: None)
    with pytest.raises(NetworkError, match=r"^ip is not installed: `apt-get install iproute2`$"):
        Network(wire()).start()
