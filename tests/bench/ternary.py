"""What a look-up in a ternary table of the xdp target takes, by its entries and their masks."""

from __future__ import annotations

import random
import statistics
from collections.abc import Iterator
from pathlib import Path

from p4cats.compiler.driver import compile_file
from p4cats.switch.dataplane import ActionCall, TableEntry, Ternary
from p4cats.switch.xdp import XdpDataPlane

FEW = 16
"""Masks of the table whose entries share them."""
REPEAT, RUNS = 20_000, 7
KEY = (128, 128, 8, 16)
PACKET_KEY = (0x20010DB8 << 96 | 0x1234, 0x20010DB8_0CA7 << 80 | 0x53, 17, 53)


def entries(count: int, masks: int) -> Iterator[TableEntry]:
    """Entries with `masks` different masks; the packet matches only the last, of the lowest priority."""
    rng = random.Random(count)
    known = [tuple(_prefix(w, rng.randrange(1, w + 1)) for w in KEY) for _ in range(4 * masks)]
    known = list(dict.fromkeys(known))[:masks]
    for number in range(count):
        mask = known[number % len(known)]
        values = PACKET_KEY if number == count - 1 else tuple(rng.getrandbits(w) for w in KEY)
        if number < count - 1 and all(
            v & m == p & m for v, m, p in zip(values, mask, PACKET_KEY, strict=True)
        ):
            continue
        key = tuple(Ternary(v & m, m) for v, m in zip(values, mask, strict=True))
        yield TableEntry(key, count - number, ActionCall("Filter.permit", (1,)))


def _prefix(width: int, length: int) -> int:
    return ((1 << length) - 1) << (width - length)


def packet() -> bytes:
    """One that carries PACKET_KEY."""
    source, destination, protocol, port = PACKET_KEY
    ipv6 = (
        bytes([0x60, 0, 0, 0, 0, 8, protocol, 64])
        + source.to_bytes(16, "big")
        + destination.to_bytes(16, "big")
    )
    return bytes(12) + b"\x86\xdd" + ipv6 + bytes(2) + port.to_bytes(2, "big") + bytes(46)


def nanoseconds(count: int, masks: int) -> list[float]:
    """Samples of what `count` entries with `masks` masks add to a packet."""
    plane = XdpDataPlane(compile_file(Path(__file__).with_name("acl.p4")), cpu_port=510)
    try:
        inports = plane.loaded.memory.view("inports", 2048)
        inports[2], inports[3] = 1, 1  # test runs come in by the loopback interface, as port 1
        program = plane.loaded.object.programs["p4_main"]
        empty = [program.test_run(packet(), repeat=REPEAT).duration_ns for _ in range(RUNS)]
        for entry in entries(count, masks):
            plane.insert_entry("Filter.acl", entry)
        full = [program.test_run(packet(), repeat=REPEAT).duration_ns for _ in range(RUNS)]
        return [n - min(empty) for n in full]
    finally:
        plane.close()


def measure() -> Iterator[tuple[str, str, list[float]]]:
    """Name, unit and samples of each figure."""
    yield "xdp.ternary_1000_ns", "ns/look-up", nanoseconds(1000, FEW)
    yield "xdp.ternary_1000_masks_ns", "ns/look-up", nanoseconds(1000, 1000)


def main() -> None:
    """Print a table of both kinds at every size."""
    for count in (10, 100, 1000, 10_000):
        for masks in (min(FEW, count), count):
            taken = nanoseconds(count, masks)
            found = f"{min(taken):8.0f} ns, median {statistics.median(taken):8.0f}"
            print(f"{count:6} entries {masks:6} masks {found}")


if __name__ == "__main__":
    main()
