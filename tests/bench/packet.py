"""What metrics cost an ingress forwarder: edge.p4 on xdp, by BPF_PROG_TEST_RUN on one core.

Stamped packets and packets of the same size without the option take turns; a difference is of neighbours.

    packet.check_ns    all checks, the MAC, learning and blanking; but no sequence is remembered, for
                       else the packet would be learned once only
    packet.beacon_ns   all of it: parsing, checks, learning
    packet.blank_ns    reading the option and blanking it, where the first check fails
    packet.mac_per_s   one over the difference between a packet whose MAC is wrong and one refused just before
"""

from __future__ import annotations

import shutil
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from p4cats.compiler.driver import compile_file

TESTS = Path(__file__).resolve().parents[1]
RUNS = 9
NOT_REMEMBERED = "load_sequence.write("

Rows = Iterator[tuple[str, str, list[float]]]


def forgetful_edge(directory: Path) -> Path:
    """edge.p4 without the statement that remembers sequence numbers."""
    shutil.copytree(TESTS.parent / "p4src", directory / "p4src")
    metrics = directory / "p4src/include/metrics.p4"
    lines = metrics.read_text().splitlines()
    kept = [line for line in lines if NOT_REMEMBERED not in line]
    assert len(kept) == len(lines) - 1
    metrics.write_text("\n".join(kept) + "\n")
    return directory / "p4src/edge.p4"


def measure() -> Rows:
    """Name, unit and samples of each figure."""
    sys.path[:0] = [str(TESTS / "xdp"), str(TESTS / "p4src")]
    import ingress as i
    from measure_xdp import Restoring, as_port, padded

    good = i.Metric(sequence=2)
    packets = {
        "plain": i.ipv6(i.udp(payload=bytes(i.protocol.HBH_BYTES + 6)), i.SERVICE, i.CLIENT, 17),
        "learned": i.response(good),
        "blanked": i.response(good.but(magic=1)),
        "forged": i.response(good.but(sequence=3, mac=bytes(8))),
        "repeated": i.response(good),
    }
    assert len({len(packet) for packet in packets.values()}) == 1
    packets["beacon"] = i.beacon(good)
    with tempfile.TemporaryDirectory() as directory:
        forgetful = compile_file(forgetful_edge(Path(directory)))
    switches = {True: i.Ingress("xdp", forgetful), False: i.Ingress("xdp")}
    switches[False].send(packets["repeated"])
    found: dict[str, list[float]] = {name: [] for name in packets}
    for ingress in switches.values():
        as_port(ingress.plane, i.CORE_PORT)
    runs = {name: Restoring(padded(packet)) for name, packet in packets.items()}
    for _ in range(RUNS):
        for name, run in runs.items():
            program = switches[name in ("learned", "beacon")].plane.loaded.object.programs["p4_main"]
            found[name].append(run.measure(program)[1])
    assert switches[True].results().keys() == {"learned"}
    assert switches[False].results().keys() == {"learned", "malformed", "forged", "repeated"}
    for ingress in switches.values():
        ingress.close()
    plain = found["plain"]
    yield "packet.check_ns", "ns/packet", _differences(found["learned"], plain)
    yield "packet.beacon_ns", "ns/packet", found["beacon"]
    yield "packet.blank_ns", "ns/packet", _differences(found["blanked"], plain)
    macs = _differences(found["forged"], found["repeated"])
    yield "packet.mac_per_s", "1/s", [1e9 / taken for taken in macs]


def _differences(longer: list[float], shorter: list[float]) -> list[float]:
    return [a - b for a, b in zip(longer, shorter, strict=True)]
