from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import threading
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from replay_processes import ServerProcess

from p4cats import protocol
from p4cats.replay import ClientReport, Request, read_report, summarise, wire
from p4cats.replay.exchange import FIRST_PORT, LAST_PORT, Ports

Start = Callable[..., ServerProcess]
Run = Callable[..., ClientReport]
Command = Callable[..., list[str]]
QUICK = ("--service-time", "constant:1ms")
FOREVER = ("--service-time", "constant:1000s")


def mixed(count: int, spacing_s: float = 0.005) -> Sequence[Request]:
    return [Request(at * spacing_s, 1.0, "udp" if at % 2 else "http") for at in range(count)]


def statuses(report: ClientReport) -> Counter[str]:
    return Counter(outcome.status for outcome in report.outcomes)


@pytest.mark.parametrize("address", ["::1", "127.0.0.1"])
def test_every_request_is_sent_answered_and_recorded(
    start_server: Start, run_client: Run, address: str
) -> None:
    server = start_server(*QUICK, "--instance", "7", "--name", "edge1", address=address)
    report = run_client(mixed(100), server.port, "--timeout", "30s", target=address)
    assert (report.name, report.planned, report.complete, report.timeout_s) == ("load", 100, True, 30.0)
    assert statuses(report) == {"ok": 100}
    for outcome, request in zip(report.outcomes, mixed(100), strict=True):
        assert (outcome.scheduled_s, outcome.protocol) == (request.at_s, request.protocol)
        assert (outcome.instance, outcome.site, outcome.service_us) == (7, "edge1", 1000)
        assert request.at_s <= outcome.sent_s < outcome.finished_s
    assert server.status()["served"] == 100


def test_demand_reaches_the_server_by_both_protocols(start_server: Start, run_client: Run) -> None:
    server = start_server(*QUICK)
    report = run_client([Request(0.0, 2.5, "udp"), Request(0.0, 3.5, "http")], server.port)
    assert [outcome.service_us for outcome in report.outcomes] == [2500, 3500]


def test_overload_times_out_and_nothing_is_lost(start_server: Start, run_client: Run) -> None:
    server = start_server("--workers", "1", *FOREVER)
    report = run_client(mixed(60), server.port, "--timeout", "300ms")
    assert statuses(report) == {"timeout": 60}
    assert summarise([report]).p50_ms >= 300
    server.wait_until(lambda status: status["connections"] == 0)


def test_full_queue_is_503_by_http_and_a_timeout_by_udp(start_server: Start, run_client: Run) -> None:
    server = start_server("--workers", "1", "--queue", "0", *FOREVER)
    with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as sock:
        sock.sendto(wire.pack_request(0, 1.0), ("::1", server.port))
        server.wait_until(lambda status: status["busy"] == 1)
    report = run_client(mixed(20), server.port, "--timeout", "1500ms")
    assert statuses(report) == {"timeout": 10, "http_503": 10}
    assert summarise([report]).p50_ms >= 1500


def test_open_loop_sends_on_while_nobody_answers(run_client: Run) -> None:
    sources: list[int] = []
    with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as silent:
        silent.bind(("::1", 0))

        def listen() -> None:
            while len(sources) < 50:
                sources.append(silent.recvfrom(2048)[1][1])

        listener = threading.Thread(target=listen)
        listener.start()
        load = [Request(at * 0.002) for at in range(50)]
        report = run_client(load, silent.getsockname()[1], "--timeout", "200ms")
        listener.join(30)
    assert statuses(report) == {"timeout": 50}
    assert len(set(sources)) == 50  # each request is a flow of its own


def test_nobody_listening_is_refused(run_client: Run) -> None:
    with (
        socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as udp,
        socket.socket(socket.AF_INET6, socket.SOCK_STREAM) as tcp,
    ):
        tcp.bind(("::1", 0))  # bound, not listening: nobody else can take the port meanwhile
        port = tcp.getsockname()[1]
        report = run_client([Request(0.0, 1.0, "http")], port)
        assert statuses(report) == {"refused": 1}
        udp.bind(("::1", 0))
        port = udp.getsockname()[1]
    assert statuses(run_client([Request(0.0, 1.0, "udp")], port)) == {"refused": 1}


def test_server_that_talks_something_else_is_an_error(run_client: Run) -> None:
    with socket.create_server(("::1", 0), family=socket.AF_INET6) as listener:

        def talk() -> None:
            for data in (b"SSH-2.0-something\r\n\r\n", b""):
                connection, _ = listener.accept()
                with connection:
                    connection.recv(2048)
                    connection.sendall(data)

        talker = threading.Thread(target=talk)
        talker.start()
        load = [Request(0.0, 1.0, "http"), Request(0.1, 1.0, "http")]
        report = run_client(load, listener.getsockname()[1])
        talker.join(30)
    assert statuses(report) == {"error": 2}
    assert report.outcomes[0].detail.startswith("no response of an instance server")
    assert report.outcomes[1].detail == "connection closed without a response"


