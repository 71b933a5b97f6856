"""The API over a real Unix socket, and the client of the command line."""

import asyncio
import stat
import subprocess
import sys
import time
from ipaddress import IPv6Address

import httpx
import pytest
from controlled_network import running, until
from rich.console import Console

from p4cats.controller import client, render
from p4cats.controller.errors import ControllerUnreachable, RequestRefused, SocketInUse
from p4cats.controller.flows import Flow
from p4cats.controller.metrics import Timing

FLOW = "2001:db8:1:1::2,2001:db8:ca75::53,udp,40000,8080"
HOUR_US = 3_600_000_000


def shown(renderable):
    console = Console(width=160, force_terminal=False)
    with console.capture() as capture:
        console.print(renderable)
    return capture.get()


def report(**waits):
    return [
        {"instance": int(name[1:]), "wait_us": wait, "in_flight": 1, "seq": 1} for name, wait in waits.items()
    ]


def test_status_tells_the_state_of_every_switch(with_client):
    async def body(network, controller, ask):
        view = await ask("status")
        assert (view["network"], view["converged"]) == ("edge-cloud", True)
        assert [switch["name"] for switch in view["switches"]] == list(network.switches)
        for switch in view["switches"]:
            fake = network.switches[switch["name"]]
            assert switch["connected"]
            assert switch["primary"]
            assert (switch["address"], switch["entries"]) == (fake.address, len(fake.table))
        text = shown(render.status(view))
        assert "edge-cloud: up" in text
        assert text.count("synced") == len(network.switches)

    with_client(body)


def test_status_tells_what_hosts_did_with_packets_and_why(on_network, tmp_path):
    async def body(network):
        socket = tmp_path / "controller.sock"
        async with network.controlled(socket):
            transport = httpx.AsyncHTTPTransport(uds=str(socket))
            async with httpx.AsyncClient(transport=transport, base_url="http://controller") as http:
                for agent, stamped, no_room in (("a", 5, 1), ("b", 2**40, 2), ("a", 7, 1)):
                    packets = {"stamped": stamped, "no_room": no_room, "not_service": 9, "untracked": 2}
                    asked = {"instances": [], "stamping": {"agent": agent, "packets": packets}}
                    assert (await http.post("/metrics", json=asked)).status_code == 200
                view = (await http.get("/status")).json()
                assert view["stamping"] == {
                    "stamped": 2**40 + 7,
                    "no_room": 3,
                    "not_service": 18,
                    "untracked": 4,
                }
                told = "hosts: 1.1T packets stamped; not: 3 no room; 4 requests not counted"
                assert told in shown(render.status(view))
                page = (await http.get("/metrics")).text
                assert 'p4cats_host_packets_total{result="no_room"} 3' in page
                asked["stamping"]["packets"] = {"Robert'); --": 1}
                assert (await http.post("/metrics", json=asked)).status_code == 422

    on_network(body)


def test_who_waits_for_convergence_gets_an_answer_when_the_controller_ends(on_network, tmp_path, caplog):
    async def body(network):
        socket = tmp_path / "controller.sock"
        controller = network.controller(socket)
        transport = httpx.AsyncHTTPTransport(uds=str(socket))
        async with (
            httpx.AsyncClient(transport=transport, base_url="http://controller") as http,
            running(controller) as run,
        ):
            await until(lambda: controller.is_converged)
            await network.switches["core"].stop()
            await until(lambda: not controller._converged.is_set())
            asked = http.post("/converged", params={"timeout_s": 60}, timeout=70)
            waiting = asyncio.create_task(asked)
            await until(lambda: controller._converged._waiters)
            run.cancel()
            assert (await waiting).json() == {"converged": False}
        assert "Traceback" not in caplog.text

    on_network(body)


def test_unreachable_switch_shows_in_status(with_client):
    async def body(network, controller, ask):
        await network.switches["core"].stop()
        await until(lambda: controller.sessions["core"].error)
        view = await ask("status")
        assert not view["converged"]
        assert "unreachable" in shown(render.status(view))

    with_client(body)


