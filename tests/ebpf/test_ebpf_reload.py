"""A new configuration while the agent runs: what stays goes on, what is wrong changes nothing."""

import copy
import json
import signal
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from ebpf_hosts import Hosts, eventually, option_of
from scapy.layers.inet import UDP
from scapy.layers.inet6 import IPv6
from test_ebpf_agent import is_beacon, metrics_of, wait_in_flight
from test_ebpf_leftovers import agent_process, assert_nothing_left, attached, pinned_id

from p4cats.ebpf.agent import Agent
from p4cats.ebpf.config import AgentConfig
from p4cats.errors import UserError
from p4cats.protocol import FLAG_DRAINING

pytestmark = pytest.mark.root

Start = Callable[..., Agent]


def draining(packet: IPv6) -> bool:
    option = option_of(packet)
    return option is not None and bool(option["version_flags"] & FLAG_DRAINING)


def changed(config: dict[str, Any], **instance: Any) -> AgentConfig:
    """The configuration with another first instance."""
    document = copy.deepcopy(config)
    document["hosts"][0]["instances"][0] |= instance
    return AgentConfig.model_validate(document)


def test_a_changed_instance_keeps_its_connections_and_sequence(
    hosts: Hosts, start_agent: Start, config: dict[str, Any]
):
    agent = start_agent()
    with hosts.server_socket(1, socket.SOCK_STREAM) as server, hosts.capture(1) as capture:
        pairs = [hosts.connect(1, server) for _ in range(3)]
        wait_in_flight(agent, 1, 3)
        agent.send_beacons()
        before = option_of(capture.wait(is_beacon, "a beacon"))
        agent.reload(changed(config, workers=1, service_time_us=7000))
        assert metrics_of(agent, 1).in_flight == 3
        assert metrics_of(agent, 1).wait_us == 3 * 7000
        seen = len(capture.packets)
        agent.send_beacons()
        after = option_of(
            eventually(lambda: [p for p in capture.read()[seen:] if is_beacon(p)], "a beacon after")[0]
        )
        assert before is not None
        assert after is not None
        assert after["sequence"] > before["sequence"]
        assert after["expected_wait_us"] == 3 * 7000
        for client, accepted in pairs:
            accepted.close()
            client.close()
        wait_in_flight(agent, 1, 0)


def test_a_removed_host_says_goodbye_and_is_left_as_it_was(
    hosts: Hosts, start_agent: Start, config: dict[str, Any]
):
    agent = start_agent()
    with hosts.capture(2) as capture:
        agent.reload(AgentConfig.model_validate({**config, "hosts": config["hosts"][:1]}))
        eventually(lambda: len([p for p in capture.read() if draining(p)]) == 3, "three last beacons")
    assert attached(hosts, 2) == []
    assert attached(hosts, 1) == ["ingress", "egress", "clsact"]
    assert [m.instance for m in agent.metrics()] == [101]


def test_an_added_host_counts_the_connections_that_it_has(
    hosts: Hosts, start_agent: Start, config: dict[str, Any]
):
    agent = start_agent(hosts=config["hosts"][:1])
    with hosts.server_socket(2, socket.SOCK_STREAM) as server:
        client, accepted = hosts.connect(2, server)
        agent.reload(AgentConfig.model_validate(config))
        assert metrics_of(agent, 2).in_flight == 1
        accepted.close()
        client.close()
        wait_in_flight(agent, 2, 0)
    assert attached(hosts, 2) == ["ingress", "egress", "clsact"]


def test_an_instance_that_was_away_goes_on_with_its_sequence(
    hosts: Hosts, start_agent: Start, config: dict[str, Any]
):
    agent = start_agent()
    agent.send_beacons()
    before = agent._keyring.used()[102].sequence
    agent.reload(AgentConfig.model_validate({**config, "hosts": config["hosts"][:1]}))
    agent.reload(AgentConfig.model_validate(config))
    after = agent._keyring.used()[102].sequence
    assert before is not None
    assert after is not None
    assert after > before


