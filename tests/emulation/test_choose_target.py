"""`up` and `demo` with `--target auto`: xdp, or the model where xdp refuses a switch's program, and why."""

from __future__ import annotations

from pathlib import Path

import pytest

from p4cats.emulation.programs import choose_target
from p4cats.errors import UserError
from p4cats.topologies.schema import Topology, load

pytestmark = pytest.mark.root
ROUTER = Path(__file__).resolve().parents[1] / "xdp" / "router.p4"


@pytest.fixture
def topology(tmp_path: Path) -> Topology:
    """A switch that runs a program of its own."""
    (tmp_path / "own.p4").write_text(ROUTER.read_text())
    path = tmp_path / "one.yaml"
    path.write_text(
        f"name: one\nswitches:\n  s1: {{role: edge, program: {tmp_path}/own.p4}}\n"
        "hosts:\n  h1: {switch: s1}\n"
    )
    return load(path)


def _refuse(topology: Topology) -> None:
    program = topology.switches["s1"].program
    assert program is not None
    text = Path(program).read_text()
    Path(program).write_text(
        text.replace("transition", "bit<1984> x = packet.lookahead<bit<1984>>(); transition", 1)
    )


def test_auto_is_xdp_where_it_takes_all_programs(
    topology: Topology, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert choose_target(topology, "auto") == "xdp"
    assert not capsys.readouterr().err
    assert choose_target(topology, "auto", keep=tmp_path) == "xdp"
    assert capsys.readouterr().err == f"p4cats: generated C of own.p4: {tmp_path / 'own.bpf.c'}\n"
    assert "/* own.p4:" in (tmp_path / "own.bpf.c").read_text()


def test_auto_is_the_model_where_xdp_refuses_a_program(
    topology: Topology, capsys: pytest.CaptureFixture[str]
) -> None:
    _refuse(topology)
    assert choose_target(topology, "auto") == "model"
    said = capsys.readouterr().err
    assert len(said.splitlines()) == 1
    assert said.startswith("p4cats: target model, which is slow: ")
    assert f"{topology.switches['s1'].program}:" in said
    assert "target xdp: lookahead of 1984 bits" in said


def test_xdp_is_an_error_where_a_program_is_to_be_kept_and_is_refused(
    topology: Topology, tmp_path: Path
) -> None:
    _refuse(topology)
    with pytest.raises(UserError, match="target xdp: lookahead of 1984 bits"):
        choose_target(topology, "xdp", keep=tmp_path)
