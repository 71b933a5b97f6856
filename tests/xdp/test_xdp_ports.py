"""The xdp target on veth pairs: packets between hosts, interfaces that come and go, what is left behind."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Iterator

import pytest
from xdp_network import HERE, Network, run, wait_for

pytestmark = pytest.mark.root
PROGRAM = HERE / "routed.p4"


@pytest.fixture
def network() -> Iterator[Network]:
    with Network() as made:
        yield made


def test_hosts_reach_each_other_by_native_xdp(network: Network) -> None:
    network.start(PROGRAM)
    assert network.xdp(network.switch, "p1") == "native"
    assert network.echo(1, 2, 50) == 50
    assert network.echo(2, 1, 5, size=1400) == 5


def test_nothing_is_left_after_the_end(network: Network) -> None:
    network.start(PROGRAM)
    network.stop()
    assert network.xdp(network.switch, "p1") == "none"
    assert network.xdp(network.host(1), "eth0") == "none"


def test_nothing_is_left_after_sigkill(network: Network) -> None:
    network.start(PROGRAM)
    network.stop(signal.SIGKILL)
    wait_for("XDP detached", lambda: network.xdp(network.switch, "p1") == "none")
    wait_for("peer detached", lambda: network.xdp(network.host(1), "eth0") == "none")


def test_a_port_that_comes_back_forwards_again(network: Network) -> None:
    network.start(PROGRAM)
    run("ip", "-n", network.switch, "link", "del", "p2")
    network.connect(2)
    wait_for("XDP on the new interface", lambda: network.xdp(network.switch, "p2") == "native")
    wait_for("an answer", lambda: network.echo(1, 2, 1) == 1)


def test_jumbo_frames_pass() -> None:
    with Network(mtu=9000) as network:
        network.start(PROGRAM)
        assert network.echo(1, 2, 3, size=8900) == 3


def test_tcp_passes(network: Network) -> None:
    network.start(PROGRAM)
    server = (
        "import socket; s=socket.create_server(('::',5001),family=socket.AF_INET6); print('up',flush=True)\n"
    )
    server += "c,_=s.accept(); n=0\nwhile d:=c.recv(65536): n+=len(d)\nprint(n)"
    argv = ["ip", "netns", "exec", network.host(2), sys.executable, "-c", server]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "up\n"
        client = (
            "import socket; c=socket.create_connection(('2001:db8:2::1',5001)); c.sendall(bytes(5_000_000))"
        )
        run("ip", "netns", "exec", network.host(1), sys.executable, "-c", client)
        assert process.communicate(timeout=20)[0] == "5000000\n"
