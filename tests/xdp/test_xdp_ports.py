"""The xdp target on veth pairs: packets between hosts, interfaces that come and go, what is left behind."""

from __future__ import annotations

import fcntl
import os
import selectors
import signal
import struct
import subprocess
import sys
import threading
from collections.abc import Iterator

import pytest
from xdp_network import HERE, Network, run, wait_for

from p4cats.netns import entered as netns_entered

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


def open_tap(netns: str, name: str) -> int:
    """The descriptor of a new tap interface: frames that the switch sends come out, frames go in."""
    with netns_entered(netns):
        tap = os.open("/dev/net/tun", os.O_RDWR | os.O_CLOEXEC)
        fcntl.ioctl(tap, 0x400454CA, struct.pack("16sH22x", name.encode(), 0x1002))  # TUNSETIFF: TAP, NO_PI
    run("ip", "-n", netns, "link", "set", name, "up")
    return tap


def echo_frames(tap: int, ended: threading.Event) -> None:
    """Send UDP datagrams back where they came from; their checksum stays right."""
    with selectors.DefaultSelector() as selector:
        selector.register(tap, selectors.EVENT_READ)
        while not ended.is_set():
            if selector.select(0.1) and (f := os.read(tap, 65536))[12:14] == b"\x86\xdd" and f[20] == 17:
                ports = f[56:58] + f[54:56]
                os.write(tap, f[6:12] + f[:6] + f[12:22] + f[38:54] + f[22:38] + ports + f[58:])


def test_a_tap_interface_is_a_port(network: Network) -> None:
    run("ip", "-n", network.switch, "link", "del", "p2")
    tap = open_tap(network.switch, "p2")
    ended = threading.Event()
    echo = threading.Thread(target=echo_frames, args=(tap, ended))
    try:
        network.start(PROGRAM)
        assert network.xdp(network.switch, "p2") != "none"
        echo.start()
        assert network.ask(1, 2, 20) == 20
    finally:
        ended.set()
        if echo.ident is not None:
            echo.join()
        os.close(tap)


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
