"""Servers and clients as the processes they are, on ephemeral ports of the loopback."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import pytest
from replay_processes import ServerProcess

from p4cats.replay import ClientReport, Request, read_report, write_schedule


@pytest.fixture
def start_server() -> Iterator[Callable[..., ServerProcess]]:
    servers: list[ServerProcess] = []

    def start(*options: str, address: str = "::1", stderr: int | None = None) -> ServerProcess:
        servers.append(ServerProcess(*options, address=address, stderr=stderr))
        return servers[-1]

    yield start
    for server in servers:
        server.close()


@pytest.fixture
def client_command(tmp_path: Path) -> Callable[..., list[str]]:
    """Command line of a client that sends the given requests; results go to tmp_path/out.json."""

    def command(requests: Iterable[Request], port: int, *options: str, target: str = "::1") -> list[str]:
        write_schedule(tmp_path / "load.jsonl", requests)
        fixed = [sys.executable, "-m", "p4cats.replay.client", "--schedule", str(tmp_path / "load.jsonl")]
        where = ["--target", target, "--port", str(port), "--out", str(tmp_path / "out.json")]
        return [*fixed, *where, *options]

    return command


@pytest.fixture
def run_client(client_command: Callable[..., list[str]], tmp_path: Path) -> Callable[..., ClientReport]:
    """Run a client to its end and read its report."""

    def run(requests: Iterable[Request], port: int, *options: str, target: str = "::1") -> ClientReport:
        command = client_command(requests, port, *options, target=target)
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL, timeout=60)
        return read_report(tmp_path / "out.json")

    return run
