"""From a generated program to one in the kernel: clang, libbpf, the verifier."""

from __future__ import annotations

import hashlib
import os
import platform
from dataclasses import dataclass
from pathlib import Path

from p4cats.compiler.backends.xdp import XdpSource, generate, include_dir
from p4cats.compiler.ir import nodes
from p4cats.ebpf import _capi
from p4cats.ebpf.build import cache_dir, compile_bpf
from p4cats.ebpf.errors import BuildError, EbpfError, VerifierError
from p4cats.ebpf.libbpf import Object
from p4cats.errors import UserError
from p4cats.switch.xdp.memory import Memory, variables
from p4cats.switch.xdp.refusals import TOO_MANY_FUNCTIONS, explain, too_large

_QUIET = ("unused-label", "unused-variable", "unused-but-set-variable", "unused-function")
_MOST_LINES = (0, 600, 150, 40, 12)
"""Lines of a function: any number, then what is tried for programs that are refused so."""
_TOO_LONG = 5000
"""Lines of a text that is not tried whole: the verifier would take seconds to refuse it."""
_DEEPEST = 4096
"""Brackets in one another that clang reads (256 of itself): sub-controls stand where they are called."""
_FARTHEST_JUMP = 0x7FFF
"""Instructions. Of a longer jump clang 14 writes the lowest 16 bits, without a word."""


class LoadError(UserError):
    """A program that this kernel (or clang) does not take, with the P4 line where that is known."""


class _TooLargeError(Exception):
    """A program that may be taken when it is cut more finely."""


@dataclass
class Loaded:
    """A program in the kernel."""

    source: XdpSource
    object: Object
    memory: Memory
    cpus: int

    def close(self) -> None:
        """Free program and maps; what is attached stays until its link is closed."""
        self.memory.close()
        self.object.close()


def possible_cpus() -> int:
    """CPUs that the kernel may run on: per-CPU arrays have that many parts."""
    return int(_capi.lib().libbpf_num_possible_cpus())


def build(source: XdpSource) -> Path:
    """Compile the C text to an object file. Errors: BuildError."""
    digest = hashlib.sha256(source.text.encode()).hexdigest()[:16]
    path = cache_dir() / f"p4-{digest}.bpf.c"
    if not path.exists() or path.read_text() != source.text:
        scratch = path.with_name(f"{path.name}.{os.getpid()}")
        scratch.write_text(source.text)
        scratch.replace(path)
    flags = [
        f"-DCPUS={possible_cpus()}",
        "-fwrapv",
        f"-fbracket-depth={_DEEPEST}",
        *(f"-Wno-{name}" for name in _QUIET),
    ]
    return compile_bpf(path, [include_dir()], flags)


def load(program: nodes.Program, cpu_port: int | None, keep: Path | None = None) -> Loaded:
    """Compile and load; in one function if the kernel takes it so, else cut as coarsely as it does.

    `keep` is a file to which the C text is written that was loaded, or was the last to be refused.
    Errors: CompileError for what the target refuses, LoadError for what clang or the kernel refuses.
    """
    reason = ""
    whole = generate(program)
    remembered = _remembered(whole)
    tries = _MOST_LINES if whole.text.count("\n") < _TOO_LONG else _MOST_LINES[1:]
    for most_lines in sorted(tries, key=lambda n: str(n) != remembered):
        try:
            source = generate(program, most_lines) if most_lines else whole
            if keep is not None:
                _write(keep, source.text)
            loaded = _load(source, cpu_port)
        except _TooLargeError as error:
            reason = str(error)
            if reason == TOO_MANY_FUNCTIONS:  # finer cuts make more of them
                break
        else:
            if most_lines and str(most_lines) != remembered:
                _write(_memory(whole), str(most_lines))
            return loaded
    name = program.ingress.span.source.name
    raise LoadError(f"target xdp: {name} is too large, cut in small pieces too: {reason}; use --target model")


def _memory(whole: XdpSource) -> Path:
    """The file that says how a program was cut that this kernel did not take whole."""
    made_of = f"{platform.release()}\n{whole.text}".encode()
    return cache_dir() / f"p4-{hashlib.sha256(made_of).hexdigest()[:16]}.lines"


def _remembered(whole: XdpSource) -> str:
    try:
        return _memory(whole).read_text(encoding="utf-8")
    except OSError:
        return ""


def _write(path: Path, text: str) -> None:
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise LoadError(f"{path}: cannot be written: {error.strerror}") from error


def _load(source: XdpSource, cpu_port: int | None) -> Loaded:
    try:
        path = build(source)
        try:
            return _opened(source, path, cpu_port, trace=False)
        except VerifierError as error:
            if too_large(error):
                raise
        return _opened(source, path, cpu_port, trace=True)
    except (BuildError, VerifierError) as error:
        if reason := too_large(error):
            raise _TooLargeError(reason) from error
        raise LoadError(explain(source, error)) from error
    except EbpfError as error:
        raise LoadError(f"target xdp: {error}") from error


def _opened(source: XdpSource, path: Path, cpu_port: int | None, *, trace: bool) -> Loaded:
    obj = Object.open(path)
    try:
        _check_jumps(obj)
        obj.set_global("cpu_port", 0xFFFFFFFE if cpu_port is None else cpu_port)
        obj.load(trace=trace)
        return Loaded(source, obj, Memory(variables(obj), obj.btf), possible_cpus())
    except BaseException:
        obj.close()
        raise


def _check_jumps(obj: Object) -> None:
    if obj.programs["p4_main"].instructions > _FARTHEST_JUMP:
        raise _TooLargeError("it is longer than a jump may be")


__all__ = ["LoadError", "Loaded", "build", "load", "possible_cpus"]
