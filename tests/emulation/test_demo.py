"""The demo as a user runs it: its promise, its output, and what it leaves behind."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from emulation_helpers import REPOSITORY, owned_by

pytestmark = [pytest.mark.root, pytest.mark.alone, pytest.mark.timeout(300)]

TRACE = REPOSITORY.parent / "shared" / "data" / "azure-llm-2023-conv.csv"


def start(*argv: str | Path) -> subprocess.Popen[str]:
    # A shell that starts the tests in the background has SIGINT ignored, which would be inherited.
    command = ["env", "--default-signal=INT", sys.executable, "-m", "p4cats", "demo", *map(str, argv)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def wait_for(condition: Callable[[], object], what: str, timeout_s: float = 60.0) -> None:
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, f"{what}: not within {timeout_s:.0f} s"
        time.sleep(0.05)


@pytest.mark.parametrize("target", ["model", "xdp"])
def test_demo_keeps_its_promise(tmp_path: Path, nothing_left: Callable[[int], None], target: str) -> None:
    process = start("--json", tmp_path / "demo.json", "--seconds", "15", "--target", target)
    out, err = process.communicate(timeout=200)
    assert process.returncode == 0, err
    written = json.loads((tmp_path / "demo.json").read_text())
    assert written["target"] == target
    policies = written["policies"]
    nearest, least = policies["nearest"], policies["least"]
    assert nearest["share"]["edge1"] == 1.0
    assert least["errors"] == 0
    assert least["p99_ms"] <= nearest["p99_ms"] / 2
    assert all(least["share"][site] > 0 for site in ("edge1", "edge2"))
    assert nearest["requests"] == least["requests"]
    kinds = [line for line in out.splitlines() if line.startswith("errors under nearest")]
    assert kinds[0].split(":")[1].split(",")[0].strip().endswith(" timeout")
    assert "," not in kinds[0]
    nothing_left(process.pid)


@pytest.mark.skipif(not TRACE.exists(), reason=f"the request trace is not here: {TRACE}")
def test_demo_replays_a_real_trace(tmp_path: Path, nothing_left: Callable[[int], None]) -> None:
    process = start(
        "--json", tmp_path / "demo.json", "--seconds", "8", "--trace", TRACE, "--policy", "hash,least"
    )
    _, err = process.communicate(timeout=200)
    assert process.returncode == 0, err
    policies = json.loads((tmp_path / "demo.json").read_text())["policies"]
    assert policies["hash"]["requests"] == policies["least"]["requests"] > 100
    assert policies["least"]["errors"] == 0
    nothing_left(process.pid)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_interrupted_demo_leaves_nothing(number: signal.Signals, nothing_left: Callable[[int], None]) -> None:
    process = start("--seconds", "60")
    assert process.stdout is not None
    wait_for(lambda: "policy nearest" in process.stdout.readline(), "the first policy")  # type: ignore[union-attr]
    process.send_signal(number)
    _, err = process.communicate(timeout=30)
    assert process.returncode == 130, err
    assert "Traceback" not in err
    nothing_left(process.pid)


def test_killed_demo_is_cleaned_up_by_the_next_start(nothing_left: Callable[[int], None]) -> None:
    process = start("--seconds", "60")
    assert process.stdout is not None
    wait_for(lambda: "policy nearest" in process.stdout.readline(), "the first policy")  # type: ignore[union-attr]
    process.kill()
    process.wait()
    assert owned_by(process.pid), "a record must be there for the next start to find"
    done = subprocess.run(
        [sys.executable, "-m", "p4cats", "clean"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert f"removed {process.pid}-" in done.stdout
    nothing_left(process.pid)


def test_trace_that_is_none_ends_before_anything_is_built(tmp_path: Path) -> None:
    trace = tmp_path / "trace.csv"
    trace.write_text("a,b\n1,2\n")
    process = start("--trace", trace)
    _, err = process.communicate(timeout=30)
    assert process.returncode == 1
    assert err.startswith(str(trace))
    assert len(err.strip().splitlines()) == 1
    assert owned_by(process.pid) == []
