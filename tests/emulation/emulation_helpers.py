"""What the emulation tests share: the repository's topology, and a look at what a run leaves behind."""

from __future__ import annotations

import subprocess
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]
EDGE_CLOUD = REPOSITORY / "topologies" / "edge-cloud.yaml"


def owned_by(pid: int) -> list[str]:
    """Return what the network of an owner has left: records, pins, processes with its mark."""
    found = [str(p) for p in Path("/run/p4cats").glob(f"{pid}-*")]
    found += [str(p) for p in Path("/sys/fs/bpf/p4cats").glob(f"{pid}-*")]
    mark = f"P4CATS_NETWORK={pid}-".encode()
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if mark in (process / "environ").read_bytes():
                found.append(f"{process}: {(process / 'cmdline').read_bytes()!r}")
        except OSError:
            continue
    return found


def interfaces() -> set[str]:
    """Return the interfaces of this network namespace."""
    return {line.split(":")[1].strip().split("@")[0] for line in _lines("ip", "-o", "link")}


def _lines(*argv: str) -> list[str]:
    return subprocess.run(argv, capture_output=True, text=True, check=True).stdout.splitlines()
