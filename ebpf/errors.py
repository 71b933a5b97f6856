"""What can go wrong with the host hooks.

    EbpfError
    ├── MissingError   (LookupError) the machine lacks something; the message says what to do
    ├── BuildError     clang or bcc refused the C source
    ├── LibbpfError    (OSError) the kernel or libbpf refused an operation; has errno
    │   └── VerifierError  a program was refused, with the verifier's last lines
    └── ConfigError    the agent's configuration is wrong

Every message is one clear line; what belongs to it (compiler output, verifier
lines) follows on further lines.
"""

import os

from p4cats.errors import UserError


class EbpfError(UserError):
    """Base of all errors of this package."""


class MissingError(EbpfError, LookupError):
    """The machine lacks a privilege, a tool or a kernel feature."""

    exit_code = 2


class BuildError(EbpfError):
    """A C source did not compile."""


class ConfigError(EbpfError):
    """The configuration cannot be used."""


class LibbpfError(EbpfError, OSError):
    """An operation was refused; `errno` says why."""

    def __init__(self, what: str, errno: int, detail: str = "") -> None:
        reason = os.strerror(errno) if errno else "unknown reason"
        super().__init__(f"{what}: {reason}" + (f"\n{detail}" if detail else ""))
        self.errno = errno


class VerifierError(LibbpfError):
    """The verifier refused a program; `log` is all it said."""

    def __init__(self, what: str, errno: int, log: str) -> None:
        self.log = log
        lines = [line for line in log.splitlines() if line.strip() and not _is_statistics(line)]
        shown = lines[-VERIFIER_LINES:]
        left_out = len(lines) - len(shown)
        head = [f"  ({left_out} earlier lines in the log)"] if left_out else []
        super().__init__(what, errno, "\n".join(head + [f"  {line}" for line in shown]))


VERIFIER_LINES = 6
"""Lines of the verifier's log that an error shows; the reason is always among the last."""


def _is_statistics(line: str) -> bool:
    return line.startswith(("processed ", "verification time", "stack depth"))
