"""The agent on real interfaces: what servers send, what clients get, what is in flight."""

import os
import socket
import struct
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest
from ebpf_hosts import MTU, PORT, Hosts, eventually, option_of
from scapy.layers.inet import TCP, UDP
from scapy.layers.inet6 import IPv6, IPv6ExtHdrHopByHop

from p4cats.ebpf import normalise
from p4cats.ebpf.agent import Agent
from p4cats.ebpf.meter import Metrics
from p4cats.protocol import BEACON_PORT, HBH_BYTES
from p4cats.raw_metrics import DEFINITIONS

pytestmark = pytest.mark.root

Start = Callable[..., Agent]
HOUR_MS = 3_600_000


def metrics_of(agent: Agent, number: int) -> Metrics:
    """Refresh and return the metrics of the instance at a server."""
    agent.refresh()
    return next(m for m in agent.metrics() if m.instance == 100 + number)


def wait_in_flight(agent: Agent, number: int, wanted: int) -> None:
    eventually(
        lambda: metrics_of(agent, number).in_flight == wanted,
        f"{wanted} in flight at server {number}, last seen {metrics_of(agent, number).in_flight}",
    )


def is_udp(packet: IPv6) -> bool:
    return UDP in packet and packet[UDP].dport != BEACON_PORT


def is_beacon(packet: IPv6) -> bool:
    return UDP in packet and packet[UDP].dport == BEACON_PORT


def checksum_holds(packet: IPv6) -> bool:
    layer = TCP if TCP in packet else UDP
    copy = packet.copy()
    sent = copy[layer].chksum
    del copy[layer].chksum
    return bool(IPv6(bytes(copy))[layer].chksum == sent)


# -- stamps


def test_udp_answers_arrive_intact_and_carry_the_option(hosts: Hosts, start_agent: Start):
    hosts.offload(1, False)  # so that checksums are complete on the wire
    agent = start_agent()
    with (
        hosts.server_socket(1, socket.SOCK_DGRAM) as server,
        hosts.client_socket(1, socket.SOCK_DGRAM) as client,
        hosts.capture(1) as capture,
    ):
        client.send(b"question")
        question, asker = server.recvfrom(100)
        server.sendto(b"answer to " + question, asker)
        assert client.recv(100) == b"answer to question"
        packet = capture.wait(is_udp, "the answer")
    assert packet[IPv6ExtHdrHopByHop].nh == 17
    assert packet.plen == HBH_BYTES + packet[UDP].len
    assert checksum_holds(packet)
    option = option_of(packet)
    assert option is not None
    assert option["instance"] == 101
    assert option["in_flight"] == 0  # the answer itself ended the request
    assert option["expected_wait_us"] == 0
    assert 50_000 <= option["power_mw"] <= 150_000
    assert all(0 <= option[score] <= 10 for score in ("norm_fi", "compute", "service", "composed"))
    assert agent.stats()["stamped"] >= 1


@pytest.mark.parametrize("offload", [True, False], ids=["offload on", "offload off"])
def test_a_large_tcp_transfer_arrives_intact_with_every_segment_within_the_mtu(
    hosts: Hosts, start_agent: Start, offload: bool
):
    hosts.offload(1, offload)
    agent = start_agent()
    content = bytes(range(256)) * 16_384  # 4 MiB
    with hosts.server_socket(1, socket.SOCK_STREAM) as server, hosts.capture(1) as capture:
        client, accepted = hosts.connect(1, server)
        sender = threading.Thread(target=lambda: (accepted.sendall(content), accepted.close()))
        sender.start()
        with client, client.makefile("rb") as stream:
            assert stream.read() == content
        sender.join()
        packets = [p for p in capture.read() if TCP in p]
    assert agent.stats()["not_grown"] == 0
    stamped = [p for p in packets if option_of(p)]
    with_data = [p for p in stamped if p.plen > HBH_BYTES + p[TCP].dataofs * 4]
    assert with_data, "no stamp on data"
    if not offload:  # with TSO, veth hands over whole GSO packets
        assert max(len(p) for p in packets) <= MTU
        assert len([p for p in with_data if len(p) > MTU - 60]) > 100  # full segments are stamped
        assert all(checksum_holds(p) for p in packets)


