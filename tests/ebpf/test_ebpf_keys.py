"""Keys and sequence numbers: where they come from, and what outlives an agent."""

import json
import os
import stat
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from ebpf_hosts import Hosts, eventually, option_of
from scapy.layers.inet import UDP
from scapy.layers.inet6 import IPv6

from p4cats import halfsiphash
from p4cats.ebpf.agent import Agent
from p4cats.ebpf.config import AgentConfig
from p4cats.ebpf.errors import ConfigError
from p4cats.ebpf.keys import Key
from p4cats.ebpf.reporter import Report

pytestmark = pytest.mark.root

Start = Callable[..., Agent]
KEY, NEXT_KEY = Key(3, b"key no 3"), Key(4, b"key no 4")


@pytest.fixture
def keyed(config: dict[str, Any], tmp_path: Path) -> dict[str, Any]:
    """The configuration of a site with a controller."""
    config |= {"authentication": "mac", "controller_socket": str(tmp_path / "controller.sock")}
    return config


class Controller:
    """Takes an agent's reports and gives it keys."""

    def __init__(self) -> None:
        self.reports: list[Report] = []

    def __call__(self, report: Report) -> None:
        self.reports.append(report)


@contextmanager
def serving(agent: Agent) -> Iterator[None]:
    thread = threading.Thread(target=agent.serve)
    thread.start()
    try:
        yield
    finally:
        agent.end()
        thread.join()


def start_keyed(start_agent: Start, controller: Controller) -> Agent:
    agent = start_agent()
    agent._report = controller
    return agent


def uses(agent: Agent, instance: int, key: Key) -> None:
    """Give an agent that serves a key and wait until the instance uses it."""
    agent.take_keys({instance: key})
    eventually(lambda: agent._keyring.key_ids()[instance] == key.key_id, f"key {key.key_id} in use")


def beacon(hosts: Hosts, agent: Agent) -> tuple[IPv6, dict[str, int]]:
    with hosts.capture(1) as capture:
        agent.send_beacons()
        packet = capture.wait(lambda p: UDP in p and option_of(p) is not None, "a stamped beacon")
    option = option_of(packet)
    assert option is not None
    return packet, option


def test_an_agent_stamps_nothing_before_it_has_a_key_and_says_so(
    hosts: Hosts, start_agent: Start, keyed: dict[str, Any]
):
    controller = Controller()
    agent = start_keyed(start_agent, controller)
    agent.send_beacons()
    assert agent.stats()["stamped"] == 0
    assert agent.stats()["no_key"] == 2
    agent.report()
    assert controller.reports[-1].key_ids == {101: 0, 102: 0}
    assert controller.reports[-1].fresh == [101, 102]


def test_a_new_key_begins_at_1_and_its_mac_is_right(hosts: Hosts, start_agent: Start, keyed: dict[str, Any]):
    controller = Controller()
    agent = start_keyed(start_agent, controller)
    for key in (KEY, NEXT_KEY):
        agent._keyring.give(101, key)
        for sequence in (1, 2):
            packet, option = beacon(hosts, agent)
            assert (option["key_id"], option["sequence"]) == (key.key_id, sequence)
            message = bytes(packet)[44:72] + bytes(packet)[24:40]
            assert option["mac"].to_bytes(8, "big") == halfsiphash.tag(key.octets, message)
    agent.report()
    assert controller.reports[-1].key_ids == {101: 4, 102: 0}
    assert controller.reports[-1].fresh == [102]


def test_the_same_key_given_again_changes_nothing(hosts: Hosts, start_agent: Start, keyed: dict[str, Any]):
    agent = start_agent()
    assert agent._keyring.give(101, KEY)
    assert not agent._keyring.give(101, KEY)
    first, second = (beacon(hosts, agent)[1]["sequence"] for _ in range(2))
    assert second > first


def test_keys_arrive_while_the_agent_serves_and_are_reported_at_once(
    hosts: Hosts, start_agent: Start, keyed: dict[str, Any]
):
    controller = Controller()
    agent = start_keyed(start_agent, controller)
    agent.config = agent.config.model_copy(update={"report_interval_ms": 3_600_000})
    with serving(agent):
        agent.take_keys({101: KEY, 102: KEY, 999: KEY})
        eventually(
            lambda: controller.reports and controller.reports[-1].key_ids == {101: 3, 102: 3}, "a report"
        )
    assert controller.reports[-1].fresh == []


