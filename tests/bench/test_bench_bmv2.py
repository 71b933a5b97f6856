"""The bench of bmv2, with executables in its place that take its arguments: p4cats' compiler and model."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import bmv2
import pytest
import xdp
from xdp_wires import ROUTER, Wire

STANDS_FOR_COMPILER = f"""#!{sys.executable}
import sys
from pathlib import Path
from p4cats.compiler.backends.p4info import write_p4info
from p4cats.switch.programs import compile_pipeline
dash_o, blob, files, info, program = sys.argv[1:]
assert (dash_o, files) == ("-o", "--p4runtime-files")
made = compile_pipeline(Path(program))
Path(blob).write_bytes(made.config)
write_p4info(made.info, Path(info))
"""
STANDS_FOR_SWITCH = f"""#!{sys.executable}
import os, sys
own, grpc = sys.argv[1 : sys.argv.index("--")], sys.argv[sys.argv.index("--") + 1 :]
assert own[0] == "--no-p4" and grpc[0] == "--grpc-server-addr"
ports = [part for flag, value in zip(own, own[1:]) if flag == "-i" for part in ("--port", value)]
device = own[own.index("--device-id") + 1]
os.execv(sys.executable, [sys.executable, "-m", "p4cats", "switch", "--target", "model",
                          "--p4runtime", grpc[1], "--device-id", device, *ports])
"""


def executable(path: Path, text: str) -> None:
    path.write_text(text)
    path.chmod(0o755)


@pytest.fixture
def tools(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that PATH begins with, for what stands for bmv2."""
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    return tmp_path


def test_commands_of_bmv2() -> None:
    assert " ".join(bmv2.compile_command(Path("router.p4"), Path("made"))) == (
        "p4c-bm2-ss -o made/program.json --p4runtime-files made/program.p4info.txtpb router.p4"
    )
    assert " ".join(bmv2.switch_command({1: "p1", 2: "p2"})) == (
        "simple_switch_grpc --no-p4 --device-id 1 -i 1@p1 -i 2@p2 -L warn"
        " -- --grpc-server-addr 127.0.0.1:9559"
    )


def test_the_figure_is_left_out_with_a_reason_where_a_tool_is_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert xdp.left_out() == "xdp.pps_vs_bmv2: left out, p4c-bm2-ss is not on PATH"
    executable(tmp_path / "p4c-bm2-ss", "")
    assert xdp.left_out() == "xdp.pps_vs_bmv2: left out, simple_switch_grpc is not on PATH"
    executable(tmp_path / "simple_switch_grpc", "")
    assert xdp.left_out() is None


class Steady(Wire):
    """Always so many frames per second."""

    def __init__(self, rate: float) -> None:
        self.rate = rate

    def frames_per_second(self, count: int) -> tuple[float, float]:
        return self.rate, 1.0


def test_xdp_is_compared_with_bmv2_where_that_is_there() -> None:
    wires: dict[str, Wire] = {
        "xdp": Steady(800),
        "bare": Steady(1000),
        "kernel": Steady(400),
        "model": Steady(1),
    }
    assert not any("bmv2" in name for name, _, _ in xdp.frames(wires))
    figures = {name: set(samples) for name, _, samples in xdp.frames({**wires, "bmv2": Steady(20)})}
    assert figures["bmv2.pps"] == {20}
    assert figures["xdp.pps_vs_bmv2"] == {40}


@pytest.mark.root
class TestWire:
    def test_frames_pass_a_switch_that_is_started_and_controlled_like_bmv2(self, tools: Path) -> None:
        executable(tools / "p4c-bm2-ss", STANDS_FOR_COMPILER)
        executable(tools / "simple_switch_grpc", STANDS_FOR_SWITCH)
        with bmv2.Bmv2Switch() as wire:
            rate, share = wire.frames_per_second(1000)
        assert rate > 0
        assert 0 < share <= 1

    def test_a_program_that_the_compiler_refuses_is_told_in_its_words(self, tools: Path) -> None:
        executable(tools / "p4c-bm2-ss", '#!/bin/sh\necho "$5: no such thing" >&2\nexit 1\n')
        with pytest.raises(RuntimeError, match=f"^p4c-bm2-ss: {ROUTER}: no such thing$"), bmv2.Bmv2Switch():
            pass

    def test_a_switch_that_ends_before_it_listens_is_named(self, tools: Path) -> None:
        executable(tools / "p4c-bm2-ss", STANDS_FOR_COMPILER)
        executable(tools / "simple_switch_grpc", "#!/bin/sh\nexit 3\n")
        with pytest.raises(RuntimeError, match=r"^simple_switch_grpc: exit code 3, "), bmv2.Bmv2Switch():
            pass