def test_a_datagram_that_fills_the_mtu_is_sent_without_the_option(hosts: Hosts, start_agent: Start):
    hosts.offload(1, False)
    agent = start_agent()
    room = MTU - 40 - 8 - HBH_BYTES
    with (
        hosts.server_socket(1, socket.SOCK_DGRAM) as server,
        hosts.client_socket(1, socket.SOCK_DGRAM) as client,
        hosts.capture(1) as capture,
    ):
        client.send(b"?")
        _, asker = server.recvfrom(100)
        for size in (room, room + 1, room + HBH_BYTES):
            server.sendto(bytes(size), asker)
            assert client.recv(MTU) == bytes(size)
        answers = eventually(
            lambda: len(found := [p for p in capture.read() if is_udp(p)]) == 3 and found, "three answers"
        )
    assert [len(p) for p in answers] == [MTU, MTU + 1 - HBH_BYTES, MTU]
    assert [option_of(p) is not None for p in answers] == [True, False, False]
    assert agent.stats()["no_room"] == 2


@pytest.mark.parametrize("offload", [True, False], ids=["offload on", "offload off"])
@pytest.mark.parametrize("size", [500, MTU - 48])
def test_datagrams_sent_by_udp_gso_are_left_as_they_are(
    hosts: Hosts, start_agent: Start, offload: bool, size: int
):
    hosts.offload(1, offload)
    agent = start_agent()
    contents = [bytes([number]) * size for number in range(10)]
    with (
        hosts.server_socket(1, socket.SOCK_DGRAM) as server,
        hosts.client_socket(1, socket.SOCK_DGRAM) as client,
        hosts.capture(1) as capture,
    ):
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
        client.send(b"?")
        _, asker = server.recvfrom(100)
        server.setsockopt(socket.IPPROTO_UDP, 103, size)  # UDP_SEGMENT
        server.sendto(b"".join(contents), asker)
        assert [client.recv(MTU) for _ in contents] == contents
        found = eventually(lambda: [p for p in capture.read() if is_udp(p)], "answers")
    assert all(option_of(p) is None for p in found)
    assert agent.stats()["udp_gso"] == 1


def test_a_jumbo_frame_is_stamped_up_to_its_links_mtu(hosts: Hosts, start_agent: Start):
    hosts.set_mtu(1, 9000)
    try:
        hosts.offload(1, False)
        start_agent()
        room = 9000 - 40 - 8 - HBH_BYTES
        with (
            hosts.server_socket(1, socket.SOCK_DGRAM) as server,
            hosts.client_socket(1, socket.SOCK_DGRAM) as client,
            hosts.capture(1) as capture,
        ):
            client.send(b"?")
            _, asker = server.recvfrom(100)
            for size in (room, room + 1):
                server.sendto(bytes(size), asker)
                assert client.recv(9000) == bytes(size)
            answers = eventually(
                lambda: len(found := [p for p in capture.read() if is_udp(p)]) == 2 and found, "two answers"
            )
        assert [option_of(p) is not None for p in answers] == [True, False]
    finally:
        hosts.set_mtu(1, MTU)


def test_an_answer_larger_than_the_mtu_is_fragmented_by_its_host_and_arrives(
    hosts: Hosts, start_agent: Start
):
    agent = start_agent()
    with (
        hosts.server_socket(1, socket.SOCK_DGRAM) as server,
        hosts.client_socket(1, socket.SOCK_DGRAM) as client,
    ):
        client.send(b"?")
        _, asker = server.recvfrom(100)
        wait_in_flight(agent, 1, 1)
        server.sendto(bytes(5000), asker)
        assert client.recv(6000) == bytes(5000)
        wait_in_flight(agent, 1, 0)
    assert agent.stats()["fragment"] == 4


def test_a_response_with_a_hop_by_hop_header_of_its_own_stays_as_it_is(hosts: Hosts, start_agent: Start):
    agent = start_agent()
    with (
        hosts.server_socket(1, socket.SOCK_DGRAM) as server,
        hosts.client_socket(1, socket.SOCK_DGRAM) as client,
        hosts.capture(1) as capture,
    ):
        client.send(b"?")
        _, asker = server.recvfrom(100)
        padding = bytes([0, 0, 1, 4, 0, 0, 0, 0])  # one PadN
        server.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_HOPOPTS, padding)
        server.sendto(b"!", asker)
        assert client.recv(10) == b"!"
        packet = capture.wait(lambda p: IPv6ExtHdrHopByHop in p, "the answer")
    assert packet.plen == 8 + 8 + 1
    assert agent.stats()["has_hbh"] == 1


