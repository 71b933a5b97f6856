"""What the hooks need of the machine: root, bpffs, tracefs, headers for bcc.

Each function makes sure of one thing and raises MissingError with what to do.
A file system mounted here stays mounted, as any other program expects it there.
"""

import ctypes
import os
import platform
import shutil
import tempfile
from pathlib import Path

from p4cats.ebpf.build import cache_dir
from p4cats.ebpf.errors import MissingError

BPFFS = Path("/sys/fs/bpf")
TRACEFS = Path("/sys/kernel/tracing")
_LIBC = ctypes.CDLL(None, use_errno=True)


def require_root() -> None:
    """Raise unless the process may load eBPF and enter namespaces."""
    if os.geteuid() != 0:
        raise MissingError("eBPF programs and network namespaces need root: run with sudo")


def ensure_bpffs(directory: Path) -> None:
    """Make a directory for pins, mounting /sys/fs/bpf when it is not mounted."""
    if file_system(directory) != "bpf" and directory.is_relative_to(BPFFS):
        _mount("bpf", BPFFS)
    if file_system(directory) != "bpf":
        raise MissingError(f"{directory} is not on a BPF file system: mount -t bpf bpf {directory.parent}")
    directory.mkdir(parents=True, exist_ok=True)


def ensure_tracefs() -> None:
    """Mount tracefs when neither it nor debugfs shows the tracepoints."""
    if not (TRACEFS / "events").exists() and not Path("/sys/kernel/debug/tracing/events").exists():
        _mount("tracefs", TRACEFS)


def file_system(path: Path) -> str:
    """Return the type of the file system a path (existing or not) would be on."""
    best, kind = Path("/"), ""
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        left, _, right = line.partition(" - ")
        point = Path(left.split()[4])
        if path.is_relative_to(point) and len(point.parts) >= len(best.parts):
            best, kind = point, right.split()[0]
    return kind


def _mount(kind: str, where: Path) -> None:
    if _LIBC.mount(kind.encode(), os.fsencode(where), kind.encode(), 0, None):
        reason = os.strerror(ctypes.get_errno())
        raise MissingError(f"cannot mount {kind} ({reason}); as root: mount -t {kind} {kind} {where}")


def kernel_source(sources: Path = Path("/usr/src"), modules: Path = Path("/lib/modules")) -> Path | None:
    """Return a kernel header tree for bcc, or None when bcc finds one by itself.

    It does in $BCC_KERNEL_SOURCE, in /lib/modules/RELEASE/build and in the kernel's own
    kheaders. Otherwise any installed headers serve: tracepoint programs need types, and
    struct offsets are taken from the kernel's BTF, not from them. Debian splits its headers in
    two packages; a tree of links in the cache makes one of them, as bcc wants it.
    """
    release = platform.release()
    if "BCC_KERNEL_SOURCE" in os.environ or (modules / release / "build" / "include").exists():
        return None
    if Path("/sys/kernel/kheaders.tar.xz").exists():
        return None
    whole = [d for d in sources.glob("linux-headers-*") if (d / "include/linux/kconfig.h").exists()]
    for own in sorted(sources.glob("linux-headers-*"), key=_version, reverse=True):
        if not (own / "include/generated/autoconf.h").exists() or own.name.endswith("-common"):
            continue
        if own in whole:
            return own
        version = own.name.rsplit("-", 1)[0]
        common = next((c for c in whole if c.name == f"{version}-common"), None)
        if common is not None:
            return _joined(common, own)
    raise MissingError("no kernel headers for bcc: apt install linux-headers-amd64 (any version serves)")


def _version(path: Path) -> tuple[int, ...]:
    return tuple(int(part) for part in path.name.replace("-", ".").split(".") if part.isdigit())


def _joined(common: Path, own: Path) -> Path:
    """Return a tree of links that overlays a flavour's headers on the common ones."""
    target = cache_dir() / own.name
    if target.exists():
        return target
    scratch = Path(tempfile.mkdtemp(dir=cache_dir()))
    tree = scratch / "tree"
    _overlay(tree, own, common)
    try:
        os.rename(tree, target)
    except OSError:  # another process was first
        if not target.exists():
            raise
    shutil.rmtree(scratch, ignore_errors=True)
    return target


def _overlay(target: Path, upper: Path, lower: Path) -> None:
    """Link what is in either directory, the upper first; go deeper only where both have a directory.

    Some dozen links, not one for each of 20,000 headers, which takes seconds on a disk.
    """
    target.mkdir()
    for name in {entry.name for layer in (upper, lower) for entry in layer.iterdir()}:
        if (upper / name).is_dir() and (lower / name).is_dir():
            _overlay(target / name, upper / name, lower / name)
        else:
            first = upper / name if (upper / name).exists() else lower / name
            (target / name).symlink_to(first)
