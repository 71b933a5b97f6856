"""An agent leaves nothing behind: when stopped, when it fails to start, when killed and started again."""

import errno
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from ebpf_hosts import Hosts, eventually, option_of
from pyroute2 import NetNS
from scapy.layers.inet import UDP

from p4cats import netns
from p4cats.ebpf.agent import Agent
from p4cats.ebpf.errors import ConfigError, EbpfError, LibbpfError
from p4cats.ebpf.libbpf import Map, TcHook
from p4cats.ebpf.stamp import PRIORITY
from p4cats.errors import UserError

pytestmark = pytest.mark.root

Start = Callable[..., Agent]


def attached(hosts: Hosts, number: int) -> list[str]:
    """What of ours is on a server's interface."""
    with netns.entered(hosts.servers[number]):
        index = socket.if_nametoindex(f"s{number}")
        found = [p for p in ("ingress", "egress") if TcHook(index, p).query(priority=PRIORITY)]
    with NetNS(hosts.servers[number].name) as links:
        kinds = [q.get_attr("TCA_KIND") for q in links.get_qdiscs(index)]
    return found + [kind for kind in kinds if kind == "clsact"]


def gone(map_id: int) -> bool:
    """Whether a map is gone, and with it every program that uses it."""
    try:
        Map.by_id(map_id).close()
    except LibbpfError as error:
        return error.errno == errno.ENOENT
    return False


def pinned_id(config: dict[str, Any]) -> int:
    found = Map.pinned(Path(config["pin_dir"]) / "counters")
    map_id: int = found.info.id
    found.close()
    return map_id


def assert_nothing_left(hosts: Hosts, config: dict[str, Any], map_id: int) -> None:
    assert attached(hosts, 1) == attached(hosts, 2) == []
    assert not Path(config["pin_dir"]).parent.exists()
    left = {path.name for path in Path(config["run_dir"]).iterdir()}
    assert left <= {"sequences.json"}
    eventually(lambda: gone(map_id), "maps and programs freed")


@contextmanager
def agent_process(config: dict[str, Any], path: Path) -> Iterator["subprocess.Popen[str]"]:
    """Run an agent in a process of its own; yield it when it is ready."""
    path.write_text(json.dumps(config))
    command = [sys.executable, "-m", "p4cats.ebpf.agent", str(path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline().startswith("agent ready: 2 instances at 2 hosts")
            yield process
        finally:
            process.kill()


def test_a_stopped_agent_leaves_nothing(hosts: Hosts, start_agent: Start, config: dict[str, Any]):
    agent = start_agent()
    map_id = pinned_id(config)
    assert attached(hosts, 1) == attached(hosts, 2) == ["ingress", "egress", "clsact"]
    agent.stop()
    assert_nothing_left(hosts, config, map_id)
    agent.stop()  # once more does no harm


def test_a_qdisc_that_was_there_before_stays(hosts: Hosts, start_agent: Start):
    with netns.entered(hosts.servers[1]):
        hook = TcHook(socket.if_nametoindex("s1"), "both")
        assert hook.create()
    try:
        agent = start_agent()
        agent.stop()
        assert attached(hosts, 1) == ["clsact"]
    finally:
        with netns.entered(hosts.servers[1]):
            hook.destroy()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"interface": "nope"}, "no interface nope in /run/netns/"),
        ({"netns": "/run/netns/p4cats-no-such"}, "/run/netns/p4cats-no-such does not exist"),
    ],
)
def test_a_failed_start_leaves_nothing(
    hosts: Hosts, start_agent: Start, config: dict[str, Any], change: dict[str, str], message: str
):
    config["hosts"][1] |= change
    with pytest.raises(UserError, match=message):
        start_agent()
    assert attached(hosts, 1) == []
    assert not Path(config["pin_dir"]).exists()
    assert list(Path(config["run_dir"]).glob("agent*")) == []


def test_an_address_that_the_host_does_not_hold_is_named(start_agent: Start, config: dict[str, Any]):
    config["hosts"][0]["instances"][0]["address"] = "fd00:dead::1"
    with pytest.raises(ConfigError, match="instance 101: fd00:dead::1 is not an address of its host"):
        start_agent()


def test_two_agents_cannot_share_a_run_directory(start_agent: Start):
    start_agent()
    with pytest.raises(EbpfError, match=rf"another agent runs in .* \(process {os.getpid()}\)"):
        start_agent()


def test_sequence_numbers_go_on_where_the_last_agent_stopped(hosts: Hosts, start_agent: Start):
    sequences = []
    for _ in range(2):
        agent = start_agent()
        with hosts.capture(1) as capture:
            agent.send_beacons()
            option = option_of(capture.wait(lambda p: UDP in p, "a beacon"))
        agent.stop()
        assert option is not None
        sequences.append(option["sequence"])
    assert sequences[1] > sequences[0] > 0


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_the_agent_cleanly(hosts: Hosts, config: dict[str, Any], tmp_path: Path, number: int):
    with agent_process(config, tmp_path / "agent.json") as process:
        map_id = pinned_id(config)
        assert attached(hosts, 2) == ["ingress", "egress", "clsact"]
        process.send_signal(number)
        assert process.wait(20) == 0
        assert process.stderr is not None
        assert process.stderr.read() == ""
    assert_nothing_left(hosts, config, map_id)


def test_a_killed_agents_traces_are_removed_by_the_next(
    hosts: Hosts, start_agent: Start, config: dict[str, Any], tmp_path: Path
):
    with hosts.capture(1) as capture:
        with agent_process(config, tmp_path / "agent.json") as process:
            first = pinned_id(config)
            capture.wait(lambda p: UDP in p, "a beacon")
            process.kill()
            process.wait()
        killed = max(option["sequence"] for p in capture.read() if (option := option_of(p)))
    assert attached(hosts, 1) == ["ingress", "egress", "clsact"]
    assert not gone(first)

    agent = start_agent()
    eventually(lambda: gone(first), "the killed agent's maps and programs freed")
    second = pinned_id(config)
    with hosts.capture(1) as capture:
        agent.send_beacons()
        option = option_of(capture.wait(lambda p: UDP in p, "a beacon"))
    assert option is not None
    assert option["sequence"] > killed
    agent.stop()
    assert_nothing_left(hosts, config, second)


def test_a_killed_agents_namespaces_may_be_gone(start_agent: Start, config: dict[str, Any], tmp_path: Path):
    run = Path(config["run_dir"])
    run.mkdir()
    left = {"netns": "/run/netns/p4cats-gone", "inode": 1, "interface": "x", "ifindex": 2, "made_qdisc": True}
    other = {**left, "netns": config["hosts"][0]["netns"]}  # the path is there, the namespace is another
    state = {"pid": 1, "pin_dir": config["pin_dir"], "attachments": [left, other]}
    (run / "agent.json").write_text(json.dumps(state))
    start_agent()
