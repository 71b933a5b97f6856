"""A switch process in a namespace with hosts around it; everything is removed by `close`."""

from __future__ import annotations

import os
import re
import selectors
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import TracebackType

HERE = Path(__file__).parent


_ECHO = """
import socket
s = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
s.bind(("::", 7))
print("up", flush=True)
while True:
    s.sendto(*s.recvfrom(65536))
"""
_ASK = """
import socket, sys
s = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
s.settimeout(0.3)
s.connect((sys.argv[1], 7))
answers = 0
for i in range(int(sys.argv[2])):
    packet = i.to_bytes(4, "big") + bytes(int(sys.argv[3]) - 4)
    s.send(packet)
    try:
        while True:
            found = s.recv(65536)
            if found == packet:
                answers += 1
                break
    except TimeoutError:
        pass
print(answers)
"""


def run(*argv: str, check: bool = True) -> str:
    return subprocess.run(argv, check=check, capture_output=True, text=True).stdout


class Network:
    """Hosts h1, h2, … each on a port of one switch, 2001:db8:N::1 in 2001:db8:N::/48."""

    def __init__(self, hosts: int = 2, mtu: int = 1500) -> None:
        self.tag = f"x{os.getpid() % 10000}"
        self.hosts = hosts
        self.process: subprocess.Popen[bytes] | None = None
        self.switch = f"{self.tag}s"
        run("ip", "netns", "add", self.switch)
        for i in range(1, hosts + 1):
            run("ip", "netns", "add", self.host(i))
            self.connect(i, mtu)

    def host(self, i: int) -> str:
        return f"{self.tag}h{i}"

    def connect(self, i: int, mtu: int = 1500) -> None:
        host = self.host(i)
        peer = ("type", "veth", "peer", "name", "eth0", "mtu", str(mtu), "netns", host)
        run("ip", "-n", self.switch, "link", "add", f"p{i}", "mtu", str(mtu), *peer)
        run("ip", "-n", self.switch, "link", "set", f"p{i}", "up")
        run("ip", "-n", host, "link", "set", "eth0", "address", f"02:00:00:00:00:0{i}", "up")
        run("ip", "-n", host, "link", "set", "lo", "up")
        run("ip", "netns", "exec", host, "ethtool", "-K", "eth0", "tx", "off", "tso", "off", "gso", "off")
        run("ip", "-n", host, "addr", "add", f"2001:db8:{i}::1/48", "dev", "eth0", "nodad")
        run("ip", "-n", host, "-6", "route", "add", "2001:db8::/32", "via", "fe80::1", "dev", "eth0")
        neighbor = ("lladdr", "02:00:00:00:ff:ff", "dev", "eth0", "nud", "permanent")
        run("ip", "-n", host, "-6", "neigh", "add", "fe80::1", *neighbor)

    def start(self, program: Path, *options: str) -> str:
        """Start the switch; its P4Runtime address."""
        argv = [sys.executable, "-m", "p4cats", "switch", "--target", "xdp", "--netns", self.switch]
        argv += ["--pipeline", str(program), "--p4runtime", "127.0.0.1:0", "--device-id", "1", *options]
        for i in range(1, self.hosts + 1):
            argv += ["--port", f"{i}@p{i}"]
        self.process = subprocess.Popen(argv, stdout=subprocess.PIPE)
        assert self.process.stdout is not None
        with selectors.DefaultSelector() as selector:
            selector.register(self.process.stdout, selectors.EVENT_READ)
            assert selector.select(30), "the switch did not start within 30 s"
        line = self.process.stdout.readline().decode()
        found = re.match(r"ready p4runtime=(\S+)", line)
        assert found, line
        return found[1]

    def stop(self, number: int = signal.SIGTERM) -> None:
        if self.process is not None:
            self.process.send_signal(number)
            self.process.wait(10)
            if self.process.stdout is not None:
                self.process.stdout.close()
            self.process = None

    def xdp(self, netns: str, interface: str) -> str:
        """native, generic or none."""
        shown = run("ip", "-n", netns, "-d", "link", "show", interface)
        if "xdpgeneric" in shown:
            return "generic"
        return "native" if "prog/xdp" in shown else "none"

    def echo(self, source: int, destination: int, count: int = 20, size: int = 64) -> int:
        """How many UDP datagrams of `count` come back."""
        there = subprocess.Popen(
            ["ip", "netns", "exec", self.host(destination), sys.executable, "-c", _ECHO],
            stdout=subprocess.PIPE,
        )
        try:
            assert there.stdout is not None
            assert there.stdout.readline()
            return self.ask(source, destination, count, size)
        finally:
            there.kill()
            there.wait()
            if there.stdout is not None:
                there.stdout.close()

    def ask(self, source: int, destination: int, count: int, size: int = 64) -> int:
        """The same where somebody answers already."""
        argv = [sys.executable, "-c", _ASK, f"2001:db8:{destination}::1", str(count), str(size)]
        return int(run("ip", "netns", "exec", self.host(source), *argv))

    def __enter__(self) -> Network:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        self.stop(signal.SIGKILL)
        for name in (self.switch, *(self.host(i) for i in range(1, self.hosts + 1))):
            run("ip", "netns", "del", name, check=False)


def wait_for(what: str, test: object, seconds: float = 10) -> None:
    """Poll until `test()` is true."""
    assert callable(test)
    end = time.monotonic() + seconds
    while not test():
        assert time.monotonic() < end, f"{what}: not within {seconds:.0f} s"
        time.sleep(0.05)
