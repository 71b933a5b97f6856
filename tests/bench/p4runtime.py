"""The P4Runtime service under a controller: the switch in a process of its own, finsy in this one.

Names without a target are of the one that `--target auto` takes for the bench's program: xdp where it runs.

100,000 lpm entries are written in batches of 1,000, each batch awaited before the next is encoded, as a
controller in a loop does it; then all are read. Making finsy's entry objects is not measured, encoding
them is: it is the client's part of a write.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import logging
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import finsy as fy
import grpc
from finsy.proto import p4r, p4r_grpc

from p4cats.compiler.backends.p4info import write_p4info
from p4cats.switch.pipeline import Program
from p4cats.switch.programs import compile_pipeline

PROGRAM = Path(__file__).with_name("routes.p4")
EDGE = Path(__file__).parents[2] / "p4src" / "edge.p4"
"""The program that is swapped: the largest of ours."""
ENTRIES = 100_000
BATCH = 1_000
IN_FLIGHT = 4
"""Batches under way at once where a client does not wait for each."""
RUNS = 3

Samples = list[float]


class Switch:
    """A `p4cats switch` process with the program of this bench."""

    def __init__(self, target: str) -> None:
        argv = ["switch", "--target", target, "--p4runtime", "127.0.0.1:0", "--pipeline", str(PROGRAM)]
        self.process = subprocess.Popen(
            [sys.executable, "-m", "p4cats", *argv], stdout=subprocess.PIPE, text=True
        )
        assert self.process.stdout is not None
        found = re.match(r"ready p4runtime=(\S+)", self.process.stdout.readline())
        assert found is not None, "the switch did not start"
        self.address = found[1]

    def memory_bytes(self) -> int:
        """Private memory of the process."""
        rollup = Path(f"/proc/{self.process.pid}/smaps_rollup").read_text()
        return 1024 * sum(int(n) for n in re.findall(r"^Private_\w+:\s+(\d+)", rollup, re.MULTILINE))

    def close(self) -> None:
        """End it."""
        self.process.terminate()
        self.process.wait(20)


@contextlib.contextmanager
def switch(target: str) -> Iterator[Switch]:
    """A switch that is ended afterwards."""
    made = Switch(target)
    try:
        yield made
    finally:
        made.close()


@contextlib.asynccontextmanager
async def controller(address: str, directory: Path, program: Program) -> AsyncIterator[fy.Switch]:
    """A finsy client that is primary and has put an empty pipeline in place."""
    write_p4info(program.info, directory / "routes.p4info.txtpb")
    (directory / "routes.p4").write_bytes(program.config)
    options = fy.SwitchOptions(p4info=directory / "routes.p4info.txtpb", p4blob=directory / "routes.p4")
    async with fy.Switch("bench", address, options) as sw:
        yield sw


def batches() -> list[list[Any]]:
    """All entries as finsy's objects, in batches."""
    made = [
        +fy.P4TableEntry(
            "routes",
            match=fy.P4TableMatch(dst=f"10.{n >> 16}.{n >> 8 & 255}.{n & 255}/32"),
            action=fy.P4TableAction("forward", dst=0x020000000000 + n, port=1 + n % 8),
        )
        for n in range(ENTRIES)
    ]
    return [made[start : start + BATCH] for start in range(0, ENTRIES, BATCH)]


def serialised(program: Program) -> list[bytes]:
    """The same entries as requests ready for the wire."""
    table = program.info.tables[0].preamble.id
    action = next(a.preamble.id for a in program.info.actions if a.preamble.alias == "forward")
    found = []
    for start in range(0, ENTRIES, BATCH):
        request = p4r.WriteRequest(device_id=1, election_id=p4r.Uint128(low=1))
        for n in range(start, start + BATCH):
            update = request.updates.add(type=p4r.Update.INSERT)
            entry = update.entity.table_entry
            entry.table_id = table
            lpm = entry.match.add(field_id=1).lpm
            lpm.value, lpm.prefix_len = (0x0A000000 + n).to_bytes(4, "big"), 32
            entry.action.action.action_id = action
            entry.action.action.params.add(param_id=1, value=(0x020000000000 + n).to_bytes(6, "big"))
            entry.action.action.params.add(param_id=2, value=bytes([1 + n % 8]))
        found.append(request.SerializeToString())
    return found


# -- writes --------------------------------------------------------------------------------------


async def one_by_one(sw: fy.Switch, work: list[list[Any]]) -> None:
    """Each batch is awaited before the next is encoded."""
    for batch in work:
        await sw.write(batch)


async def side_by_side(sw: fy.Switch, work: list[list[Any]]) -> None:
    """Several batches are under way at once, so that client and switch work at the same time."""
    todo = iter(work)

    async def worker() -> None:
        for batch in todo:
            await sw.write(batch)

    await asyncio.gather(*(worker() for _ in range(IN_FLIGHT)))


async def raw(address: str, requests: list[bytes]) -> float:
    """Seconds for requests that cost the client nothing: what the switch alone takes."""
    async with grpc.aio.insecure_channel(address) as channel:
        stub: Any = p4r_grpc.P4RuntimeStub(channel)
        stream = await _primary(stub)
        call: Any = channel.unary_unary("/p4.v1.P4Runtime/Write", None, None)
        begin = time.perf_counter()
        for request in requests:
            await call(request)
        seconds = time.perf_counter() - begin
        stream.cancel()
    return seconds


