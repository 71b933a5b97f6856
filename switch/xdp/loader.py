"""From a generated program to one in the kernel: clang, libbpf, the verifier."""

from __future__ import annotations

import hashlib
import os
import re
from dataclasses import dataclass
from pathlib import Path

from p4cats.compiler.backends.xdp import XdpSource, generate, include_dir
from p4cats.compiler.ir import nodes
from p4cats.ebpf import _capi
from p4cats.ebpf.build import cache_dir, compile_bpf
from p4cats.ebpf.errors import BuildError, EbpfError, VerifierError
from p4cats.ebpf.libbpf import Object
from p4cats.errors import UserError
from p4cats.switch.xdp.memory import Memory

_QUIET = ("unused-label", "unused-variable", "unused-but-set-variable", "unused-function")
_SOURCE_LINE = re.compile(r"/\* (\S+\.p4:\d+) \*/")


_NOT_TELLING = ("processed ", ";", "verification time", "libbpf: ", "stack depth", "-- END")


class LoadError(UserError):
    """A program that this kernel (or clang) does not take, with the P4 line where that is known."""


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


def build(source: XdpSource, keep: Path | None = None) -> Path:
    """Compile the C text to an object file; `keep` is where the text is left, else it goes to the cache."""
    digest = hashlib.sha256(source.text.encode()).hexdigest()[:16]
    path = keep or cache_dir() / f"p4-{digest}.bpf.c"
    if not path.exists() or path.read_text() != source.text:
        scratch = path.with_name(f"{path.name}.{os.getpid()}")
        scratch.write_text(source.text)
        scratch.replace(path)
    try:
        flags = [f"-DCPUS={possible_cpus()}", "-fwrapv", *(f"-Wno-{name}" for name in _QUIET)]
        return compile_bpf(path, [include_dir()], flags)
    except BuildError as error:
        raise LoadError(_explain_build(source, str(error))) from error


def load(program: nodes.Program, cpu_port: int | None) -> Loaded:
    """Compile and load. CompileError for what the target refuses, LoadError for what the kernel refuses."""
    source = generate(program)
    obj = Object.open(build(source))
    try:
        obj.set_global("cpu_port", 0xFFFFFFFE if cpu_port is None else cpu_port)
        obj.load()
        return Loaded(source, obj, Memory(obj), possible_cpus())
    except VerifierError as error:
        obj.close()
        raise LoadError(_explain_verifier(source, error)) from error
    except EbpfError as error:
        obj.close()
        raise LoadError(f"target xdp: {error}") from error
    except BaseException:
        obj.close()
        raise


def _explain_build(source: XdpSource, text: str) -> str:
    name = source.program.span.source.name
    if "stack" in text:
        return f"target xdp: {name} needs more than the 512 octets of stack that eBPF has; use --target model"
    return f"target xdp: clang refused the program made from {name}:\n{text}"


def _explain_verifier(source: XdpSource, error: VerifierError) -> str:
    """The verifier's last words, and the last P4 line that its log shows."""
    lines = error.log.splitlines()
    telling = [line for line in lines if line and not line.startswith(_NOT_TELLING)]
    places = _SOURCE_LINE.findall(error.log)
    where = f" (near {places[-1]})" if places else ""
    name = source.program.span.source.name
    reason = telling[-1] if telling else str(error)
    return f"target xdp: the kernel's verifier refused {name}{where}: {reason}; use --target model"


__all__ = ["LoadError", "Loaded", "build", "load", "possible_cpus"]
