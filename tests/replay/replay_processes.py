"""An instance server as a process, for tests."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
from collections.abc import Callable
from typing import Any


class ServerProcess:
    """An instance server; `status` and `command` use its standard input and output."""

    def __init__(self, *options: str, address: str = "::1", stderr: int | None = None) -> None:
        self.address = address
        command = [sys.executable, "-m", "p4cats.replay.server", "--address", address, "--port", "0"]
        self.process = subprocess.Popen(
            [*command, *options], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=stderr, text=True
        )
        assert self._line() == "ready\n"
        self.port = int(self.status()["port"])

    def _line(self) -> str:
        assert self.process.stdout is not None
        return self.process.stdout.readline()

    def command(self, line: str) -> dict[str, Any]:
        assert self.process.stdin is not None
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()
        answer: dict[str, Any] = json.loads(self._line())
        return answer

    def status(self) -> dict[str, Any]:
        return self.command("status")

    def wait_until(self, holds: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        """Ask until it holds; the test's own time limit ends what never does."""
        while not holds(status := self.status()):
            pass
        return status

    def close(self) -> None:
        self.process.kill()
        self.process.wait()
        for pipe in (self.process.stdin, self.process.stdout):
            assert pipe is not None
            with contextlib.suppress(BrokenPipeError):
                pipe.close()
