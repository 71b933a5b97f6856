"""Compile eBPF C with clang, once per source, compiler and flags.

Objects are kept in $XDG_CACHE_HOME/p4cats (default ~/.cache/p4cats), named by
a hash of everything they are made of, so a stale one is never used. No kernel headers
are needed: the programs use <linux/bpf.h>, libbpf's headers and CO-RE.
"""

import functools
import hashlib
import os
import platform
import re
import shutil
import subprocess
import sysconfig
import tempfile
from collections.abc import Sequence
from importlib import resources
from pathlib import Path

from p4cats.ebpf.errors import BuildError, MissingError

_INCLUDE = re.compile(r'^\s*#\s*include\s+"([^"]+)"', re.M)
_FLAGS = ("-O2", "-g", "-target", "bpf", "-mcpu=v3", "-Wall", "-Werror")


def sources() -> Path:
    """Return the folder of this package's C files."""
    return Path(str(resources.files("p4cats.ebpf")))


def protocol_include() -> Path:
    """Return the folder of cats_protocol.h, which P4 and C share."""
    return Path(str(resources.files("p4cats.p4src"))) / "include"


def cache_dir() -> Path:
    """Return (and make) the folder of compiled objects."""
    root = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    path = Path(root) / "p4cats"
    path.mkdir(parents=True, exist_ok=True)
    return path


@functools.cache
def clang() -> tuple[str, str]:
    """Return the path of clang ($CLANG, clang or the newest clang-N) and its version line."""
    names = [os.environ.get("CLANG", ""), "clang", *(f"clang-{n}" for n in range(24, 11, -1))]
    path = next((found for name in names if name and (found := shutil.which(name))), None)
    if path is None:
        raise MissingError("clang is not installed, it compiles the eBPF programs: apt install clang")
    version = subprocess.run([path, "--version"], capture_output=True, text=True, check=True).stdout
    return path, version.splitlines()[0]


def compile_bpf(source: Path, include: Sequence[Path] = (), flags: Sequence[str] = ()) -> Path:
    """Return the object file of an eBPF C source; `flags` are further ones for clang. Raise BuildError."""
    compiler, version = clang()
    folders = [source.parent, *include]
    flags = [*_FLAGS, *flags]
    digest = hashlib.sha256("\0".join([version, *flags]).encode())
    for text in _texts(source, folders):
        digest.update(b"\0" + text)
    target = cache_dir() / f"{source.name.split('.')[0]}-{digest.hexdigest()[:20]}.bpf.o"
    if target.exists():
        return target
    includes = [f"-I{folder}" for folder in folders] + [f"-idirafter{d}" for d in _system_includes()]
    with tempfile.TemporaryDirectory(dir=cache_dir()) as scratch:
        made = Path(scratch) / target.name
        command = [compiler, *flags, *includes, "-c", str(source), "-o", str(made)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            raise BuildError(_explain(source, done.stderr))
        os.replace(made, target)
    return target


def _texts(source: Path, folders: Sequence[Path]) -> list[bytes]:
    """Return the source and the headers of ours that it includes, directly or not."""
    seen: dict[Path, bytes] = {}
    todo = [source]
    while todo:
        path = todo.pop()
        if path in seen:
            continue
        seen[path] = path.read_bytes()
        for name in _INCLUDE.findall(seen[path].decode()):
            todo += [folder / name for folder in folders if (folder / name).exists()][:1]
    return [seen[path] for path in sorted(seen)]


def _system_includes() -> list[Path]:
    """Return where <asm/types.h> is on Debian and Ubuntu: -target bpf does not look there."""
    triplet = sysconfig.get_config_var("MULTIARCH") or f"{platform.machine()}-linux-gnu"
    return [Path("/usr/include") / str(triplet)]


def _explain(source: Path, stderr: str) -> str:
    for header, package in (
        ("bpf/bpf_helpers.h", "libbpf-dev"),
        ("linux/types.h", "linux-libc-dev"),
        ("asm/types.h", "linux-libc-dev"),
    ):
        if f"'{header}' file not found" in stderr:
            return f"{source.name} needs <{header}>: apt install {package}"
    return f"clang refused {source.name}\n{stderr.strip()}"