def test_socket_is_for_its_owner_only_and_goes_with_the_controller(on_network, tmp_path):
    async def body(network):
        path = tmp_path / "controller.sock"
        async with network.controlled(path):
            assert stat.S_IMODE(path.stat().st_mode) == 0o600
        assert not path.exists()

    on_network(body)


def test_socket_of_a_dead_controller_is_taken_over_and_of_a_living_one_not(on_network, tmp_path):
    async def body(network):
        path = tmp_path / "controller.sock"
        async with network.controlled(path):
            with pytest.raises(SocketInUse, match="a controller answers there already"):
                await network.controller(path).run()
            assert path.exists()
            left = path.with_name("left.sock")
            left.hardlink_to(path)
        async with network.controlled(left):
            assert left.exists()

    on_network(body)


def test_metrics_change_what_switches_assume(with_client):
    async def body(network, controller, ask):
        assert await ask("report", report(i1=90_000, i2=5_000)) == 2
        await until(
            lambda: controller.desired.candidates(controller.state(), "access1", "chat")[0].wait_us == 90_000
        )
        await until(lambda: controller.is_converged)
        views = await ask("instances")
        assert [view["reported_wait_us"] for view in views] == [90_000, 5_000, None]
        assert views[0]["sid"] == "5f00:0:4:1001::"
        assert views[0]["ingress"]["access1"]["path_delay_us"] == 2000
        assert views[0]["ingress"]["access1"]["flows_placed"] == 7
        assert "chat-edge1" in shown(render.instances(views))

    with_client(body, timing=Timing(stale_after_s=1e9, suspect_after_s=1e9, down_after_s=1e9))


def test_keys_are_handed_over_with_the_answer_to_a_report_and_shown_nowhere(on_network, tmp_path, caplog):
    async def body(network):
        socket = tmp_path / "controller.sock"
        async with network.controlled(socket):
            transport = httpx.AsyncHTTPTransport(uds=str(socket))
            async with httpx.AsyncClient(transport=transport, base_url="http://controller") as http:
                asked = {"instances": report(i1=1, i2=2), "key_ids": {"1": 0, "2": 0}, "fresh": [1, 2]}
                keys = []
                for _ in range(200):
                    keys += (await http.post("/metrics", json=asked)).json()["keys"]
                    if {key["instance"] for key in keys} == {1, 2}:
                        break
                    await asyncio.sleep(0.01)
                one, two = sorted(keys, key=lambda key: key["instance"])
                assert one.keys() == {"instance", "key_id", "key"}
                assert one["key_id"] == two["key_id"] == 1
                assert one["key"] != two["key"], "a key belongs to a site"
                asked = {"instances": report(i1=1), "key_ids": {"1": 1}}
                assert (await http.post("/metrics", json=asked)).json()["keys"] == []
                told = [(await http.get(path)).text for path in ("/status", "/services", "/instances")]
                wrong = {"instances": report(i1=1), "key_ids": {"1": 256}}
                assert (await http.post("/metrics", json=wrong)).status_code == 422
        for key in (one["key"], two["key"]):
            words = [str(int.from_bytes(bytes.fromhex(key)[i : i + 4], "little")) for i in (0, 4)]
            for secret in (key, *words):
                assert not any(secret in text for text in (*told, caplog.text))

    caplog.set_level("DEBUG", logger="p4cats")
    on_network(body)


def test_silent_instance_leaves_while_others_report(with_client):
    async def body(network, controller, ask):
        living = controller.sessions["access1"].schema.tables["living"].id
        await ask("report", report(i1=1000, i2=1000))
        for seq in range(2, 10_000):
            if sum(entry.table_id == living for entry in network.switches["access1"].table.values()) == 2:
                break
            await ask("report", [{"instance": 2, "wait_us": 1000, "seq": seq}])
        states = {view["id"]: view["state"] for view in await ask("instances")}
        assert states == {1: "down", 2: "up", 3: "up"}

    with_client(body, timing=Timing(stale_after_s=0.1, suspect_after_s=0.2, down_after_s=0.3))


