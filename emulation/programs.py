"""Compile P4 programs to the files that a controller gives a switch."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

from p4cats.compiler.backends.p4info import p4info, write_p4info
from p4cats.compiler.diagnostics import CompileError, Reporter
from p4cats.compiler.driver import compile_text
from p4cats.compiler.parse import preprocess_to_text
from p4cats.errors import UserError
from p4cats.topologies.schema import Topology

ROLE_PROGRAMS = {"edge": "edge.p4", "transit": "transit.p4"}
"""P4 program of a switch's role, in p4src/."""


@dataclass(frozen=True)
class ProgramFiles:
    """P4Info and device configuration of one program."""

    p4info: Path
    device_config: Path
    """Preprocessed P4 text: the target compiles it itself, so no code is taken from the network."""

    @property
    def written(self) -> tuple[Path, Path]:
        """Both files."""
        return self.p4info, self.device_config


def compile_program(
    program: Path,
    directory: Path,
    *,
    target: str = "model",
    include_dirs: Sequence[Path] = (),
    defines: Mapping[str, str] | None = None,
    report: Callable[[str], None] = lambda text: None,
) -> ProgramFiles:
    """Compile a program and write NAME.p4info.txtpb and NAME.TARGET.p4 to `directory`.

    `report` takes warnings and errors, as text of several lines. UserError with the number of errors
    after they were reported; nothing is written then.
    """
    reporter = Reporter()
    try:
        text = preprocess_to_text(
            program, include_dirs=include_dirs, defines=defines or {}, reporter=reporter
        )
        info = p4info(compile_text(text, str(program), reporter=reporter))
    except CompileError:
        raise UserError("\n".join(d.render() for d in reporter.diagnostics)) from None
    for diagnostic in reporter.diagnostics:
        report(diagnostic.render())
    try:
        directory.mkdir(parents=True, exist_ok=True)
        files = ProgramFiles(
            directory / f"{program.stem}.p4info.txtpb", directory / f"{program.stem}.{target}.p4"
        )
        write_p4info(info, files.p4info)
        files.device_config.write_text(text, encoding="utf-8")
    except OSError as error:
        raise UserError(f"{error.filename or directory}: cannot be written: {error.strerror}") from None
    return files


def switch_programs(topology: Topology, directory: Path, target: str) -> dict[str, ProgramFiles]:
    """Compile what the switches of a topology run, each program once; keys are `program` or `role`."""
    shipped = Path(str(resources.files("p4cats.p4src")))
    files = {}
    for switch in topology.switches.values():
        key = switch.program or switch.role
        if key not in files:
            path = Path(switch.program) if switch.program else shipped / ROLE_PROGRAMS[switch.role]
            files[key] = compile_program(path, directory, target=target)
    return files
