"""A user's mistakes at the command line: one clear line, an exit status, no traceback."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

TOPOLOGY = """
name: small
switches:
  s1: {role: edge}
hosts:
  h1: {switch: s1}
"""


def p4cats(*argv: str | Path, prefix: tuple[str, ...] = ()) -> subprocess.CompletedProcess[str]:
    command = [*prefix, sys.executable, "-m", "p4cats", *map(str, argv)]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


def complaint(done: subprocess.CompletedProcess[str], status: int) -> str:
    assert done.returncode == status, done.stderr
    assert "Traceback" not in done.stderr
    lines = done.stderr.strip().splitlines()
    assert len(lines) == 1, done.stderr
    return lines[0]


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (("hosts:", "hots:"), ":5: hots: unknown key; did you mean hosts?"),
        (("switch: s1", "switch: s2"), ":6: hosts.h1.switch: "),
        (("h1: {switch: s1}", "h1: {switch: s1, delay: -1ms}"), ":6: hosts.h1.delay: must not be negative"),
    ],
)
@pytest.mark.skipif(os.geteuid() != 0, reason="`up` asks for root before it reads the topology")
def test_wrong_topology_names_line_and_field(tmp_path: Path, change: tuple[str, str], expected: str) -> None:
    path = tmp_path / "small.yaml"
    path.write_text(TOPOLOGY.replace(*change))
    assert complaint(p4cats("up", path), 1).startswith(f"{path}{expected}")


def test_program_that_does_not_parse_is_reported_with_its_position(tmp_path: Path) -> None:
    path = tmp_path / "bad.p4"
    path.write_text("header h {\n  bit<8 f;\n}\n")
    done = p4cats("compile", path, "-o", tmp_path / "out")
    assert done.returncode == 1
    assert done.stderr.startswith(f"{path}:2:"), done.stderr
    assert ": error: " in done.stderr.splitlines()[0]
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "out").exists()


def test_missing_program_is_one_line(tmp_path: Path) -> None:
    done = p4cats("compile", tmp_path / "none.p4")
    assert done.returncode == 1
    assert "none.p4" in done.stderr
    assert "Traceback" not in done.stderr


def test_status_without_a_network_says_how_to_start_one() -> None:
    done = p4cats("status", "--network", "no-such-network")
    assert "p4cats up" in complaint(done, 2) or "running: " in done.stderr


def test_unknown_policy_lists_the_policies(tmp_path: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("the demo asks for root before it looks at its policies")
    assert "static, hash, least, nearest" in complaint(p4cats("demo", "--policy", "fastest"), 1)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
@pytest.mark.parametrize("command", [("demo",), ("up", "topologies/edge-cloud.yaml")])
def test_without_root_a_network_is_refused(command: tuple[str, ...]) -> None:
    # Not root, but able to read the checkout wherever it is.
    capability = ("--inh-caps", "+dac_read_search", "--ambient-caps", "+dac_read_search")
    done = p4cats(*command, prefix=("setpriv", "--reuid", "65534", "--clear-groups", *capability))
    assert "needs root" in complaint(done, 2)


def test_switch_without_its_interface_is_refused() -> None:
    done = p4cats("switch", "--p4runtime", "127.0.0.1:0", "--port", "1@p4cats-none")
    assert done.returncode in (1, 2)
    assert "Traceback" not in done.stderr
    assert done.stderr.strip()


@pytest.mark.parametrize("command", ["compile", "stf", "switch", "agent", "up", "demo", "replay", "doctor"])
def test_help_shows_an_example(command: str) -> None:
    done = p4cats(command, "--help")
    assert done.returncode == 0
    assert "Example: p4cats" in done.stdout