def test_beacons_go_where_the_new_configuration_says(
    hosts: Hosts, start_agent: Start, config: dict[str, Any]
):
    agent = start_agent()
    agent.reload(changed(config, beacons=["fd00:1::77", "fd00:1::2"]))
    with hosts.capture(1) as capture:
        agent.send_beacons()
        packet = capture.wait(is_beacon, "a beacon")
        assert packet.dst == "fd00:1::2"
        agent.reload(changed(config, beacons=[]))
        seen = agent.stats()["stamped"]
        agent.send_beacons()
        assert agent.stats()["stamped"] == seen + 1  # the other host's


def test_a_draining_instance_says_so_in_every_stamp(hosts: Hosts, start_agent: Start, config: dict[str, Any]):
    agent = start_agent()
    with hosts.capture(1) as capture:
        agent.reload(changed(config, draining=True))
        agent.send_beacons()
        assert draining(capture.wait(is_beacon, "a beacon"))
        agent.reload(changed(config))
        seen = len(capture.packets)
        agent.send_beacons()
        later = eventually(lambda: [p for p in capture.read()[seen:] if is_beacon(p)], "a beacon after")
        assert not draining(later[-1])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"interface": "nope"}, "no interface nope"),
        ({"netns": "/run/netns/p4cats-no-such"}, "does not exist"),
        ({"pin_dir": "/sys/fs/bpf/elsewhere"}, "pin_dir cannot change while the agent runs"),
        ({"address": "fd00:dead::1"}, "instance 102: fd00:dead::1 is not an address of its host"),
    ],
)
def test_a_configuration_that_cannot_be_used_changes_nothing(
    hosts: Hosts, start_agent: Start, config: dict[str, Any], change: dict[str, str], message: str
):
    agent = start_agent()
    wrong = copy.deepcopy(config)
    wrong["hosts"][0]["instances"][0]["workers"] = 77
    if "pin_dir" in change:
        wrong |= change
    elif "address" in change:
        wrong["hosts"][1]["instances"][0] |= change
    else:
        wrong["hosts"][1] |= change
    with pytest.raises(UserError, match=message):
        agent.reload(AgentConfig.model_validate(wrong))
    assert [host.config.instances[0].workers for host in agent._hosts.values()] == [2, 2]
    assert [m.instance for m in agent.metrics()] == [101, 102]
    assert attached(hosts, 1) == attached(hosts, 2) == ["ingress", "egress", "clsact"]
    with hosts.capture(2) as capture:
        agent.send_beacons()
        assert not draining(capture.wait(lambda p: UDP in p, "a beacon"))


def test_two_instances_may_change_places(hosts: Hosts, start_agent: Start, config: dict[str, Any]):
    agent = start_agent()
    swapped = copy.deepcopy(config)
    first, second = swapped["hosts"]
    first["instances"], second["instances"] = second["instances"], first["instances"]
    first["instances"][0]["beacons"], second["instances"][0]["beacons"] = ["fd00:1::2"], ["fd00:2::2"]
    agent.reload(AgentConfig.model_validate(swapped))
    with hosts.capture(2) as capture:
        agent.send_beacons()
        option = option_of(capture.wait(lambda p: is_beacon(p) and not draining(p), "a beacon"))
    assert option is not None
    assert option["instance"] == 101


def test_sighup_reads_the_file_again_and_a_wrong_one_is_one_line(
    hosts: Hosts, config: dict[str, Any], tmp_path: Path
):
    path = tmp_path / "agent.json"
    with agent_process(config, path) as process:
        map_id = pinned_id(config)
        path.write_text(json.dumps({**config, "hosts": config["hosts"][:1]}))
        process.send_signal(signal.SIGHUP)
        eventually(lambda: attached(hosts, 2) == [], "the second host left")
        path.write_text("{")
        process.send_signal(signal.SIGHUP)
        assert process.stderr is not None
        line = process.stderr.readline()
        assert line.startswith(f"p4cats agent: {path}: ")
        assert line.endswith("(not reloaded)\n")
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) == 0
        assert process.stderr.read() == ""
    assert_nothing_left(hosts, config, map_id)


def test_a_stopped_agent_tells_its_forwarders(hosts: Hosts, start_agent: Start):
    agent = start_agent()
    with hosts.capture(1) as capture:
        agent.stop()
        eventually(lambda: len([p for p in capture.read() if draining(p)]) == 3, "three last beacons")
