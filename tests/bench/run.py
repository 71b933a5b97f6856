"""`make bench`: measures, prints a table and writes {"name": {"value": x, "unit": "…"}}.

Every figure is a median; `spread` is the range it was found in. Run it on an otherwise idle machine.
"""

from __future__ import annotations

import argparse
import functools
import importlib
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.table import Table

REPOSITORY = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Figure:
    """One measured quantity: all samples, in `unit`."""

    name: str
    unit: str
    samples: tuple[float, ...]

    @property
    def value(self) -> float:
        """The median."""
        return statistics.median(self.samples)

    def as_dict(self) -> dict[str, object]:
        """For build/bench.json."""
        spread = [_round(min(self.samples)), _round(max(self.samples))]
        return {"value": _round(self.value), "unit": self.unit, "spread": spread, "runs": len(self.samples)}


def _round(value: float) -> float:
    return float(f"{value:.4g}")


def _compile_seconds(program: Path, runs: int) -> tuple[float, ...]:
    """The whole command, start of the interpreter included."""
    samples = []
    with tempfile.TemporaryDirectory() as directory:
        argv = [sys.executable, "-m", "p4cats", "compile", str(program), "-o", directory]
        for _ in range(runs):
            begin = time.perf_counter()
            subprocess.run(argv, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            samples.append(time.perf_counter() - begin)
    return tuple(samples)


def compile_edge() -> Iterator[Figure]:
    """The edge forwarder."""
    yield Figure("compile.edge_s", "s", _compile_seconds(REPOSITORY / "p4src/edge.p4", 5))


def compile_large() -> Iterator[Figure]:
    """2,500 lines with 100 tables, and what four times as many lines cost per line."""
    from large_program import large_program

    with tempfile.TemporaryDirectory() as directory:
        program = Path(directory) / "large.p4"
        program.write_text(large_program(100))
        once = _compile_seconds(program, 5)
        program.write_text(large_program(400))
        four = _compile_seconds(program, 3)
    yield Figure("compile.large_s", "s", once)
    yield Figure("compile.large_growth", "x per line", tuple(t / 4 / statistics.median(once) for t in four))


def model_edge() -> Iterator[Figure]:
    """One ModelDataPlane with edge.p4: requests of 1,000 flows to a service with eight instances."""
    import edge_load

    from p4cats.compiler.driver import compile_file
    from p4cats.switch.model.bench import measure

    program = compile_file(REPOSITORY / "p4src/edge.p4")
    packets, entries = edge_load.packets(), edge_load.entries()
    samples = [measure(program, packets, entries) for _ in range(5)]
    yield Figure("model.edge_pps", "packets/s", tuple(samples))
    yield Figure("model.edge_us", "µs/packet", tuple(1e6 / pps for pps in samples))


def _of_module(name: str) -> Iterator[Figure]:
    """What `measure` of a module beside this one yields: name, unit and samples of each figure."""
    module = importlib.import_module(name)
    for figure, unit, samples in module.measure():
        yield Figure(figure, unit, tuple(samples))


BENCHES: dict[str, Callable[[], Iterator[Figure]]] = {
    "compile": compile_edge,
    "large": compile_large,
    "model": model_edge,
}
MODULES = (*("p4runtime", "xdp", "packet", "stamp", "sense", "steer", "telemetry", "decisions", "reaction"),)
"""Their docstrings say what they measure."""
BENCHES |= {name: functools.partial(_of_module, name) for name in MODULES}
NEED_NO_ROOT = {"compile", "large", "model", "p4runtime"}


def machine() -> str:
    """Processor, cores, kernel and Python, in one line."""
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    model = next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "?")
    return f"{model}, {os.cpu_count()} cores, Linux {platform.release()}, Python {platform.python_version()}"


def main() -> int:
    """Run the benches that were named, or all."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", type=Path, help="file to write")
    parser.add_argument("bench", nargs="*", choices=[[], *BENCHES], help="default: all")
    arguments = parser.parse_args()
    console = Console()
    table = Table("figure", "median", "unit", "from", "to")
    figures = []
    for name in arguments.bench or BENCHES:
        if name not in NEED_NO_ROOT and os.geteuid() != 0:
            console.print(f"{name}: left out, it needs root")
            continue
        console.print(f"measuring {name}")  # nothing that moves: that would take CPU time
        figures += list(BENCHES[name]())
    for figure in figures:
        spread = (f"{min(figure.samples):.4g}", f"{max(figure.samples):.4g}")
        table.add_row(figure.name, f"{figure.value:.4g}", figure.unit, *spread)
    console.print(machine())
    console.print(table)
    if arguments.json:
        arguments.json.parent.mkdir(parents=True, exist_ok=True)
        written = {figure.name: figure.as_dict() for figure in figures}
        arguments.json.write_text(json.dumps({"machine": machine(), **written}, indent=2) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