def test_requests_to_a_server_that_dies_are_counted_as_errors(
    start_server: Start, client_command: Command, tmp_path: Path
) -> None:
    server = start_server("--workers", "64", *FOREVER)
    load = [Request(0.0, 1.0, "http")] * 40
    client = subprocess.Popen(
        client_command(load, server.port, "--timeout", "60s"), stdout=subprocess.DEVNULL
    )
    server.wait_until(lambda status: status["busy"] == 40)
    server.process.kill()
    assert client.wait(60) == 0
    report = read_report(tmp_path / "out.json")
    assert statuses(report) == {"error": 40}
    assert all(outcome.detail for outcome in report.outcomes)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_interrupted_client_writes_what_it_has(
    start_server: Start, client_command: Command, tmp_path: Path, number: int
) -> None:
    server = start_server(*FOREVER)
    load = [*mixed(10), Request(1000.0)]
    client = subprocess.Popen(
        client_command(load, server.port, "--timeout", "900s"), stdout=subprocess.DEVNULL
    )
    server.wait_until(lambda status: status["busy"] + status["queued"] == 10)
    client.send_signal(number)
    assert client.wait(30) == 3
    report = read_report(tmp_path / "out.json")
    assert (report.planned, report.complete) == (11, False)
    assert [outcome.detail for outcome in report.outcomes] == ["interrupted"] * 10
    result = summarise([report])
    assert (result.requests, result.errors, result.unsent) == (10, 10, 1)


def test_nobody_reading_its_output_does_not_stop_it(
    start_server: Start, client_command: Command, tmp_path: Path
) -> None:
    server = start_server(*QUICK)
    read_end, write_end = os.pipe()
    try:
        command = client_command(mixed(300, 0.002), server.port, "--interval", "1ms")
        done = subprocess.run(command, stdout=write_end, check=True, timeout=60)
        assert done.returncode == 0
        assert statuses(read_report(tmp_path / "out.json")) == {"ok": 300}
        os.close(write_end)
        write_end = -1
        with open(read_end, "rb", closefd=False) as file:
            lines = file.read().splitlines()
        assert all(json.loads(line)["planned"] == 300 for line in lines)  # whole lines, the rest dropped
    finally:
        os.close(read_end)
        if write_end >= 0:
            os.close(write_end)


def test_clients_told_when_to_start_do_not_start_before(start_server: Start, client_command: Command) -> None:
    server = start_server(*QUICK)
    command = client_command(mixed(5), server.port, "--start-at", "99999999999", "--interval", "10ms")
    client = subprocess.Popen(command, stdout=subprocess.PIPE)
    assert client.stdout is not None
    with client.stdout:
        assert json.loads(client.stdout.readline())["sent"] == 0
        client.terminate()
        assert client.wait(30) == 3
    assert server.status()["served"] == 0


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ("not json\n", ":1: must be one JSON object"),
        ('{"at_s": 1}\n{"at_s": 0.5}\n', ":2: column at_s: goes back in time"),
        ('{"at_s": -1}\n', ":1: column at_s: must be seconds from 0 (got -1)"),
        ('{"at_s": 1, "demand": "x"}\n', ":1: column demand: must be a number from 0 to 4295 (got x)"),
        ('{"at_s": 1, "protocol": "tcp"}\n', ":1: column protocol: must be udp or http (got tcp)"),
        (None, "No such file or directory"),
    ],
)
def test_bad_schedule_is_one_clear_line(
    client_command: Command, tmp_path: Path, content: str | None, told: str
) -> None:
    command = client_command([], 1)
    schedule = tmp_path / "load.jsonl"
    schedule.unlink()
    if content is not None:
        schedule.write_text(content)
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=30)
    assert done.returncode == 1
    assert done.stderr.startswith(f"client: {schedule}")
    assert told in done.stderr
    assert done.stderr.count("\n") == 1


def test_empty_schedule_ends_at_once(run_client: Run) -> None:
    assert run_client([], 1).outcomes == ()


def test_no_free_source_port_is_an_error_not_a_hang() -> None:
    with (
        socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as taken,
        socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as sock,
    ):
        taken.bind(("::", 0))
        port = taken.getsockname()[1]
        with pytest.raises(OSError, match="no source port"):
            Ports(0.0, port, port).bind(sock)


def test_a_later_process_begins_where_no_earlier_one_has_been() -> None:
    used: list[int] = []
    for start_s in (1000.0, 1010.0, 1020.0):
        ports = Ports(start_s)
        for _ in range(3):
            with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as sock:
                ports.bind(sock)
                used.append(sock.getsockname()[1])
    assert len(set(used)) == 9
    assert all(FIRST_PORT <= port <= LAST_PORT for port in used)


def test_no_response_goes_to_the_port_of_beacons() -> None:
    assert not FIRST_PORT <= protocol.BEACON_PORT <= LAST_PORT
