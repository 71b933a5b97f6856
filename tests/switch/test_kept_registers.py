"""Registers over a restart of `p4cats switch --state FILE`."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from pathlib import Path

import pytest
from finsy.proto import p4d, p4r
from p4rt_client import client
from served import id_of
from switch_process import EVERYTHING, Host, Running, network, running_switch

LAST_SEEN, CELLS = id_of("last_seen"), id_of("cells")
TARGETS = ["model", pytest.param("xdp", marks=pytest.mark.root)]
PINS = Path("/sys/fs/bpf/p4cats")
NUMBER = p4d.P4Data(bitstring=b"\x12\x34")
FRAME = bytes(12) + b"\x88\xb5" + bytes(50)


def cell(register: int, index: int, data: p4d.P4Data | None = None) -> p4r.Entity:
    return p4r.Entity(
        register_entry=p4r.RegisterEntry(register_id=register, index=p4r.Index(index=index), data=data)
    )


def registers(switch: Running, *writes: p4r.Entity) -> list[p4r.RegisterEntry]:
    """Write registers; read cell 3 of `last_seen` and cell 2 of `cells`."""

    async def ask() -> list[p4r.RegisterEntry]:
        async with client(switch.address) as it:
            await it.arbitrate(1)
            if writes:
                updates = [p4r.Update(type=p4r.Update.MODIFY, entity=item) for item in writes]
                await it.write(*updates)
            found = await it.read(cell(LAST_SEEN, 3), cell(CELLS, 2))
            return [item.register_entry for item in found]

    return asyncio.run(ask())


def with_switch(
    target: str, state: Path, *writes: p4r.Entity, program: Path = EVERYTHING, kill: bool = False
) -> list[p4r.RegisterEntry]:
    """Start a switch, write and read registers, end it."""
    with running_switch("--pipeline", program, "--target", target, "--state", state) as switch:
        found = registers(switch, *writes)
        if kill:
            switch.process.kill()
        return found


@pytest.mark.parametrize("target", TARGETS)
def test_registers_survive_an_orderly_restart_once(target: str, tmp_path: Path) -> None:
    state = tmp_path / "registers"
    began = with_switch(target, state)
    struct = began[1].data
    written = with_switch(target, state, cell(LAST_SEEN, 3, NUMBER), cell(CELLS, 2, struct))
    assert written[0].data == NUMBER
    assert with_switch(target, state) == written
    state.unlink()
    assert with_switch(target, state) == began


def test_a_file_that_is_no_state_is_told_and_left_out(tmp_path: Path) -> None:
    state = tmp_path / "registers"
    state.write_text("not a state")
    assert with_switch("model", state)[0].data.bitstring == b"\x00"


def counted(switch: Running) -> int:
    """How many packets the program has counted in `cells[0].seen`."""

    async def ask() -> int:
        async with client(switch.address) as it:
            found = await it.read(cell(CELLS, 0))
            return int.from_bytes(found[0].register_entry.data.struct.members[0].bitstring, "big")

    return asyncio.run(ask())


@pytest.mark.root
def test_on_xdp_registers_survive_a_sigkill_amid_traffic(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("P4CATS_NETWORK", tmp_path.name)  # whose pins `p4cats clean` leaves alone
    pins = PINS / tmp_path.name
    with network(1) as net:
        options = ("--pipeline", EVERYTHING, "--target", "xdp", "--state", tmp_path / "registers", *net.ports)
        with running_switch(*options) as switch:
            written = registers(switch, cell(LAST_SEEN, 3, NUMBER))
            assert written[0].data == NUMBER
            while counted(switch) < 100:
                send(net.hosts[0], 50)
            seen = counted(switch)
            send(net.hosts[0], 50)
            switch.process.kill()
            send(net.hosts[0], 50)
        with running_switch(*options) as switch:
            assert registers(switch) == written
            assert counted(switch) >= seen
            assert len(list(pins.glob("*/*"))) == 1
            switch.process.kill()
        with running_switch(*options) as switch:
            assert registers(switch) == written
    assert not pins.exists(), "an orderly end leaves a file, no pin"


def send(host: Host, frames: int) -> None:
    for _ in range(frames):
        host.send(FRAME)


@pytest.mark.root
def test_what_another_program_has_left_when_it_was_killed_is_forgotten(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("P4CATS_NETWORK", tmp_path.name)
    state, other = tmp_path / "registers", tmp_path / "other.p4"
    text = EVERYTHING.read_text(encoding="utf-8")
    other.write_text(text.replace("last_seen.write((bit<32>) sm", "last_seen.write(1 + (bit<32>) sm"))
    began = with_switch("xdp", state, cell(LAST_SEEN, 3, NUMBER), kill=True)
    assert with_switch("xdp", state, program=other, kill=True)[0].data != NUMBER
    assert with_switch("xdp", state) != began


@pytest.mark.root
def test_clean_removes_the_pin_of_a_killed_switch_and_of_no_other(tmp_path: Path) -> None:
    def pins() -> list[str]:
        return [str(pin) for pin in PINS.glob(f"switch-*/*-{switch.process.pid}-*")]

    def clean() -> None:
        subprocess.run([sys.executable, "-m", "p4cats", "clean"], check=True, capture_output=True)

    options = ("--pipeline", EVERYTHING, "--target", "xdp", "--state", tmp_path / "registers")
    with running_switch(*options) as switch:
        clean()
        assert len(pins()) == 1
        switch.process.kill()
    assert len(pins()) == 1
    clean()
    assert not pins()
