"""In-band telemetry of a deployed network: real requests, and what the collector saw of them."""

from __future__ import annotations

import json
import random
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from emulation_helpers import EDGE_CLOUD

from p4cats.emulation.deployment import Deployment, end_process
from p4cats.netns import entered
from p4cats.topologies.schema import Telemetry, load

pytestmark = [pytest.mark.root, pytest.mark.timeout(240)]

REQUESTS = 20
ASK = f"""
import http.client
for _ in range({REQUESTS}):
    connection = http.client.HTTPConnection("2001:db8:ca75::53", 8080, timeout=20)
    connection.request("POST", "/?work=0.001", body=bytes(20_000))
    assert connection.getresponse().status == 200
"""
ECHO_PORT = 9000
ECHO = f"""
import socket
echo = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
echo.bind(("2001:db8:ca75::53", {ECHO_PORT}))
print("ready", flush=True)
while True:
    data, sender = echo.recvfrom(2048)
    echo.sendto(data, sender)
"""
"""At the service's address: requests are steered to it, and what it sends is stamped and sampled."""
DATAGRAMS, WINDOW = 200, 8
TIGHT = 1380
"""Octets that leave room for a tunnel or a stamp and for telemetry, but not for the data of all switches."""


@pytest.fixture(scope="module", params=["model", "xdp"])
def deployment(request: pytest.FixtureRequest) -> Iterator[Deployment]:
    topology = load(EDGE_CLOUD).model_copy(update={"telemetry": Telemetry(collector="clients2")})
    with Deployment(topology, target=request.param) as running:
        yield running


def reports(file: Path, port: int, wanted: int, timeout_s: float = 20.0) -> list[dict[str, object]]:
    """Return the reports in a file that are about a port of the service, once there are so many."""
    deadline = time.monotonic() + timeout_s
    while True:
        text = file.read_text(encoding="utf-8")
        lines = [json.loads(line) for line in text.splitlines(keepends=True) if line.endswith("\n")]
        found = [line for line in lines if port in (line["source_port"], line["destination_port"])]
        if len(found) >= wanted:
            return found
        assert time.monotonic() < deadline, f"{len(found)} reports, not {wanted}"
        time.sleep(0.1)


@pytest.fixture
def echo(deployment: Deployment) -> Iterator[None]:
    """A UDP echo beside every instance."""
    with ExitStack() as stack:
        for instance in deployment.topology.instances:
            process = deployment.network.popen(
                instance.host, [sys.executable, "-c", ECHO], stdout=subprocess.PIPE
            )
            stack.callback(end_process, process)
            assert process.stdout is not None
            assert process.stdout.readline() == b"ready\n"
        yield


@pytest.mark.usefixtures("echo")
def test_a_udp_transfer_arrives_octet_by_octet_and_every_datagram_is_reported(
    deployment: Deployment,
) -> None:
    draw = random.Random(1)
    sent = [draw.randbytes(draw.choice([1, 64, 1000, TIGHT])) for _ in range(DATAGRAMS)]
    with entered(deployment.network.netns("clients1")):
        client = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
    found: list[bytes] = []
    with client:
        client.settimeout(20)
        client.connect(("2001:db8:ca75::53", ECHO_PORT))
        for at in range(0, DATAGRAMS, WINDOW):
            window = sent[at : at + WINDOW]
            for datagram in window:
                client.send(datagram)
            found += [client.recv(2048) for _ in window]
    assert sorted(found) == sorted(sent)

    # Each is sampled on its way there and back.
    cut = 2 * sum(len(datagram) == TIGHT for datagram in sent)
    told = [report["mtu_exceeded"] for report in reports(deployment.reports, ECHO_PORT, 2 * DATAGRAMS)]
    assert (told.count(False), told.count(True)) == (2 * DATAGRAMS - cut, cut)


def test_the_collector_sees_every_hop_of_requests_and_responses(deployment: Deployment) -> None:
    done = deployment.network.run("clients1", [sys.executable, "-c", ASK], timeout_s=60)
    assert done.returncode == 0, done
    found = reports(deployment.reports, 8080, 2 * REQUESTS)
    numbers = {switch.number: name for name, switch in deployment.plan.switches.items()}
    ways = {tuple(numbers[hop["node"]] for hop in report["hops"]) for report in found}
    assert ("access1", "core", "edge1") in ways
    assert ("edge1", "core", "access1") in ways
    requests = [report for report in found if report["decision"]]
    assert requests
    assert {report["destination_port"] for report in requests} == {8080}
    for report in found:
        first, *_, last = report["hops"]
        # Two links of a millisecond or more, and a machine that has other work too.
        assert 2_000 <= last["ingress_us"] - first["egress_us"] < 2_000_000


def test_the_controller_learns_the_measured_delays(deployment: Deployment) -> None:
    deadline = time.monotonic() + 20
    ask = [sys.executable, "-c", ASK]
    while True:
        deployment.network.run("clients1", ask, timeout_s=60)
        flow = "2001:db8:1:1::2,2001:db8:ca75::53,tcp,40000,8080"
        deployment.controller.set_service("chat", policy="joint")
        candidates = deployment.controller.explain(flow)["candidates"]
        delay_us = next(item["path_delay_us"] for item in candidates if item["site"] == "edge1")
        if delay_us != 2_000:
            assert 2_000 < delay_us < 2_000_000
            return
        assert time.monotonic() < deadline, "still the planned delay"
