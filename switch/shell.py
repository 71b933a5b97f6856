"""p4runtime-shell, unmodified, in an environment of its own.

Its pins (protobuf below 3.21, an old IPython) exclude those of this package. The environment is made on
first use, from Debian's Python, and marked ready when complete; a half-made one is made again.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

from p4cats.errors import EnvironmentLacksError

REQUIREMENT = "p4runtime-shell==0.0.6"
_PYTHON = "/usr/bin/python3"
"""Not the Python of this process: that may be one without ensurepip, or of a version the pins exclude."""


def default_directory() -> Path:
    """Where the environment lives: under $XDG_DATA_HOME."""
    data = os.environ.get("XDG_DATA_HOME") or str(Path.home() / ".local" / "share")
    return Path(data) / "p4cats" / "p4runtime-shell"


def ensure_environment(directory: Path | None = None, report: Callable[[str], None] = lambda _: None) -> Path:
    """Make the environment if it is not there; its Python. `report` hears what takes long.

    EnvironmentLacksError where it cannot be made. Two processes at once are safe.
    """
    directory = (directory or default_directory()).absolute()
    directory.parent.mkdir(parents=True, exist_ok=True)
    python = directory / "bin" / "python"
    with (directory.parent / f".{directory.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        ready = directory / "ready"
        if ready.exists() and ready.read_text() == REQUIREMENT:
            return python
        report(f"installing {REQUIREMENT} into {directory} (once)")
        shutil.rmtree(directory, ignore_errors=True)
        _run(
            [_PYTHON, "-m", "venv", str(directory)],
            "make a virtual environment (Debian package python3-venv)",
        )
        pip = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        # p4runtime-shell is built from source with setuptools_scm; its dependencies are wheels.
        _run([*pip, REQUIREMENT, "setuptools<81"], f"install {REQUIREMENT}")
        ready.write_text(REQUIREMENT)
    return python


def _run(command: list[str], what: str) -> None:
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    except OSError as error:
        raise EnvironmentLacksError(f"cannot {what}: {command[0]}: {error.strerror}") from error
    if done.returncode:
        lines = (done.stderr or done.stdout).strip().splitlines()
        reason = lines[-1] if lines else f"exit status {done.returncode}"
        raise EnvironmentLacksError(f"cannot {what}: {reason}")


def shell_argv(
    address: str,
    device_id: int = 1,
    election_id: tuple[int, int] = (0, 1),
    *,
    directory: Path | None = None,
    report: Callable[[str], None] = lambda _: None,
) -> list[str]:
    """The command that opens the console on a switch; makes the environment first if need be.

    With an election id below the controller's the shell is a backup: it reads everything and writes nothing.
    """
    python = ensure_environment(directory, report)
    high, low = election_id
    return [
        str(python),
        "-m",
        "p4runtime_sh",
        "--grpc-addr",
        address,
        "--device-id",
        str(device_id),
        "--election-id",
        f"{high},{low}",
    ]


__all__ = ["REQUIREMENT", "default_directory", "ensure_environment", "shell_argv"]