@contextlib.contextmanager
def busy_machine(processes: int = 2) -> Iterator[None]:
    """Processes that take all the time they can get."""
    spinning = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(processes)]
    try:
        yield
    finally:
        for process in spinning:
            process.kill()
            process.wait()


Write = Callable[[fy.Switch, list[list[Any]]], Awaitable[None]]


async def _write_and_read(
    program: Program,
    directory: Path,
    work: list[list[Any]],
    write: Write,
    *,
    target: str,
    found: dict[str, Samples] | None,
) -> float:
    """Entries written per second; where `found` is given, memory and reads go there."""
    with switch(target) as process:
        async with controller(process.address, directory, program) as sw:
            before = process.memory_bytes()
            begin = time.perf_counter()
            await write(sw, work)
            rate = ENTRIES / (time.perf_counter() - begin)
            if found is None:
                return rate
            found.setdefault("entry_bytes", []).append((process.memory_bytes() - before) / ENTRIES)
            begin = time.perf_counter()
            count = 0
            async for _ in sw.read(fy.P4TableEntry("routes")):
                count += 1
            found.setdefault("read_100k_finsy_s", []).append(time.perf_counter() - begin)
            assert count == ENTRIES
            found.setdefault("read_100k_s", []).append(await _read_raw(process.address))
    return rate


async def _read_raw(address: str) -> float:
    async with grpc.aio.insecure_channel(address) as channel:
        stub: Any = p4r_grpc.P4RuntimeStub(channel)
        request = p4r.ReadRequest(device_id=1, entities=[p4r.Entity(table_entry=p4r.TableEntry())])
        begin = time.perf_counter()
        count = 0
        async for reply in stub.Read(request):
            count += len(reply.entities)
        assert count == ENTRIES
        return time.perf_counter() - begin


async def _swap(program: Program) -> tuple[Samples, Samples]:
    """Milliseconds of VERIFY_AND_COMMIT: a text that the switch must compile, and the one that it runs."""
    compiled, known = [], []
    with switch("model") as process:
        async with grpc.aio.insecure_channel(process.address) as channel:
            stub: Any = p4r_grpc.P4RuntimeStub(channel)
            stream = await _primary(stub)
            for number in range(RUNS):
                request = p4r.SetForwardingPipelineConfigRequest(
                    device_id=1,
                    election_id=p4r.Uint128(low=1),
                    action=p4r.SetForwardingPipelineConfigRequest.VERIFY_AND_COMMIT,
                )
                request.config.p4_device_config = program.config + f"\n// {number}\n".encode()
                for samples in (compiled, known):
                    begin = time.perf_counter()
                    await stub.SetForwardingPipelineConfig(request)
                    samples.append((time.perf_counter() - begin) * 1e3)
            stream.cancel()
    return compiled, known


async def _primary(stub: Any) -> Any:
    """A stream that has won the arbitration with election id 1."""
    stream = stub.StreamChannel()
    update = p4r.MasterArbitrationUpdate(device_id=1, election_id=p4r.Uint128(low=1))
    await stream.write(p4r.StreamMessageRequest(arbitration=update))
    await stream.read()
    return stream


def measure() -> Iterator[tuple[str, str, Samples]]:
    """Name, unit and samples of each figure."""
    with tempfile.TemporaryDirectory() as directory:
        yield from _measure(Path(directory))


def _measure(directory: Path) -> Iterator[tuple[str, str, Samples]]:
    logging.getLogger("finsy").setLevel(logging.ERROR)  # it warns that a switch has no gNMI
    program = compile_pipeline(PROGRAM)
    work = batches()
    gc.collect()
    gc.freeze()  # entries made in advance belong to the bench: collections would look at them in vain
    found: dict[str, Samples] = {}

    def rates(write: Write, into: dict[str, Samples] | None = None, target: str = "auto") -> Samples:
        def run() -> float:
            return asyncio.run(_write_and_read(program, directory, work, write, target=target, found=into))

        return [run() for _ in range(RUNS)]

    def raw_rates(target: str) -> Samples:
        samples = []
        for _ in range(RUNS):
            with switch(target) as process:
                samples.append(ENTRIES / asyncio.run(raw(process.address, requests)))
        return samples

    requests = serialised(program)
    yield "p4runtime.writes_per_s", "entries/s", rates(one_by_one, found)
    yield "p4runtime.model_writes_per_s", "entries/s", rates(one_by_one, target="model")
    yield "p4runtime.writes_in_flight_per_s", "entries/s", rates(side_by_side, found)
    yield "p4runtime.writes_raw_per_s", "entries/s", raw_rates("auto")
    yield "p4runtime.model_writes_raw_per_s", "entries/s", raw_rates("model")
    yield "p4runtime.read_100k_s", "s", found["read_100k_s"]
    yield "p4runtime.read_100k_finsy_s", "s", found["read_100k_finsy_s"]
    yield "p4runtime.entry_bytes", "bytes/entry", found["entry_bytes"]
    compiled, known = asyncio.run(_swap(compile_pipeline(EDGE)))
    yield "p4runtime.swap_ms", "ms", compiled
    yield "p4runtime.swap_known_ms", "ms", known
    with busy_machine():
        loaded = rates(one_by_one)
    yield "p4runtime.writes_loaded_per_s", "entries/s", loaded
