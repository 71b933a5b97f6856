from __future__ import annotations

import contextlib
import json
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from http.client import HTTPConnection, HTTPResponse

import pytest
from replay_processes import ServerProcess

from p4cats.replay import wire

FOREVER = ("--service-time", "constant:1000s")
QUICK = ("--service-time", "constant:1ms")
Start = Callable[..., ServerProcess]


def connect(server: ServerProcess) -> HTTPConnection:
    connection = HTTPConnection(server.address, server.port, timeout=30)
    connection.connect()
    return connection


def udp_socket(server: ServerProcess) -> socket.socket:
    sock = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
    sock.settimeout(30)
    sock.connect((server.address, server.port))
    return sock


def read_all(sock: socket.socket) -> bytes:
    return b"".join(iter(lambda: sock.recv(65_536), b""))


def ask(connection: HTTPConnection, path: str = "/") -> tuple[HTTPResponse, dict[str, object]]:
    connection.request("GET", path)
    response = connection.getresponse()
    return response, json.loads(response.read())


@pytest.mark.parametrize("address", ["::1", "127.0.0.1"])
def test_http_answer_says_who_served_and_how_long(start_server: Start, address: str) -> None:
    server = start_server(*QUICK, "--instance", "7", "--name", "edge1", address=address)
    with contextlib.closing(connect(server)) as connection:
        for _ in range(2):  # twice over one connection
            response, body = ask(connection, "/?work=2")
            assert (response.status, response.getheader("Connection")) == (200, "keep-alive")
            assert (body["instance"], body["site"], body["service_us"]) == (7, "edge1", 2000)
    assert server.status()["served"] == 2


def test_udp_answer_says_who_served_and_how_long(start_server: Start) -> None:
    server = start_server(*QUICK, "--instance", "7", "--name", "edge1")
    with udp_socket(server) as sock:
        sock.send(b"garbage")
        sock.send(wire.pack_request(99, 3.0))
        assert wire.unpack_response(sock.recv(2048)) == (99, wire.Answer(7, "edge1", 0, 3000, 1, 0))
    assert server.status()["malformed"] == 1


def test_no_more_requests_in_service_than_workers(start_server: Start) -> None:
    server = start_server("--workers", "3", *FOREVER)
    with contextlib.ExitStack() as stack:
        sock = stack.enter_context(udp_socket(server))
        for index in range(6):
            sock.send(wire.pack_request(index, 1.0))
            connection = stack.enter_context(contextlib.closing(connect(server)))
            connection.request("GET", "/")
        status = server.wait_until(lambda status: status["busy"] + status["queued"] == 12)
        assert (status["busy"], status["queued"], status["served"]) == (3, 9, 0)


def test_workers_are_all_used_and_the_answers_count_them(start_server: Start) -> None:
    server = start_server("--workers", "3", "--service-time", "constant:100ms")
    with udp_socket(server) as sock:
        for index in range(12):
            sock.send(wire.pack_request(index, 1.0))
        found = [wire.unpack_response(sock.recv(2048)) for _ in range(12)]
    answers = dict(item for item in found if item)
    assert sorted(answers) == list(range(12))
    assert max(answer.busy for answer in answers.values()) == 3
    assert answers[0].wait_us == 0 < answers[11].wait_us


def test_excess_gets_503_by_http_and_silence_by_udp(start_server: Start) -> None:
    server = start_server("--workers", "1", "--queue", "1", *FOREVER)
    with contextlib.ExitStack() as stack:
        sock = stack.enter_context(udp_socket(server))
        sock.send(wire.pack_request(1, 1.0))
        sock.send(wire.pack_request(2, 1.0))
        server.wait_until(lambda status: status["queued"] == 1)
        sock.send(wire.pack_request(3, 1.0))
        server.wait_until(lambda status: status["rejected"] == 1)
        connection = stack.enter_context(contextlib.closing(connect(server)))
        for _ in range(2):  # the connection lives on
            response, body = ask(connection)
            assert (response.status, body) == (503, {"error": "queue full"})
        assert server.status()["rejected"] == 3


def test_waiting_request_of_a_client_that_left_is_dropped(start_server: Start) -> None:
    server = start_server("--workers", "1", *FOREVER)
    serving, waiting = connect(server), connect(server)
    serving.request("GET", "/")
    server.wait_until(lambda status: status["busy"] == 1)
    waiting.request("GET", "/")
    server.wait_until(lambda status: status["queued"] == 1)
    waiting.close()
    server.wait_until(lambda status: status["abandoned"] == 1 and status["queued"] == 0)
    serving.close()
    status = server.wait_until(lambda status: status["connections"] == 0)
    assert status["busy"] == 1


