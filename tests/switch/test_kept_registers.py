"""Registers over a restart of `p4cats switch --state FILE`."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

import pytest
from finsy.proto import p4d, p4r
from p4rt_client import client
from served import id_of
from switch_process import EVERYTHING, running_switch

LAST_SEEN, CELLS = id_of("last_seen"), id_of("cells")
TARGETS = ["model", *(["xdp"] if os.geteuid() == 0 else [])]


def cell(register: int, index: int, data: p4d.P4Data | None = None) -> p4r.Entity:
    return p4r.Entity(
        register_entry=p4r.RegisterEntry(register_id=register, index=p4r.Index(index=index), data=data)
    )


def with_switch(target: str, state: Path, *writes: p4r.Entity) -> list[p4r.RegisterEntry]:
    """Start a switch, write registers, read cell 3 of `last_seen` and cell 2 of `cells`, end it."""

    async def ask(address: str) -> list[p4r.RegisterEntry]:
        async with client(address) as it:
            await it.arbitrate(1)
            if writes:
                updates = [p4r.Update(type=p4r.Update.MODIFY, entity=item) for item in writes]
                await it.write(*updates)
            found = await it.read(cell(LAST_SEEN, 3), cell(CELLS, 2))
            return [item.register_entry for item in found]

    with running_switch("--pipeline", EVERYTHING, "--target", target, "--state", state) as switch:
        return asyncio.run(ask(switch.address))


@pytest.mark.parametrize("target", TARGETS)
def test_registers_survive_an_orderly_restart_once(target: str, tmp_path: Path) -> None:
    state = tmp_path / "registers"
    number = p4d.P4Data(bitstring=b"\x12\x34")
    began = with_switch(target, state)
    struct = began[1].data
    written = with_switch(target, state, cell(LAST_SEEN, 3, number), cell(CELLS, 2, struct))
    assert written[0].data.bitstring == b"\x12\x34"
    assert with_switch(target, state) == written
    state.unlink()
    assert with_switch(target, state) == began


def test_a_file_that_is_no_state_is_told_and_left_out(tmp_path: Path) -> None:
    state = tmp_path / "registers"
    state.write_text("not a state")
    assert with_switch("model", state)[0].data.bitstring == b"\x00"
