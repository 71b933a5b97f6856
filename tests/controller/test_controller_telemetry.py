"""What telemetry samples is changed while the network runs, over the API and by the command line."""

import pytest
from controlled_network import TOPOLOGY
from rich.console import Console
from typer.testing import CliRunner

from p4cats import cli
from p4cats.controller import client, render
from p4cats.controller.errors import RequestRefused
from p4cats.errors import UserError
from p4cats.topologies.schema import Service, Telemetry

WATCHED = TOPOLOGY.model_copy(
    update={
        "services": TOPOLOGY.services | {"idle": Service(address="2001:db8:ca75::54", port=80)},
        "telemetry": Telemetry(collector="clients2", flow_share=0.5, services=("chat",)),
    }
)


def sampled(network, controller):
    """Return flow and packet limits of all entries of the watchlist of an edge switch."""
    table = controller.sessions["access1"].schema.tables["int_watchlist"].id
    entries = [entry for entry in network.switches["access1"].table.values() if entry.table_id == table]
    params = [{p.param_id: int.from_bytes(p.value, "big") for p in e.action.action.params} for e in entries]
    return sorted((found[4], found[5]) for found in params)


def test_sampling_is_shown_and_changed_in_the_switches(with_client):
    async def body(network, controller, ask):
        view = await ask("telemetry")
        assert view == {
            "on": True, "services": ["chat"], "flow_share": 0.5, "packet_share": 1.0, "collector": "clients2",
        }  # fmt: skip
        assert sampled(network, controller) == [(32767, 65535)] * 2

        await ask("set_telemetry", flow_share=1, packet_share=0.25, services=["chat", "idle"])
        assert await ask("converged")
        assert sampled(network, controller) == [(65535, 16383)] * 4

        await ask("set_telemetry", on=False)
        assert await ask("converged")
        assert sampled(network, controller) == []

        assert (await ask("set_telemetry", on=True))["packet_share"] == 0.25
        assert await ask("converged")
        assert len(sampled(network, controller)) == 4

    with_client(body, WATCHED)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"flow_share": 0}, "flow_share: input should be greater than 0 (got 0)"),
        ({"packet_share": 1.5}, "packet_share: input should be less than or equal to 1 (got 1.5)"),
        ({"services": ["chta"]}, "no service chta here; there are: chat, idle"),
        ({"services": []}, "services: "),
    ],
)
def test_mistakes_are_answered_by_one_sentence_and_change_nothing(with_client, change, sentence):
    async def body(network, controller, ask):
        before = await ask("telemetry")
        with pytest.raises(RequestRefused) as refused:
            await ask("set_telemetry", **change)
        assert sentence in str(refused.value)
        assert "\n" not in str(refused.value)
        assert await ask("telemetry") == before

    with_client(body, WATCHED)


def test_a_network_without_collector_says_what_its_topology_lacks(with_client):
    async def body(network, controller, ask):
        for call in ("telemetry", "set_telemetry"):
            with pytest.raises(RequestRefused, match="its topology must name a collector"):
                await ask(call)

    with_client(body)


class Asked:
    """In place of a controller's client: notes what it is asked for."""

    def __init__(self):
        self.changes = []

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        pass

    def telemetry(self):
        return {"on": False, "services": ["chat"], "flow_share": 0.1, "packet_share": 1, "collector": "c"}

    def set_telemetry(self, **change):
        self.changes.append({key: value for key, value in change.items() if value is not None})
        return self.telemetry()

    def converged(self):
        return True


@pytest.mark.parametrize(
    ("argv", "changes"),
    [
        ([], []),
        (["off"], [{"on": False}]),
        (["on", "--flows", "0.1", "--packets", "1"], [{"on": True, "flow_share": 0.1, "packet_share": 1.0}]),
        (["--service", "chat", "--service", "idle"], [{"services": ["chat", "idle"]}]),
    ],
)
def test_the_command_changes_what_is_given_and_shows_all(monkeypatch, argv, changes):
    asked = Asked()
    monkeypatch.setattr(client, "connect", lambda network: asked)
    done = CliRunner().invoke(cli.app, ["telemetry", *argv])
    assert done.exit_code == 0, done.output
    assert asked.changes == changes
    assert done.output.splitlines()[-1].split() == ["off", "chat", "10", "%", "100", "%", "c"]


def test_the_command_takes_on_and_off_only():
    done = CliRunner().invoke(cli.app, ["telemetry", "maybe"])
    assert isinstance(done.exception, UserError)
    assert str(done.exception) == "telemetry maybe: write on or off"


def test_what_is_sampled_fits_a_narrow_terminal():
    console = Console(width=80, force_terminal=False)
    with console.capture() as capture:
        console.print(render.telemetry(Asked().telemetry()))
    assert "collector" in capture.get().splitlines()[0]