def test_pipelined_requests_are_answered_in_order(start_server: Start) -> None:
    server = start_server(*QUICK, "--workers", "8")
    with socket.create_connection((server.address, server.port), timeout=30) as sock:
        requests = [f"GET /?work={work} HTTP/1.1\r\nHost: a\r\n" for work in (9, 1, 5)]
        sock.sendall(("\r\n".join(requests) + "Connection: close\r\n\r\n").encode())
        data = read_all(sock)
    bodies = [json.loads(part.partition(b"\r\n\r\n")[2]) for part in data.split(b"HTTP/1.1")[1:]]
    assert [body["service_us"] for body in bodies] == [9000, 1000, 5000]


def test_large_bodies_both_ways(start_server: Start) -> None:
    server = start_server(*QUICK)
    with contextlib.closing(connect(server)) as connection:
        connection.request(
            "POST", "/?bytes=300000", body=b"x" * 1_000_000, headers={"Expect": "100-continue"}
        )
        response = connection.getresponse()
        data = response.read()
        assert len(data) == 300_000
        assert json.loads(data)["received_bytes"] == 1_000_000


def test_connection_close_is_honoured(start_server: Start) -> None:
    server = start_server(*QUICK)
    with socket.create_connection((server.address, server.port), timeout=30) as sock:
        sock.sendall(b"GET / HTTP/1.1\r\nConnection: close\r\n\r\n")
        assert b"Connection: close" in read_all(sock)


def test_bad_request_gets_its_status_and_the_reason(start_server: Start) -> None:
    server = start_server(*QUICK)
    with socket.create_connection((server.address, server.port), timeout=30) as sock:
        sock.sendall(b"GET /?work=lots HTTP/1.1\r\n\r\n")
        data = read_all(sock)
    assert data.startswith(b"HTTP/1.1 400 Bad Request")
    assert b"query:" in data


def test_slow_makes_the_server_slow_until_it_is_undone(start_server: Start) -> None:
    server = start_server(*QUICK)
    with contextlib.closing(connect(server)) as connection:
        assert server.command("slow 5") == {"slow": 5.0}
        assert ask(connection)[1]["service_us"] == 5000
        assert server.command("slow 1") == {"slow": 1.0}
        assert ask(connection)[1]["service_us"] == 1000


@pytest.mark.parametrize("line", ["slow", "slow x", "slow 0", "slow nan", "faster", ""])
def test_wrong_command_is_answered_by_an_error(start_server: Start, line: str) -> None:
    assert list(start_server(*QUICK).command(line)) == ["error"]


def test_end_in_the_middle_of_work_is_silent(start_server: Start) -> None:
    server = start_server(*FOREVER, "--until-eof", stderr=subprocess.PIPE)
    with contextlib.ExitStack() as stack:
        for _ in range(50):
            connection = stack.enter_context(contextlib.closing(connect(server)))
            connection.request("GET", "/")
        assert server.process.communicate(timeout=30)[1] == ""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_signal_ends_it_at_once_with_requests_in_service(start_server: Start, number: int) -> None:
    server = start_server(*FOREVER)
    connection = connect(server)
    connection.request("GET", "/")
    server.wait_until(lambda status: status["busy"] == 1)
    server.process.send_signal(number)
    assert server.process.wait(30) == 0
    connection.close()


def test_end_of_input_ends_it_only_when_asked_to(start_server: Start) -> None:
    bound, free = start_server(*QUICK, "--until-eof"), start_server(*QUICK)
    for server in (bound, free):
        assert server.process.stdin is not None
        server.process.stdin.close()
    assert bound.process.wait(30) == 0
    with contextlib.closing(connect(free)) as connection:
        assert ask(connection)[0].status == 200


def test_port_in_use_is_one_clear_line(start_server: Start) -> None:
    server = start_server(*QUICK)
    command = [sys.executable, "-m", "p4cats.replay.server", "--port", str(server.port), "--name", "edge9"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=30)
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1
    assert f"server edge9: cannot listen on [::1]:{server.port}" in done.stderr


def test_wrong_option_names_the_option() -> None:
    command = [sys.executable, "-m", "p4cats.replay.server", "--service-time", "gamma:20ms"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=30)
    assert done.returncode == 2
    assert "--service-time" in done.stderr
    assert "constant, exponential or lognormal" in done.stderr
