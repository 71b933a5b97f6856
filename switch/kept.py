"""Registers that outlive the process of a switch: a file, written at an orderly end, read at the next start.

A register is taken back if the program still has it with the same size and type; what has changed begins at
zero. The file is used once: what a switch on the model has learned that was killed is lost, not replaced by
something older. For one on xdp see p4cats.switch.xdp.pinned.
"""

from __future__ import annotations

import json
import logging
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Protocol

logger = logging.getLogger("p4cats.switch")


class Register(Protocol):
    """A register array of a data plane."""

    @property
    def signature(self) -> str:
        """Size and type of its cells."""

    def written(self) -> Iterator[tuple[int, object]]:
        """Yield index and value of the cells that are not zero."""

    def write(self, index: int, value: object) -> None:
        """Set a cell."""


class Kept:
    """The file of one switch; no file: nothing is kept."""

    def __init__(self, path: Path | None) -> None:
        self._path = path

    def save(self, registers: Mapping[str, Register]) -> None:
        """Write all registers."""
        if self._path is None:
            return
        cells = {name: [item.signature, list(item.written())] for name, item in registers.items()}
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            scratch = self._path.with_name(f"{self._path.name}.new")
            scratch.write_bytes(zlib.compress(json.dumps(cells).encode(), 1))
            scratch.replace(self._path)
        except OSError as error:
            logger.warning("%s: registers are not kept: %s", self._path, error.strerror)

    def restore(self, registers: Mapping[str, Register]) -> bool:
        """Set registers as they were, and forget the file; False where there is none that can be read."""
        if self._path is None or not self._path.exists():
            return False
        try:
            cells = json.loads(zlib.decompress(self._path.read_bytes()))
            self._path.unlink()
        except (OSError, ValueError, zlib.error) as error:
            logger.warning("%s: registers begin at zero: %s", self._path, error)
            return False
        for name, (signature, found) in cells.items():
            register = registers.get(name)
            if register is not None and register.signature == signature:
                for index, value in found:
                    register.write(index, value)
        return True
