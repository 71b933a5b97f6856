"""When the agent sends beacons, by itself: steadily, and early when the expected wait has changed."""

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest
from ebpf_hosts import Hosts, eventually, option_of
from scapy.layers.inet6 import IPv6
from test_ebpf_agent import is_beacon

from p4cats.ebpf.agent import Agent

pytestmark = pytest.mark.root

HOUR_MS = 3_600_000


@pytest.fixture
def agent(start_agent: Callable[..., Agent]) -> Iterator[Agent]:
    """An agent that serves, and sends beacons only when the wait changes."""
    agent = start_agent(beacon_interval_ms=HOUR_MS, refresh_interval_ms=HOUR_MS, beacon_min_ms=1)
    thread = threading.Thread(target=agent.serve)
    thread.start()
    yield agent
    agent.end()
    thread.join()


def wait_told(packet: IPv6) -> int | None:
    option = option_of(packet) if is_beacon(packet) else None
    return option and option["expected_wait_us"]


def test_udp_requests_and_answers_that_change_the_wait_are_told(hosts: Hosts, agent: Agent):
    with (
        ExitStack() as stack,
        hosts.server_socket(1, socket.SOCK_DGRAM) as server,
        hosts.capture(1) as capture,
    ):
        clients = [stack.enter_context(hosts.client_socket(1, socket.SOCK_DGRAM)) for _ in range(5)]
        for client in clients:
            client.send(b"?")
        # Two workers, 10 ms: five in flight make 20 ms.
        capture.wait(lambda p: wait_told(p) == 20_000, "a beacon that tells of the load")
        for _ in clients:
            server.sendto(b"!", server.recvfrom(100)[1])
        capture.wait(lambda p: wait_told(p) == 0, "a beacon that tells of no load")


def test_tcp_requests_and_answers_that_change_the_wait_are_told(hosts: Hosts, agent: Agent):
    with hosts.server_socket(1, socket.SOCK_STREAM) as server, hosts.capture(1) as capture:
        pairs = [hosts.connect(1, server) for _ in range(5)]
        for client, _ in pairs:
            client.send(b"?")
        capture.wait(lambda p: wait_told(p) == 20_000, "a beacon that tells of the load")
        for client, accepted in pairs:
            accepted.close()
            client.close()
        eventually(lambda: wait_told(capture.read()[-1]) == 0, "a beacon that tells of no load")


def test_a_wait_that_stays_the_same_is_told_at_the_interval_only(hosts: Hosts, agent: Agent):
    with (
        hosts.server_socket(1, socket.SOCK_DGRAM) as server,
        hosts.client_socket(1, socket.SOCK_DGRAM) as client,
        hosts.capture(1) as capture,
    ):
        eventually(lambda: agent.stats()["stamped"] >= 2, "the first beacons")
        before = agent.stats()["stamped"]
        for _ in range(50):  # one at a time: a worker is free, the wait stays zero
            client.send(b"?")
            server.sendto(b"!", server.recvfrom(100)[1])
            client.recv(10)
        answers = eventually(
            lambda: len(found := [p for p in capture.read() if not is_beacon(p)]) == 50 and found, "answers"
        )
    assert len(answers) == 50
    assert agent.stats()["stamped"] == before + 50