def test_drained_instance_takes_no_new_flows_and_comes_back(with_client):
    async def body(network, controller, ask):
        await ask("set_instance", 1, state="drained")
        assert await ask("converged")
        [service] = await ask("services")
        assert (service["instances"], service["available"]) == (3, 2)
        view = await ask("explain", FLOW)
        assert [item["instance"] for item in view["candidates"]] == [2, 3]
        await ask("set_instance", 1, state="up")
        assert await ask("converged")
        assert (await ask("services"))[0]["available"] == 3

    with_client(body)


def test_explain_names_service_choice_costs_and_path(with_client):
    async def body(network, controller, ask):
        view = await ask("explain", FLOW)
        assert (view["ingress"], view["service"], view["choice"]) == ("access1", "chat", 1)
        assert view["path"] == ["access1", "core", "edge1", "chat-edge1"]
        assert [item["cost"] for item in view["candidates"]] == [22_000, 24_000, 36_000]
        text = shown(render.explain(view))
        assert "access1 → core → edge1 → chat-edge1" in text
        assert any(line.startswith("▶") and "chat-edge1" in line for line in text.splitlines())

    with_client(body)


def test_explain_follows_policy_weights_segments_and_delays(with_client):
    async def body(network, controller, ask):
        await ask("set_service", "chat", policy="static", weights={1: 0, 2: 0, 3: 5})
        assert (await ask("explain", FLOW))["choice"] == 3
        await ask("set_service", "chat", policy="joint", compute_weight=0)
        await ask("set_delay", "access1", "edge1", 9_000)
        assert (await ask("explain", FLOW))["choice"] == 2
        await ask("set_segment", 2, "access1", "edge1")
        view = await ask("explain", FLOW)
        assert [item["path_delay_us"] for item in view["candidates"]] == [9_000, 13_000, 16_000]
        assert await ask("converged")
        for number in (1, 2, 3):
            await ask("set_instance", number, state="down")
        view = await ask("explain", FLOW)
        assert (view["choice"], view["path"]) == (None, [])
        assert "nowhere" in shown(render.explain(view))

    with_client(body)


def test_explain_weighs_loads_learned_from_packets_and_remembers_placed_flows(with_client):
    async def body(network, controller, ask):
        registers = network.switches["access1"].registers = {}
        now_us = time.monotonic_ns() // 1000
        registers["load_time_us", 1], registers["load_wait_us", 1] = now_us + HOUR_US, 60_000
        registers["load_time_us", 2], registers["load_wait_us", 2] = now_us - HOUR_US, 10
        view = await ask("explain", FLOW)
        assert [item["learned_wait_us"] for item in view["candidates"]] == [60_000, 10, None]
        assert [item["load"] for item in view["candidates"]] == ["fresh", "stale", "unknown"]
        assert [item["silent"] for item in view["candidates"]] == [False, True, True]
        assert (view["choice"], view["placed"]) == (1, None)
        assert "silent: 2, 3" in view["reason"]
        registers["load_time_us", 1] = now_us - HOUR_US
        view = await ask("explain", FLOW)
        assert "all are silent" in view["reason"]
        assert view["choice"] == 1
        source, destination, _, *ports = FLOW.split(",")
        flow = Flow(IPv6Address(source), IPv6Address(destination), 17, *map(int, ports))
        registers["flow_entries", flow.cells[1]] = flow.tag << 32 | 3 << 22 | now_us >> 14 & (1 << 21) - 1
        view = await ask("explain", FLOW)
        assert (view["choice"], view["placed"]) == (3, 3)
        assert view["reason"].startswith("affinity")
        await ask("set_instance", 3, state="down")
        assert (await ask("explain", FLOW))["choice"] == 1

    with_client(body)