def test_beacons_are_stamped_and_count_as_no_answer(hosts: Hosts, start_agent: Start):
    agent = start_agent()
    with (
        hosts.server_socket(1, socket.SOCK_DGRAM) as server,
        hosts.client_socket(1, socket.SOCK_DGRAM) as client,
        hosts.capture(1) as capture,
    ):
        client.send(b"?")
        server.recvfrom(100)
        wait_in_flight(agent, 1, 1)
        agent.send_beacons()
        agent.send_beacons()
        beacons = eventually(
            lambda: len(found := [p for p in capture.read() if is_beacon(p)]) >= 2 and found, "two beacons"
        )
    options = [option_of(p) for p in beacons]
    assert [o["instance"] for o in options if o] == [101, 101]
    assert [o["in_flight"] for o in options if o] == [1, 1]
    first, second = (o["sequence"] for o in options if o)
    assert second > first
    assert metrics_of(agent, 1).in_flight == 1


def test_stamps_carry_the_load_of_the_moment_without_a_refresh(hosts: Hosts, start_agent: Start):
    agent = start_agent()
    with (
        ExitStack() as stack,
        hosts.server_socket(1, socket.SOCK_STREAM) as server,
        hosts.capture(1) as capture,
    ):
        for _ in range(5):
            for end in hosts.connect(1, server):
                stack.enter_context(end)
        wait_in_flight(agent, 1, 5)
        agent.send_beacons()
        option = option_of(capture.wait(is_beacon, "a beacon"))
    assert option is not None
    assert option["in_flight"] == 5
    assert option["expected_wait_us"] == (5 + 1 - 2) * 10_000 // 2


# -- TCP requests in flight


def test_connections_count_from_established_to_the_servers_close(hosts: Hosts, start_agent: Start):
    agent = start_agent()
    with hosts.server_socket(1, socket.SOCK_STREAM) as server:
        pairs = []
        for number in range(1, 9):
            pairs.append(hosts.connect(1, server))
            wait_in_flight(agent, 1, number)
        pairs[0][0].shutdown(socket.SHUT_WR)  # the client has asked all: CLOSE_WAIT, not answered yet
        assert pairs[0][1].recv(1) == b""
        assert metrics_of(agent, 1).in_flight == 8
        assert metrics_of(agent, 1).wait_us == normalise.expected_wait_us(8, 2, 10_000)
        for left, (client, accepted) in zip(range(7, -1, -1), pairs, strict=True):
            accepted.close()
            wait_in_flight(agent, 1, left)
            client.close()


@pytest.mark.parametrize("end", ["client", "server"])
def test_a_reset_connection_is_no_longer_in_flight(hosts: Hosts, start_agent: Start, end: str):
    agent = start_agent()
    with hosts.server_socket(1, socket.SOCK_STREAM) as server:
        client, accepted = hosts.connect(1, server)
        wait_in_flight(agent, 1, 1)
        resetting, other = (client, accepted) if end == "client" else (accepted, client)
        resetting.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        resetting.close()
        wait_in_flight(agent, 1, 0)
        other.close()


def test_connections_older_than_the_agent_count_too(hosts: Hosts, start_agent: Start):
    with hosts.server_socket(1, socket.SOCK_STREAM) as server:
        old = [hosts.connect(1, server) for _ in range(3)]
        agent = start_agent()
        assert metrics_of(agent, 1).in_flight == 3
        assert metrics_of(agent, 2).in_flight == 0
        new = hosts.connect(1, server)
        wait_in_flight(agent, 1, 4)
        for client, accepted in [*old, new]:
            accepted.close()
            client.close()
        wait_in_flight(agent, 1, 0)


def test_the_same_service_address_is_counted_per_namespace(hosts: Hosts, start_agent: Start):
    agent = start_agent()
    with (
        ExitStack() as stack,
        hosts.server_socket(1, socket.SOCK_STREAM) as first,
        hosts.server_socket(2, socket.SOCK_STREAM) as second,
    ):
        for number, server, connections in ((1, first, 2), (2, second, 3)):
            for _ in range(connections):
                for end in hosts.connect(number, server):
                    stack.enter_context(end)
        wait_in_flight(agent, 1, 2)
        wait_in_flight(agent, 2, 3)


def test_connections_to_other_ports_do_not_count(hosts: Hosts, start_agent: Start, config: dict[str, Any]):
    config["hosts"][0]["instances"][0]["port"] = PORT + 1
    agent = start_agent()
    with hosts.server_socket(1, socket.SOCK_STREAM) as server:
        client, accepted = hosts.connect(1, server)
        client.send(b"x")
        assert accepted.recv(1) == b"x"  # established for sure
        assert metrics_of(agent, 1).in_flight == 0
        client.close()
        accepted.close()


