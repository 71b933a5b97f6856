"""One agent per run directory, and the traces of one that was killed.

agent.lock is held while an agent lives (the kernel lets go of it when it dies);
agent.json says what it attached and pinned, so that the next one can remove it; sequences.json
keeps the key id and the last sequence number of each instance, which must never run backwards under a
key. While an agent runs the file says "not known": so much is true if the machine goes down.

Where a killed agent's hosts steered, they still do: the next agent takes that over, or removes it.
"""

import contextlib
import fcntl
import json
import os
from collections.abc import Iterable, Mapping
from dataclasses import asdict, replace
from pathlib import Path

from p4cats.ebpf import keys, stamp, steer
from p4cats.ebpf.errors import EbpfError
from p4cats.ebpf.keys import Used
from p4cats.ebpf.stamp import Attachment

_Steering = tuple[Attachment, Path]
"""Where steer is attached, and its pins."""


class Ownership:
    """The run directory of an agent, locked."""

    def __init__(self, run_dir: Path, pin_dir: Path) -> None:
        self._dir = run_dir
        self._pin_dir = pin_dir
        self._attachments: list[Attachment] = []
        self._steering: list[_Steering] = []
        self._left: list[_Steering] = []
        """Those of a killed agent that are not taken over yet."""
        run_dir.mkdir(parents=True, exist_ok=True)
        self._lock = _locked(run_dir)
        os.ftruncate(self._lock, 0)
        os.write(self._lock, f"{os.getpid()}\n".encode())
        self.used: dict[int, Used] = self._read_used()
        """Keys that instances have used, by instance id."""

    def clean_leftovers(self) -> bool:
        """Remove what a killed agent left, but where a host steers; return whether there was anything."""
        state = self._dir / "agent.json"
        try:
            left = json.loads(state.read_text())
        except (OSError, ValueError):
            stamp.unpin(self._pin_dir)
            return False
        pin_dir = Path(left["pin_dir"])
        with stamp.pinned_map(pin_dir, "keys") as left_keys:
            if left_keys is not None:
                self.used |= keys.left_in(left_keys)
        self._left = [(Attachment(**item), Path(pins)) for item, pins in left.get("steering", ())]
        steering = {(item.inode, item.ifindex) for item, _ in self._left}
        for attachment in (Attachment(**item) for item in left["attachments"]):
            kept = (attachment.inode, attachment.ifindex) in steering
            stamp.detach(replace(attachment, made_qdisc=False) if kept else attachment)
        stamp.unpin(pin_dir)
        if pin_dir != self._pin_dir:
            stamp.unpin(self._pin_dir)
        state.unlink()
        return True

    def add(self, attachment: Attachment) -> None:
        """Write down an attachment."""
        self._attachments.append(attachment)
        self._write("agent.json", self._state())

    def remove(self, attachment: Attachment) -> None:
        """Undo an attachment."""
        stamp.detach(attachment)
        self._attachments.remove(attachment)
        self._write("agent.json", self._state())

    def add_steering(self, attachment: Attachment, pins: Path) -> None:
        """Write down where a host steers; it may have been a killed agent's, or be there already."""
        for known in (self._left, self._steering):
            known[:] = [item for item in known if item[1] != pins]
        self._steering.append((attachment, pins))
        self._write("agent.json", self._state())

    def remove_steering(self, pins: Path) -> None:
        """Write down that a host steers no more."""
        self._steering = [item for item in self._steering if item[1] != pins]
        self._write("agent.json", self._state())

    def clean_left_steering(self) -> None:
        """Let hosts steer no more that only a killed agent knew."""
        while self._left:
            steer.remove(*self._left.pop())

    def made_qdisc(self, inode: int, ifindex: int) -> bool:
        """Whether an interface's clsact qdisc is the work of this agent or of a killed one."""
        known = [*self._attachments, *(item for item, _ in (*self._steering, *self._left))]
        return any(k.made_qdisc for k in known if (k.inode, k.ifindex) == (inode, ifindex))

    def begin(self) -> None:
        """Write down that pins are about to be made."""
        self._write("agent.json", self._state())

    def running(self, used: Mapping[int, Used], instances: Iterable[int]) -> None:
        """Write down that instances are about to use, or use, the keys in `used`."""
        self._write("sequences.json", keys.to_json(used, running=instances))

    def detach(self) -> None:
        """Undo the attachments, the latest first."""
        while self._attachments:
            stamp.detach(self._attachments.pop())

    def release(self) -> None:
        """Keep the sequence numbers, forget the rest, unlock."""
        if self.used:
            self._write("sequences.json", keys.to_json(self.used))
        (self._dir / "agent.json").unlink(missing_ok=True)
        (self._dir / "agent.lock").unlink(missing_ok=True)
        os.close(self._lock)

    def _state(self) -> dict[str, object]:
        return {
            "pid": os.getpid(),
            "pin_dir": str(self._pin_dir),
            "attachments": [asdict(a) for a in self._attachments],
            "steering": [[asdict(a), str(pins)] for a, pins in (*self._steering, *self._left)],
        }

    def _write(self, name: str, content: object) -> None:
        scratch = self._dir / f"{name}.new"
        scratch.write_text(json.dumps(content))
        os.replace(scratch, self._dir / name)

    def _read_used(self) -> dict[int, Used]:
        with contextlib.suppress(OSError, ValueError, KeyError, TypeError, AttributeError):
            return keys.of_json(json.loads((self._dir / "sequences.json").read_text()))
        return {}


def _locked(run_dir: Path) -> int:
    """Return the lock file, locked; try again when its last owner removed it meanwhile."""
    path = run_dir / "agent.lock"
    while True:
        lock = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if os.fstat(lock).st_ino == os.stat(path).st_ino:
                return lock
        except FileNotFoundError:
            pass
        except OSError as error:
            pid = os.read(lock, 20).decode().strip()
            os.close(lock)
            raise EbpfError(f"another agent runs in {run_dir} (process {pid}): stop it first") from error
        os.close(lock)