def test_explain_tells_that_an_address_is_no_service(with_client):
    async def body(network, controller, ask):
        view = await ask("explain", "2001:db8:1:1::2,2001:db8:6:1::2")
        assert view["path"] == ["access1", "core", "cloud", "chat-cloud"]
        assert "no service" in shown(render.explain(view))

    with_client(body)


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        (("set_service", "chta"), "no service chta here; there are: chat"),
        (("set_instance", 77), "no instance 77 here; there are: 1, 2, 3"),
        (("set_segment", 1, "access1", "nowhere"), "nowhere is no switch between access1 and edge1"),
        (("set_segment", 1, "nowhere", "core"), "no switch nowhere here"),
        (("set_delay", "access1", "nowhere", 5), "no switch nowhere here"),
        (("explain", "2001:db8::9,2001:db8:ca75::53"), "no host of this network has the address 2001:db8::9"),
        (
            ("explain", "2001:db8:1:1::2,2001:db8::9"),
            "2001:db8::9 is neither a service nor a host of this network",
        ),
        (("explain", "x,2001:db8::9"), "src: "),
        (("explain", "2001:db8:1:1::2,2001:db8::9,carrier-pigeon"), "protocol: carrier-pigeon is not one of"),
        (("explain", "2001:db8::1"), "a flow is written SRC,DST"),
        (("report", [{"instance": 1, "wait_us": -1}]), "instances.0.wait_us: "),
        (("report", [{"instance": 5000, "wait_us": 1}]), "instances.0.instance: "),
    ],
    ids=lambda value: None if isinstance(value, str) else "-".join(map(str, value))[:40],
)
def test_mistakes_are_answered_by_one_sentence(with_client, call, sentence):
    async def body(network, controller, ask):
        with pytest.raises(RequestRefused) as refused:
            await ask(*call)
        assert sentence in str(refused.value)
        assert "\n" not in str(refused.value)
        assert 400 <= refused.value.status < 500

    with_client(body)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"policy": "best"}, "policy: "),
        ({"weights": {"9": 1}}, "instance 9 is not of service chat"),
        ({"x": 1}, "x: "),
    ],
)
def test_service_changes_are_validated(with_client, change, sentence):
    async def body(network, controller, ask):
        transport = httpx.AsyncHTTPTransport(uds=str(controller.socket))
        async with httpx.AsyncClient(transport=transport, base_url="http://controller") as raw:
            answer = await raw.patch("/services/chat", json=change)
        assert 400 <= answer.status_code < 500
        assert sentence in answer.json()["error"]

    with_client(body)


def test_client_says_what_to_do_when_nothing_runs(tmp_path):
    with pytest.raises(
        ControllerUnreachable, match="no network is running here; start a network with: p4cats up"
    ):
        client.connect(directory=tmp_path)
    with pytest.raises(ControllerUnreachable, match="network lab is not running here"):
        client.connect("lab", tmp_path)
    for name in ("lab", "field"):
        path = client.socket_path(name, tmp_path)
        path.parent.mkdir()
        path.touch()
    with pytest.raises(ControllerUnreachable, match=r"name one: --network field \| lab"):
        client.connect(directory=tmp_path)
    with pytest.raises(ControllerUnreachable, match="no controller answers at"):
        client.connect("lab", tmp_path).status()


def test_services_are_rendered(with_client):
    async def body(network, controller, ask):
        text = shown(render.services(await ask("services")))
        assert "2001:db8:ca75::53" in text
        assert "3 of 3" in text

    with_client(body)


def test_client_and_tables_load_neither_grpc_nor_the_api():
    script = "import sys, p4cats.controller.client, p4cats.controller.render; print(*sys.modules)"
    loaded = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    ).stdout.split()
    assert not {"finsy", "grpc", "fastapi", "uvicorn", "scapy", "pydantic"} & set(loaded)


def test_controller_without_socket_serves_nothing(on_network, tmp_path):
    async def body(network):
        controller = network.controller()
        async with running(controller):
            await asyncio.wait_for(controller.converged(), 30)
        assert not list(tmp_path.glob("*.sock"))

    on_network(body)