def test_a_connection_that_is_kept_open_counts_while_it_waits_for_an_answer(
    hosts: Hosts, start_agent: Start, config: dict[str, Any]
):
    config["hosts"][0]["instances"][0] |= {"tcp_request": "exchange", "measure_service_time": True}
    with hosts.server_socket(1, socket.SOCK_STREAM) as server:
        old, served = hosts.connect(1, server)
        agent = start_agent(request_ttl_ms=600_000)
        client, accepted = hosts.connect(1, server)
        for _ in range(3):
            for asking, answering in ((client, accepted), (old, served)):
                asking.send(b"?")
                assert answering.recv(1) == b"?"
            wait_in_flight(agent, 1, 2)
            for asking, answering in ((client, accepted), (old, served)):
                answering.send(b"!")
                assert asking.recv(1) == b"!"
            wait_in_flight(agent, 1, 0)
        assert 0 < metrics_of(agent, 1).service_time_us < 10_000_000
        client.send(b"?")
        wait_in_flight(agent, 1, 1)
        accepted.close()
        wait_in_flight(agent, 1, 0)
        client.close()
        old.send(b"?")
        wait_in_flight(agent, 1, 1)
        agent.config = agent.config.model_copy(update={"request_ttl_ms": 1})
        serving = threading.Thread(target=agent.serve)
        serving.start()
        try:
            eventually(lambda: agent.metrics()[0].in_flight == 0, "that the agent gives it up by itself")
        finally:
            agent.end()
            serving.join()
        for end in (old, served):
            end.close()


# -- UDP requests in flight


def test_datagrams_count_until_answered(hosts: Hosts, start_agent: Start):
    agent = start_agent()
    with ExitStack() as stack:
        server = stack.enter_context(hosts.server_socket(1, socket.SOCK_DGRAM))
        clients = [stack.enter_context(hosts.client_socket(1, socket.SOCK_DGRAM)) for _ in range(6)]
        for client in clients:
            client.send(b"?")
        askers = [server.recvfrom(100)[1] for _ in clients]
        wait_in_flight(agent, 1, 6)
        for left, asker in zip(range(5, -1, -1), askers, strict=True):
            server.sendto(b"!", asker)
            wait_in_flight(agent, 1, left)


def test_requests_that_are_never_answered_age_out(hosts: Hosts, start_agent: Start):
    agent = start_agent(request_ttl_ms=1)
    with (
        hosts.server_socket(1, socket.SOCK_DGRAM) as server,
        hosts.client_socket(1, socket.SOCK_DGRAM) as client,
        hosts.capture(1) as capture,
    ):
        for _ in range(3):
            client.send(b"?")
        asker = {server.recvfrom(100)[1] for _ in range(3)}.pop()
        assert metrics_of(agent, 1).in_flight == 3
        eventually(lambda: agent.age_requests() or metrics_of(agent, 1).in_flight == 0, "requests given up")
        # A late answer does not make the count wrong, and stamps know of the ageing.
        server.sendto(b"!", asker)
        assert client.recv(10) == b"!"
        option = option_of(capture.wait(is_udp, "the late answer"))
        client.send(b"?")
        server.recvfrom(100)
        wait_in_flight(agent, 1, 1)
    assert option is not None
    assert option["in_flight"] == 0


# -- the node


def test_service_time_is_learnt_from_requests_that_found_a_free_worker(
    hosts: Hosts, start_agent: Start, config: dict[str, Any]
):
    instance = config["hosts"][0]["instances"][0]
    instance |= {"measure_service_time": True, "service_time_us": 60_000_000}
    agent = start_agent()
    with hosts.server_socket(1, socket.SOCK_STREAM) as server:
        for _ in range(30):
            client, accepted = hosts.connect(1, server)
            accepted.close()
            client.close()
        wait_in_flight(agent, 1, 0)
        assert metrics_of(agent, 1).service_time_us < 10_000_000  # a minute was believed before


@contextmanager
def busy_processes(count: int, cpu: int) -> Iterator[list[subprocess.Popen[bytes]]]:
    """Processes that want all of one CPU."""
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", f"import os; os.sched_setaffinity(0, {{{cpu}}})\nwhile True: pass"]
        )
        for _ in range(count)
    ]
    try:
        yield processes
    finally:
        for process in processes:
            process.kill()
            process.wait()


