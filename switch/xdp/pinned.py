"""Registers that outlive a killed process: the memory of the program that runs is pinned meanwhile.

    /sys/fs/bpf/p4cats/[NETWORK/]switch-<state>/<object>-<pid>-<start time>

<state> stands for the path of the switch's state file, <object> for the compiled program: only the same one
is sure to have its registers in the same places. Pid and start time say whose memory it is. Pins of a switch
that a network has started lie in the network's folder, and are removed with it.
"""

from __future__ import annotations

import hashlib
import logging
import os
import re
from contextlib import closing, suppress
from pathlib import Path

from p4cats.ebpf.errors import EbpfError
from p4cats.ebpf.libbpf import Map
from p4cats.ebpf.system import ensure_bpffs
from p4cats.switch.xdp.dataplane import XdpDataPlane
from p4cats.switch.xdp.memory import Memory, variables
from p4cats.topologies.cleanup import MARK, PINS, start_time

logger = logging.getLogger("p4cats.switch.xdp")

_FOLDER = "switch-"
_PIN = re.compile(r"\w+-(\d+)-(\d+)")


class Pinned:
    """The pin of one switch; no state file: nothing is pinned."""

    def __init__(self, state: Path | None) -> None:
        self._folder: Path | None = None
        self._own: Path | None = None
        if state is not None:
            digest = hashlib.sha256(os.fsencode(state.absolute())).hexdigest()[:16]
            self._folder = PINS / os.environ.get(MARK, "") / f"{_FOLDER}{digest}"

    def restore(self, plane: XdpDataPlane) -> None:
        """Set registers as a killed process has left them. They stay pinned until `pin`."""
        if self._folder is None or self._own is not None:
            return
        for path in self._folder.glob(f"{_object(plane)}-*"):
            try:
                with (
                    closing(Map.pinned(path)) as left,
                    closing(Memory(left, plane.loaded.object.btf)) as memory,
                ):
                    for register in plane.registers.values():
                        register.copy_from(memory)
            except (EbpfError, OSError) as error:
                logger.warning("%s: registers begin at zero: %s", path, error)

    def pin(self, plane: XdpDataPlane) -> None:
        """Pin the memory of the program that runs now, and nothing else."""
        if self._folder is None:
            return
        owner = f"{os.getpid()}-{start_time(os.getpid())}"
        path, scratch = self._folder / f"{_object(plane)}-{owner}", self._folder / f"new-{owner}"
        try:
            ensure_bpffs(self._folder)
            variables(plane.loaded.object).pin(scratch)
            scratch.replace(path)
            self._own = path
            for other in self._folder.iterdir():
                if other != path:
                    other.unlink()
        except (EbpfError, OSError) as error:
            logger.warning("registers would not survive a SIGKILL: %s", error)

    def remove(self) -> None:
        """Unpin what this process has pinned."""
        if self._own is not None:
            _remove(self._own)
            self._own = None


def remove_abandoned() -> list[str]:
    """Remove the pins of killed switches that no network has started; return their names."""
    removed = []
    for path in PINS.glob(f"{_FOLDER}*/*"):
        owner = _PIN.fullmatch(path.name)
        if owner and start_time(int(owner[1])) != int(owner[2]):
            _remove(path)
            removed.append(path.parent.name)
    return removed


def _object(plane: XdpDataPlane) -> str:
    """The hash in the name of the object file, which is of all that it is made of."""
    return plane.loaded.object.path.name.partition(".")[0].rpartition("-")[2]


def _remove(pin: Path) -> None:
    pin.unlink(missing_ok=True)
    with suppress(OSError):  # not empty, or where the file system is mounted
        for directory in pin.parents:
            directory.rmdir()


__all__ = ["Pinned", "remove_abandoned"]
