"""Ports and drops of the switches: as `p4cats status` shows them, and as Prometheus reads them."""

import re
import socket

import httpx
import pytest
from rich.console import Console

from p4cats.controller import render
from p4cats.controller.errors import SocketInUse
from p4cats.emulation.up import parse_address
from p4cats.errors import UserError

PORT = {
    "port": 1, "interface": "core-eth1", "state": "up", "mode": "generic", "drops": {"receive": 3},
    "traffic": {"rx_packets": 12345, "rx_bytes": 6_543_210, "tx_packets": 999, "tx_bytes": 99_960},
}  # fmt: skip
AWAY = {"port": 9, "interface": "odd0", "state": "away", "mode": "none", "drops": {}, "traffic": None}
STATUS = {
    "target": "xdp", "generic_because": 'port 1: "eth1" has none', "ports": [PORT, AWAY],
    "drops": {"ingress": 40, "no egress port": 2},
}  # fmt: skip
SAMPLE = re.compile(r'(\w+)\{((?:\w+="(?:[^"\\]|\\.)*",?)*)\} (-?[\d.e+-]+)')


def shown(view, width=80):
    console = Console(width=width, force_terminal=False)
    with console.capture() as capture:
        console.print(render.status(view))
    return capture.get()


def core(view):
    return next(switch for switch in view["switches"] if switch["name"] == "core")


def test_status_shows_ports_and_reasons_of_drops(with_client):
    async def body(network, controller, ask):
        network.switches["core"].status = STATUS
        view = await ask("status")
        switch = core(view)
        assert switch["target"] == "xdp"
        assert [port["peer"] for port in switch["ports"]] == ["access1", None]
        assert switch["program_drops"]["no route"] == 7
        lines = shown(view).splitlines()
        assert max(map(len, lines)) <= 80
        row = next(line for line in lines if "generic" in line and "access1" in line).split()
        assert row == ["core", "1", "access1", "up", "generic", "12.3k", "6.54M", "999", "100k", "3"]
        assert next(line for line in lines if "odd0" in line).split()[:5] == [
            "9",
            "odd0",
            "away",
            "none",
            "-",
        ]
        assert 'core: generic XDP, which is slow: port 1: "eth1" has none' in " ".join(lines)
        reasons = [" ".join(line.split()) for line in lines]
        assert "switch no egress port 2" in reasons
        assert "port 1 receive 3" in reasons
        assert any(line.endswith("program not ipv6 7") for line in reasons)
        assert not any("ingress 40" in line for line in reasons), "the program's reasons say it already"

    with_client(body)


def test_switch_that_does_not_tell_is_shown_without_ports(with_client):
    async def body(network, controller, ask):
        switch = core(await ask("status"))
        assert (switch["target"], switch["ports"], switch["switch_drops"]) == (None, [], {})
        network.switches["core"].status = {**STATUS, "ports": []}
        assert core(await ask("status"))["target"] == "xdp"

    with_client(body)


def test_ports_that_come_and_go_show(with_client):
    async def body(network, controller, ask):
        fake = network.switches["core"]
        for ports, states in (([PORT], ["up"]), ([{**PORT, "state": "down"}, AWAY], ["down", "away"])):
            fake.status = {**STATUS, "ports": ports}
            assert [port["state"] for port in core(await ask("status"))["ports"]] == states

    with_client(body)


def samples(page):
    found = {}
    for line in page.splitlines():
        if not line.startswith("#"):
            match = SAMPLE.fullmatch(line)
            assert match, line
            labels = dict(re.findall(r'(\w+)="((?:[^"\\]|\\.)*)"', match[2]))
            found.setdefault(match[1], []).append((labels, float(match[3])))
    return found


def test_prometheus_reads_ports_drops_and_instances(with_client):
    async def body(network, controller, ask):
        network.switches["core"].status = STATUS
        await ask(
            "report", [{"instance": 1, "wait_us": 20_000, "in_flight": 3, "power_mw": 40_000, "seq": 1}]
        )
        async with httpx.AsyncClient(transport=httpx.AsyncHTTPTransport(uds=str(controller.socket))) as http:
            answer = await http.get("http://controller/metrics")
        assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
        found = samples(answer.text)
        port = {"switch": "core", "port": "1", "interface": "core-eth1"}
        assert (port, 12345.0) in found["p4cats_port_receive_packets_total"]
        assert (port, 99960.0) in found["p4cats_port_transmit_bytes_total"]
        assert ({**port, "reason": "receive"}, 3.0) in found["p4cats_port_dropped_packets_total"]
        dropped = {"switch": "core", "reason": "no egress port"}
        assert (dropped, 2.0) in found["p4cats_switch_dropped_packets_total"]
        by_program = {"switch": "access1", "reason": "no instance"}
        assert (by_program, 7.0) in found["p4cats_program_dropped_packets_total"]
        options = {"switch": "access1", "result": "malformed"}
        assert (options, 7.0) in found["p4cats_metric_options_total"]
        waits = {labels["instance_id"]: value for labels, value in found["p4cats_instance_wait_seconds"]}
        assert waits["1"] == 0.02
        watts = {labels["instance_id"]: value for labels, value in found["p4cats_instance_power_watts"]}
        assert watts == {"1": 40.0}
        helped = re.findall(r"^# HELP (\w+) ", answer.text, re.M)
        assert sorted(helped) == sorted(set(helped)) == sorted(found)
        kinds = dict(re.findall(r"^# TYPE (\w+) (\w+)$", answer.text, re.M))
        assert all((kind == "counter") == name.endswith("_total") for name, kind in kinds.items())

    with_client(body)


def test_prometheus_has_a_port_of_its_own_that_gives_nothing_else(on_network):
    async def body(network):
        with socket.create_server(("127.0.0.1", 0)) as probe:
            port = probe.getsockname()[1]
        async with network.controlled(prometheus=("127.0.0.1", port)), httpx.AsyncClient() as http:
            page = await http.get(f"http://127.0.0.1:{port}/metrics")
            assert samples(page.text)["p4cats_converged"] == [({"network": "edge-cloud"}, 1.0)]
            assert (await http.get(f"http://127.0.0.1:{port}/status")).status_code == 404
            with pytest.raises(SocketInUse, match=f"127.0.0.1 port {port}: .*; choose another"):
                await network.controller(prometheus=("127.0.0.1", port)).run()

    on_network(body)


@pytest.mark.parametrize(
    ("text", "read"),
    [("9100", ("127.0.0.1", 9100)), ("[::1]:9100", ("::1", 9100)), ("0.0.0.0:80", ("0.0.0.0", 80))],
)
def test_address_for_prometheus_is_read(text, read):
    assert parse_address(text) == read


@pytest.mark.parametrize("text", ["", "x", "::1:9100", "9100x", "127.0.0.1:", "70000", "127.0.0.1:0"])
def test_wrong_address_for_prometheus_says_how_it_is_written(text):
    with pytest.raises(UserError, match=r"write \[ADDR:\]PORT"):
        parse_address(text)