def test_run_queue_latency_and_cpu_use_are_those_of_the_kernels_accounts(hosts: Hosts, start_agent: Start):
    agent = start_agent()
    cpu = min(os.sched_getaffinity(0))
    with busy_processes(4, cpu) as processes:

        def waits() -> list[tuple[int, int]]:
            """Nanoseconds waited and times run, of each process."""
            texts = [Path(f"/proc/{p.pid}/schedstat").read_text().split() for p in processes]
            return [(int(text[1]), int(text[2])) for text in texts]

        eventually(lambda: all(times > 20 for _, times in waits()), "that all run")
        # Others wait less: their share of the mean is what the margin is for.
        least_us = 0.2 * sum(ns for ns, _ in waits()) / sum(times for _, times in waits()) / 1000
        eventually(lambda: metrics_of(agent, 1).run_queue_us > least_us, f"waits of {least_us:.0f} µs")
        share = 1 / (os.cpu_count() or 1)
        eventually(lambda: metrics_of(agent, 1).raw["cpu_use"] > 0.9 * share, "a CPU in use")


def test_the_agent_looks_by_itself_when_the_nodes_load_has_moved(hosts: Hosts, start_agent: Start):
    agent = start_agent(beacon_interval_ms=HOUR_MS, refresh_interval_ms=HOUR_MS, report_interval_ms=HOUR_MS)
    server = threading.Thread(target=agent.serve)
    server.start()
    try:
        eventually(lambda: agent.looks, "the first look")
        looks = agent.looks
        with busy_processes(8, min(os.sched_getaffinity(0))):
            eventually(lambda: agent.looks > looks, "a look")
    finally:
        agent.end()
        server.join()


def test_connections_that_find_no_room_are_counted_as_such(hosts: Hosts, start_agent: Start):
    agent = start_agent(tcp_connections=8)
    with ExitStack() as stack, hosts.server_socket(1, socket.SOCK_STREAM) as server:
        ends = [hosts.connect(1, server) for _ in range(20)]
        for pair in ends:
            stack.enter_context(pair[0]), stack.enter_context(pair[1])
        eventually(
            lambda: metrics_of(agent, 1).in_flight + agent.stats()["untracked"] == 20,
            "all twenty",
        )
        assert metrics_of(agent, 1).in_flight == 8
        for _, accepted in ends:
            accepted.close()
        wait_in_flight(agent, 1, 0)


def test_every_raw_metric_is_reported_and_defined(hosts: Hosts, start_agent: Start):
    agent = start_agent()
    with hosts.server_socket(1, socket.SOCK_STREAM):
        waiting = [hosts.client_socket(1, socket.SOCK_STREAM) for _ in range(3)]
        for client in waiting:
            client.connect(("fd00:cafe::1", PORT))
        wait_in_flight(agent, 1, 3)
        raw = eventually(
            lambda: (r := metrics_of(agent, 1).raw)["accept_backlog"] == 3 and r, "three that nobody accepts"
        )
        for client in waiting:
            client.close()
    assert raw.keys() == DEFINITIONS.keys()
    assert raw["in_flight"] == 3
    assert raw["requests_per_s"] > 0
    assert 0 < raw["cpu_use"] <= 1
    assert raw["received_bps"] >= 0
    assert all(d.unit and d.meaning for d in DEFINITIONS.values())


def test_the_cpu_time_of_a_service_is_that_of_its_processes(hosts: Hosts, start_agent: Start):
    with hosts.server_socket(1, socket.SOCK_STREAM):  # by this very process
        agent = start_agent()

        def cores() -> float | None:
            sum(range(300_000))
            return metrics_of(agent, 1).raw["cpu_cores"]

        eventually(lambda: (cores() or 0) > 0.1, "a process that keeps a CPU busy")
        assert metrics_of(agent, 2).raw["cpu_cores"] is None


def test_the_agent_serves_by_itself(hosts: Hosts, start_agent: Start):
    agent = start_agent(beacon_interval_ms=10, refresh_interval_ms=10, report_interval_ms=10)
    reports: list[Any] = []
    told: list[Any] = []
    agent._report = lambda report: (reports.append(report.metrics), told.append(report.stamping))
    server = threading.Thread(target=agent.serve)
    server.start()
    try:
        with hosts.capture(2) as capture:
            eventually(lambda: len([p for p in capture.read() if is_beacon(p)]) >= 5, "five beacons")
            eventually(lambda: len(reports) >= 3, "three reports")
    finally:
        agent.end()
        server.join()
    assert told[0].agent == str(agent.config.run_dir)
    assert told[0].packets.keys() == agent.stats().keys()
    assert None in told, "once a second is enough"
    assert [m.instance for m in reports[-1]] == [101, 102]
    assert reports[-1][1].seq >= 1
    assert reports[-1][1].as_report()["scores"].keys() == {
        *("norm_fi", "compute", "communication", "service", "composed"),
    }
