"""Why clang or the kernel does not take a generated program, in one line and in terms of the P4 program."""

from __future__ import annotations

import re

from p4cats.compiler.backends.xdp import XdpSource
from p4cats.ebpf.errors import BuildError, VerifierError

_POSITION = re.compile(r"/\* (\S+:\d+) \*/")
_LINE = re.compile(r"^; .* @ \S+\.bpf\.c:(\d+)$", re.M)
"""A line of the generated file in the verifier's log (kernel 6.9)."""
_NOT_TELLING = ("processed ", ";", "verification time", "libbpf: ", "stack depth", "-- END", "max_states")
TOO_MANY_FUNCTIONS = "it has more functions than the kernel takes"
_TOO_LARGE = {
    "BPF program is too large": "it has more ways through it than the kernel checks",
    "jumps is too complex": "it has more branches open at once than the kernel checks",
    "combined stack size": "it needs more than the 512 octets of stack that eBPF has",
    "stack limit": "it needs more than the 512 octets of stack that eBPF has",
    "too many subprograms": TOO_MANY_FUNCTIONS,
    "built-in function": "it sets more at once than clang has instructions for",
}
"""What is said of programs that may be taken in pieces."""


def too_large(error: BuildError | VerifierError) -> str | None:
    """Why the program may be taken when it is cut; None if it would be refused just so."""
    text = error.log if isinstance(error, VerifierError) else str(error)
    return next((reason for sign, reason in _TOO_LARGE.items() if sign in text), None)


def explain(source: XdpSource, error: BuildError | VerifierError) -> str:
    """What clang said; or the verifier's last words and the P4 line that they are about."""
    name = source.program.ingress.span.source.name
    if isinstance(error, BuildError):
        return f"target xdp: clang refused the program made from {name}:\n{error}"
    telling = [line for line in error.log.splitlines() if line and not line.startswith(_NOT_TELLING)]
    reason = telling[-1].strip() if telling else str(error)
    place = refused_line(source.text, error.log) or name
    return (
        f"target xdp: {place}: the kernel's verifier refuses what this becomes ({reason}); "
        "write it in another way, or use --target model"
    )


def refused_line(text: str, log: str) -> str | None:
    """The P4 position of the last line of a generated program that the verifier's log shows."""
    shown = _LINE.findall(log)
    before = "\n".join(text.splitlines()[: int(shown[-1])]) if shown else log
    places = _POSITION.findall(before)
    return places[-1] if places else None


__all__ = ["TOO_MANY_FUNCTIONS", "explain", "refused_line", "too_large"]
