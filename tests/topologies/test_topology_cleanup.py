"""Nothing of a network stays on the machine, however its owner ended."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from topology_helpers import wait_for, wire

from p4cats.topologies import cleanup
from p4cats.topologies.network import Network

pytestmark = pytest.mark.root

OWNER = """
import json, pathlib, sys, time
from p4cats.topologies import cleanup
from p4cats.topologies.network import Network
cleanup.ROOT = pathlib.Path({root!r})
sys.path.insert(0, {folder!r})
from topology_helpers import wire
with Network(wire("delay: 1ms")) as network:
    network.popen("ha", ["sleep", "1000"])
    network.mininet["hb"].cmd("setsid sleep 1001 >/dev/null 2>&1 &")
    network.popen("hb", ["sleep", "1002"], die_with_parent=False)
    pinned = {pinned!r}
    open(pinned, "w").close()
    network.record.also_remove(pinned)
    print(json.dumps([network.record.name, sorted(network.record.processes())]), flush=True)
    time.sleep(1000)
"""


class Owner:
    """A program that holds a network until it is told to end."""

    def __init__(self, tmp_path):
        self.pinned = tmp_path / "pinned"
        folder = str(Path(__file__).parent)
        text = OWNER.format(folder=folder, pinned=str(self.pinned), root=str(cleanup.ROOT))
        # A shell that starts the tests in the background has SIGINT ignored, which would be inherited.
        self.process = subprocess.Popen(
            ["env", "--default-signal=INT", sys.executable, "-c", text],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        line = self.process.stdout.readline()
        assert line, self.process.stderr.read()
        name, self.pids = json.loads(line)
        self.run = cleanup.Run(cleanup.ROOT / name)

    def is_gone(self):
        return not self.run.processes() and not self.run.directory.exists() and not self.pinned.exists()


@pytest.fixture
def owner(tmp_path, monkeypatch):
    # Records of its own: networks of tests that run beside this one must not clean up for it.
    monkeypatch.setattr(cleanup, "ROOT", tmp_path / "records")
    owner = Owner(tmp_path)
    # Four shells of nodes, the link emulator, and three programs in the nodes.
    assert len(owner.pids) == 8
    yield owner
    owner.process.kill()
    owner.run.remove()
    owner.process.communicate()


def namespaces_held():
    """Return the network namespaces of this machine's processes."""
    held = set()
    for process in Path("/proc").glob("[0-9]*"):
        try:
            held.add(os.readlink(process / "ns" / "net"))
        except OSError:
            continue
    return held


def test_stopping_removes_processes_namespaces_and_records():
    network = Network(wire("delay: 1ms"))
    with network:
        process = network.popen("ha", ["sleep", "1000"])
        network.mininet["hb"].cmd("sleep 1001 &")
        record, directory = network.record, network.directory
        spaces = {os.readlink(network.netns(name)) for name in ("a", "b", "ha", "hb")}
        assert len(spaces) == 4
        assert spaces <= namespaces_held()
        # A process shows no environment while it executes another program.
        wait_for(lambda: len(record.processes()) == 7, "four shells, the emulator and two programs")
    assert process.poll() == -signal.SIGTERM
    assert record.processes() == set()
    assert not directory.exists()
    assert not spaces & namespaces_held()


def test_a_program_that_ignores_sigterm_is_killed(monkeypatch):
    monkeypatch.setattr("p4cats.topologies.network.TERMINATE_TIMEOUT_S", 0.1)
    with Network(wire()) as network:
        process = network.popen("ha", ["sh", "-c", "trap '' TERM; echo ready; while :; do sleep 1000; done"],
                                stdout=subprocess.PIPE)  # fmt: skip
        assert process.stdout.readline() == b"ready\n"
    assert process.poll() == -signal.SIGKILL
    process.stdout.close()


def test_an_exception_inside_the_network_removes_it():
    network = Network(wire("delay: 1ms"))

    def use():
        with network:
            records.append(network.record)
            raise ZeroDivisionError

    records = []
    with pytest.raises(ZeroDivisionError):
        use()
    (record,) = records
    assert record.processes() == set()
    assert not record.directory.exists()


def test_ctrl_c_removes_everything(owner):
    owner.process.send_signal(signal.SIGINT)
    _, complaint = owner.process.communicate(timeout=20)
    assert "KeyboardInterrupt" in complaint
    assert owner.is_gone()


def test_after_sigkill_what_can_dies_at_once_and_the_next_start_removes_the_rest(owner):
    owner.process.kill()
    owner.process.wait()
    # Shells, emulator and the program that dies with its parent need nobody; two programs stay.
    wait_for(lambda: len(owner.run.processes()) <= 2, "the processes that die with their owner")
    assert owner.run.directory.exists()
    assert owner.pinned.exists()
    with Network(wire()):
        assert owner.is_gone()


def test_the_network_of_a_living_process_is_left_alone(owner):
    assert owner.run.name not in cleanup.remove_leftovers()
    assert owner.run.processes() == set(owner.pids)


def test_a_pid_that_means_another_process_now_is_not_killed(tmp_path):
    bystander = subprocess.Popen(["sleep", "1000"])
    try:
        run = cleanup.Run(tmp_path / "1-1-1-old")
        run.directory.mkdir()
        started = cleanup.start_time(bystander.pid)
        (run.directory / "processes").write_text(f"{bystander.pid} {started - 1} 'sleep 1000'\nx y z\n\n")
        assert run.processes() == set()
        run.remove()
        assert bystander.poll() is None
        assert not run.directory.exists()
        run.directory.mkdir()
        (run.directory / "processes").write_text(f"{bystander.pid} {started} 'sleep 1000'\n")
        run.remove()
        assert bystander.wait(5) == -signal.SIGKILL
    finally:
        bystander.kill()
        bystander.wait()


def test_the_start_time_of_a_process_that_ended_is_none():
    process = subprocess.Popen(["true"])
    wait_for(lambda: cleanup.start_time(process.pid) is None, "a zombie counts as gone")
    process.wait()
    assert cleanup.start_time(process.pid) is None
    assert cleanup.start_time(os.getpid()) > 0


def test_other_files_beside_the_records_are_left_alone(monkeypatch, tmp_path):
    monkeypatch.setattr(cleanup, "ROOT", tmp_path)
    (tmp_path / "api.sock").touch()
    (tmp_path / "1-1-1-old").mkdir()
    assert cleanup.remove_leftovers() == ["1-1-1-old"]
    assert [item.name for item in tmp_path.iterdir()] == ["api.sock"]


def test_empty_directories_of_a_killed_run_are_removed_and_others_kept(monkeypatch, tmp_path):
    root, pins = tmp_path / "run", tmp_path / "pins"
    monkeypatch.setattr(cleanup, "ROOT", root)
    monkeypatch.setattr(cleanup, "PINS", pins)
    pins.mkdir()
    assert cleanup.remove_leftovers() == []
    assert not pins.exists()
    (pins / "2-2-1-other").mkdir(parents=True)
    (root / "1-1-1-old").mkdir(parents=True)
    assert cleanup.remove_leftovers() == ["1-1-1-old"]
    assert [item.name for item in pins.iterdir()] == ["2-2-1-other"]
    assert not root.exists()
