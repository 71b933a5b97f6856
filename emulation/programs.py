"""What the command line does with P4 programs: the files that a controller gives a switch, packet tests."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

from p4cats.compiler.backends.model import compile_program as compile_program_for_model
from p4cats.compiler.backends.p4info import p4info, write_p4info
from p4cats.compiler.backends.xdp import generate as generate_xdp
from p4cats.compiler.diagnostics import CompileError, Reporter, Severity
from p4cats.compiler.driver import compile_file
from p4cats.compiler.ir import nodes as ir
from p4cats.compiler.parse import preprocess_to_text
from p4cats.emulation.environment import why_not_xdp
from p4cats.errors import UserError
from p4cats.switch.stf import StfResult, parse_stf, run_statements
from p4cats.topologies.schema import Topology

ROLE_PROGRAMS = {"edge": "edge.p4", "transit": "transit.p4"}
"""P4 program of a switch's role, in p4src/."""


@dataclass(frozen=True)
class ProgramFiles:
    """P4Info and device configuration of one program."""

    p4info: Path
    device_config: Path
    """Preprocessed P4 text: the target compiles it itself, so no code is taken from the network."""
    generated: Path | None = None
    """C text of the xdp target, for people: a switch makes its own from the device configuration."""

    @property
    def written(self) -> tuple[Path, ...]:
        """All files."""
        files = (self.p4info, self.device_config)
        return files if self.generated is None else (*files, self.generated)


def compile_program(
    program: Path,
    directory: Path,
    *,
    target: str = "model",
    include_dirs: Sequence[Path] = (),
    defines: Mapping[str, str] | None = None,
    report: Callable[[str], None] = lambda text: None,
    must_run: bool = True,
    keep: bool = False,
) -> ProgramFiles:
    """Compile a program and write NAME.p4info.txtpb and NAME.TARGET.p4 to `directory`.

    With `keep` also NAME.bpf.c, what target xdp makes of it, in one function: a switch cuts it where it must.
    `report` takes warnings, as text of several lines; among them what the target cannot run, unless it
    `must_run`. UserError with all diagnostics; nothing is written then.
    """
    reporter = Reporter()
    try:
        # From the file, not from the preprocessed text: diagnostics show the lines that were written.
        compiled = compile_file(program, include_dirs=include_dirs, defines=defines, reporter=reporter)
        info = p4info(compiled)
        _check_target(compiled, reporter, must_run, target)
        generated = generate_xdp(compiled).text if keep else None
        text = preprocess_to_text(
            program, include_dirs=include_dirs, defines=defines or {}, reporter=reporter
        )
    except CompileError as error:
        raise _user_error(error, reporter) from None
    for diagnostic in reporter.diagnostics:
        report(diagnostic.render())
    try:
        directory.mkdir(parents=True, exist_ok=True)
        files = ProgramFiles(
            directory / f"{program.stem}.p4info.txtpb",
            directory / f"{program.stem}.{target}.p4",
            directory / f"{program.stem}.bpf.c" if generated is not None else None,
        )
        write_p4info(info, files.p4info)
        files.device_config.write_text(text, encoding="utf-8")
        if files.generated is not None and generated is not None:
            files.generated.write_text(generated, encoding="utf-8")
    except OSError as error:
        raise UserError(f"{error.filename or directory}: cannot be written: {error.strerror}") from None
    return files


def run_packet_test(
    program: Path,
    test: Path,
    *,
    target: str = "model",
    include_dirs: Sequence[Path] = (),
    defines: Mapping[str, str] | None = None,
) -> StfResult:
    """Compile a program and run an STF file on it; UserError for mistakes in either."""
    reporter = Reporter()
    try:
        statements = parse_stf(test.read_text(encoding="utf-8", errors="replace"), str(test))
        compiled = compile_file(program, include_dirs=include_dirs, defines=defines, reporter=reporter)
        return run_statements(compiled, statements, str(program), str(test), target)
    except CompileError as error:
        raise _user_error(error, reporter) from None
    except OSError as error:
        raise UserError(f"{test}: cannot be read: {error.strerror}") from None


def _check_target(program: ir.Program, reporter: Reporter, must_run: bool, target: str) -> None:
    """Let the target's back end say now what it cannot run."""
    try:
        if target == "xdp":
            generate_xdp(program)
        else:
            compile_program_for_model(program)
    except CompileError as error:
        if must_run:
            raise
        for d in error.diagnostics:
            reporter.warning(d.span, d.message, d.hint)


def _user_error(error: CompileError, reporter: Reporter) -> UserError:
    """All that was reported, and what the back ends raised by themselves."""
    shown = [*reporter.diagnostics, *(d for d in error.diagnostics if d not in reporter.diagnostics)]
    errors = sum(d.severity is Severity.ERROR for d in shown)
    return UserError("\n".join([*(d.render() for d in shown), f"{errors} error{'s' * (errors != 1)}"]))


def switch_programs(topology: Topology, directory: Path, target: str) -> dict[str, ProgramFiles]:
    """Compile what the switches of a topology run, each program once; keys are `program` or `role`."""
    paths = _program_paths(topology)
    return {key: compile_program(path, directory, target=target) for key, path in paths.items()}


def choose_target(topology: Topology, target: str, keep: Path | None = None) -> str:
    """The target of a topology's switches: auto is xdp, or the model where this machine or xdp refuses it.

    Why it is the model is told in a line on stderr. `keep` is a directory for NAME.bpf.c, the C text that xdp
    runs. UserError where target xdp refuses a program, or one does not compile.
    """
    if target not in ("auto", "xdp") or (target == "xdp" and keep is None):
        return target
    if target == "auto" and (lacking := why_not_xdp()) is not None:
        print(f"p4cats: target model, which is slow; xdp does not run here: {lacking}", file=sys.stderr)
        return "model"
    from p4cats.switch.xdp.loader import LoadError, load  # noqa: PLC0415 (libbpf may be missing)

    for path in _program_paths(topology).values():
        reporter = Reporter()
        try:
            program = compile_file(path, reporter=reporter)
        except CompileError as error:
            raise _user_error(error, reporter) from None
        try:
            kept = keep / f"{path.stem}.bpf.c" if keep is not None else None
            load(program, None, kept).close()
        except (CompileError, LoadError) as error:
            if target == "xdp":
                raise UserError(str(error)) from None
            reason = str(error).splitlines()[0]
            print(f"p4cats: target model, which is slow: {reason}", file=sys.stderr)
            return "model"
        if kept is not None:
            print(f"p4cats: generated C of {path.name}: {kept}", file=sys.stderr)
    return "xdp"


def _program_paths(topology: Topology) -> dict[str, Path]:
    """Programs of the switches by `program` or `role`."""
    shipped = Path(str(resources.files("p4cats.p4src")))
    return {
        s.program or s.role: Path(s.program) if s.program else shipped / ROLE_PROGRAMS[s.role]
        for s in topology.switches.values()
    }