def test_a_stopped_agents_sequence_goes_on_under_the_same_key_only(
    hosts: Hosts, start_agent: Start, keyed: dict[str, Any]
):
    agent = start_agent()
    agent._keyring.give(101, KEY)
    last = beacon(hosts, agent)[1]["sequence"]
    agent.stop()
    saved = (Path(keyed["run_dir"]) / "sequences.json").read_text()
    assert json.loads(saved)["101"]["sequence"] > last  # the last beacons, with flag D
    assert KEY.octets.hex() not in saved
    for key, expected in ((NEXT_KEY, 1), (KEY, json.loads(saved)["101"]["sequence"] + 1)):
        (Path(keyed["run_dir"]) / "sequences.json").write_text(saved)
        agent = start_agent()
        assert agent._keyring.fresh() == [102]
        agent._keyring.give(101, key)
        assert beacon(hosts, agent)[1]["sequence"] == expected
        agent.stop()


def test_a_killed_agents_key_and_sequence_are_found_in_the_kernel(
    hosts: Hosts, start_agent: Start, keyed: dict[str, Any]
):
    killed = start_agent()
    killed._keyring.give(101, KEY)
    last = beacon(hosts, killed)[1]["sequence"]
    os.close(killed._owner._lock)  # as the kernel does to a killed process
    killed._cleanup.pop_all()
    agent = start_agent()
    option = beacon(hosts, agent)[1]
    assert option["key_id"] == KEY.key_id
    assert option["sequence"] > last
    assert agent._keyring.fresh() == [102]


def test_after_a_power_failure_the_sequence_is_lost_and_a_new_key_asked_for(
    start_agent: Start, keyed: dict[str, Any]
):
    run = Path(keyed["run_dir"])
    run.mkdir()
    (run / "sequences.json").write_text('{"101": {"key_id": 3, "sequence": null}}')
    agent = start_agent()
    assert agent._keyring.fresh() == [101, 102]


def test_while_an_agent_runs_the_file_says_that_sequences_are_not_known(
    start_agent: Start, keyed: dict[str, Any]
):
    agent = start_agent()
    agent._keyring.give(101, KEY)
    agent._keys_change()
    saved = json.loads((Path(keyed["run_dir"]) / "sequences.json").read_text())
    assert saved == {"101": {"key_id": 3, "sequence": None}}


def test_nearly_used_up_sequences_ask_for_a_new_key(start_agent: Start, keyed: dict[str, Any]):
    agent = start_agent()
    agent._keyring._write(101, KEY, (1 << 32) - 1000)
    assert agent._keyring.fresh() == [101, 102]


def test_keys_are_pinned_for_root_alone(start_agent: Start, keyed: dict[str, Any]):
    start_agent()
    mode = (Path(keyed["pin_dir"]) / "keys").stat().st_mode
    assert stat.S_IMODE(mode) == 0o600


# -- keys of the configuration file


@pytest.fixture
def written(config: dict[str, Any], tmp_path: Path) -> Path:
    """A configuration file with a key for instance 101, and no controller."""
    config["authentication"] = "mac"
    for host in config["hosts"]:
        host["instances"][0] |= {"key_id": 3, "key": KEY.octets.hex()}
    path = tmp_path / "agent.json"
    path.touch(mode=0o600)
    path.write_text(json.dumps(config))
    return path


def test_a_configured_key_is_used(hosts: Hosts, start_agent: Start, written: Path):
    agent = start_agent()
    assert beacon(hosts, agent)[1]["key_id"] == 3


def test_a_file_with_keys_that_others_may_read_is_refused(written: Path):
    assert AgentConfig.read(written).has_keys
    written.chmod(0o640)
    with pytest.raises(ConfigError, match=f"holds keys and others may read it: chmod 600 {written}$"):
        AgentConfig.read(written)


def test_a_wrong_key_is_never_shown(written: Path, config: dict[str, Any]):
    config["hosts"][0]["instances"][0]["key"] = "geheim"
    written.write_text(json.dumps(config))
    with pytest.raises(ConfigError, match="16 hexadecimal digits") as error:
        AgentConfig.read(written)
    assert "geheim" not in f"{error.value}{error.value.__cause__}"
    assert KEY.octets.hex() not in repr(AgentConfig.model_validate(config | {"hosts": config["hosts"][1:]}))


def test_an_instance_without_any_key_needs_authentication_none(written: Path, config: dict[str, Any]):
    for name in ("key", "key_id"):
        del config["hosts"][0]["instances"][0][name]
    written.write_text(json.dumps(config))
    with pytest.raises(ConfigError, match=r'instance 101 has no key: .* "authentication": "none"'):
        AgentConfig.read(written)


def test_a_configured_key_is_not_used_again_after_a_power_failure(
    start_agent: Start, written: Path, config: dict[str, Any]
):
    run = Path(config["run_dir"])
    run.mkdir()
    (run / "sequences.json").write_text('{"101": {"key_id": 3, "sequence": null}}')
    with pytest.raises(ConfigError, match=r"instance 101: key 3 was in use .* configure the next key"):
        start_agent()
