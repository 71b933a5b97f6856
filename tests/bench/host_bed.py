"""A host that serves, an agent on it, and load from its neighbour: shared by benches of the host hooks."""

from __future__ import annotations

import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from ipaddress import IPv6Address
from pathlib import Path

from p4cats import netns
from p4cats.ebpf import build
from p4cats.ebpf.agent import Agent
from p4cats.ebpf.config import AgentConfig

EBPF_TESTS = Path(__file__).resolve().parents[1] / "ebpf"
sys.path.insert(0, str(EBPF_TESTS))
from ebpf_hosts import PORT, SERVICE, Hosts, make_hosts  # noqa: E402, F401

Rows = Iterator[tuple[str, str, list[float]]]

_LISTENER = """
import http.server, socketserver, sys

class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self):
        self.rfile.read(int(self.headers["content-length"]))
        self.send_response(200)
        self.send_header("content-length", "2")
        self.end_headers()
        self.wfile.write(b"{}")

    def address_string(self):
        return "agent"

with socketserver.UnixStreamServer(sys.argv[1], Handler) as server:
    print("ready", flush=True)
    server.serve_forever()
"""


def agent_of(
    hosts: Hosts, directory: Path, *, instances: int = 1, forwarders: int = 1, reports: bool = False
) -> Agent:
    """An agent for instances at the first server, which tells so many forwarders of each; not started."""
    common = {
        "port": PORT,
        "workers": 64,
        "service_time_us": 50,
        "idle_w": 50,
        "peak_w": 150,
        "beacons": [f"fd00:3::{n + 1:x}" for n in range(forwarders)],
        "key_id": 1,
        "key": "0001020304050607",
    }
    document = {
        "hosts": [
            {
                "netns": str(hosts.servers[1]),
                "interface": "s1",
                "instances": [
                    {"instance": n + 1, "address": str(IPv6Address(SERVICE) + n), **common}
                    for n in range(instances)
                ],
            }
        ],
        "pin_dir": f"/sys/fs/bpf/p4cats-bench/{directory.name}",
        "run_dir": str(directory),
        "controller_socket": str(directory / "controller.sock") if reports else None,
        "power": "model",
    }
    return Agent(AgentConfig.model_validate(document))


@contextmanager
def running(
    hosts: Hosts, *, instances: int = 1, forwarders: int = 1, reports: bool = False
) -> Iterator[Agent]:
    """An agent that stamps with a key and serves in a thread; `reports`: to a listener that says "{}"."""
    with tempfile.TemporaryDirectory() as name, ExitStack() as stack:
        directory = Path(name)
        if reports:
            stack.enter_context(_listener(directory / "controller.sock"))
        agent = agent_of(hosts, directory, instances=instances, forwarders=forwarders, reports=reports)
        agent.start()
        stack.callback(agent.stop)
        thread = threading.Thread(target=agent.serve, name="p4cats-serve")
        thread.start()
        stack.callback(thread.join)
        stack.callback(agent.end)
        yield agent


def agent_cpu_s() -> float:
    """CPU time of the threads of agents that run in this process, in seconds."""
    threads = [thread for thread in threading.enumerate() if thread.name.startswith("p4cats-")]
    return sum(time.clock_gettime(time.pthread_getcpuclockid(t.ident)) for t in threads if t.ident)


@contextmanager
def _ready(process: subprocess.Popen[str]) -> Iterator[None]:
    """A process that says when it is ready, and is killed at the end."""
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        yield
    finally:
        process.kill()
        process.communicate()


@contextmanager
def _listener(path: Path) -> Iterator[None]:
    """A process that answers reports and does nothing with them."""
    argv = [sys.executable, "-c", _LISTENER, path]
    with _ready(subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)):
        yield


@contextmanager
def requests_tool() -> Iterator[Path]:
    """The compiled load generator."""
    with tempfile.TemporaryDirectory() as directory:
        tool = Path(directory) / "requests"
        source = Path(__file__).with_name("requests.c")
        subprocess.run([build.clang()[0], "-O2", "-o", tool, source, "-lpthread"], check=True)
        yield tool


def spawn(namespace: Path, *argv: str | Path) -> subprocess.Popen[str]:
    with netns.entered(namespace):
        return subprocess.Popen([*map(str, argv)], stdout=subprocess.PIPE, text=True)


@contextmanager
def serving(hosts: Hosts, tool: Path, *where: str) -> Iterator[None]:
    """A server at the first host; `where`: a command before it."""
    with _ready(spawn(hosts.servers[1], *where, tool, "serve", SERVICE, str(PORT))):
        yield


def forwarders_at(hosts: Hosts) -> None:
    """Let the client's host be any number of forwarders."""
    for namespace, route in (
        (hosts.client, "local fd00:3::/64 dev lo"),
        (hosts.servers[1], "fd00:3::/64 via fd00:1::2"),
    ):
        subprocess.run(["ip", "-n", namespace.name, "-6", "route", "add", *route.split()], check=True)


def services_at(hosts: Hosts, count: int) -> None:
    """Let the first server hold so many service addresses."""
    for n in range(1, count):
        address = f"{IPv6Address(SERVICE) + n}/128"
        subprocess.run(
            ["ip", "-n", hosts.servers[1].name, "addr", "add", address, "dev", "lo", "nodad"], check=True
        )


def differences(ours: list[float], others: list[float]) -> list[float]:
    """Pair by pair."""
    return [a - b for a, b in zip(ours, others, strict=True)]
