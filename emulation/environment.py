"""What this machine has and lacks for p4cats: every feature is tried, not guessed from a version."""

from __future__ import annotations

import functools
import os
import re
import shutil
import subprocess
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING

from p4cats.ebpf.errors import EbpfError

if TYPE_CHECKING:
    from rich.table import Table


@dataclass(frozen=True)
class Check:
    """One thing that was looked for."""

    name: str
    present: bool
    detail: str
    """What was found, or why it was not."""
    without: str
    """What works without it."""
    remedy: str
    """The one command that adds it."""
    needed: bool
    """The demo does not run without it."""

    def as_dict(self) -> dict[str, object]:
        """For JSON."""
        return asdict(self)


def examine() -> list[Check]:
    """Look at everything; takes about a second. Changes nothing that lasts."""
    return [
        _check("root", _root, "compiler, packet tests (stf), status of a running network", "sudo p4cats …"),
        _check("network namespaces", _namespaces, "compiler, stf", "boot a kernel with CONFIG_NET_NS"),
        _check("BPF system call", _bpf, "everything but host hooks", "boot a kernel of 5.10 or later"),
        _check("kernel BTF", _btf, "everything but host hooks", "boot a kernel with CONFIG_DEBUG_INFO_BTF"),
        _check("libbpf", _libbpf, "everything but host hooks", "apt-get install libbpf-dev"),
        _check("clang", _tool("clang"), "everything but host hooks", "apt-get install clang"),
        _check("Mininet", _mininet, "single switches (p4cats switch)", "apt-get install mininet"),
        _check("bcc", _bcc, "stamp without TCP counts (sense)", "apt-get install python3-bpfcc"),
        _check("headers for bcc", _headers, "stamp without TCP counts (sense)", _headers_command()),
        _check(
            "netem", _netem, "delay and loss all the same: by a user-space link emulator",
            "modprobe sch_netem", needed=False,
        ),
        _check(
            "p4c", _tool("p4c-bm2-ss"), "everything: p4cats brings its own compiler",
            "docker pull p4lang/p4c", needed=False,
        ),
        _check(
            "bmv2", _tool("simple_switch_grpc"), "everything: p4cats brings its own switch",
            "docker pull p4lang/behavioral-model", needed=False,
        ),
    ]  # fmt: skip


def demo_runs(checks: Sequence[Check]) -> bool:
    """True if nothing that the demo needs is missing."""
    return all(check.present or not check.needed for check in checks)


@functools.cache
def why_not_xdp() -> str | None:
    """None where the xdp target runs, else what it lacks: an XDP program is compiled and loaded."""
    if os.geteuid() != 0:
        return "it needs root"
    try:
        from p4cats.ebpf.build import compile_bpf  # noqa: PLC0415 (libbpf may be missing)
        from p4cats.ebpf.libbpf import Object  # noqa: PLC0415

        source = Path(str(resources.files("p4cats.switch"))) / "xdp" / "pass.bpf.c"
        with Object.open(compile_bpf(source)) as program:
            program.load()
    except (EbpfError, OSError, ImportError) as error:
        return str(error).splitlines()[0]
    return None


def render(checks: Sequence[Check]) -> Table:
    """A table for people."""
    from rich.table import Table  # noqa: PLC0415 (JSON output needs no rich)

    table = Table.grid(padding=(0, 2))
    for check in checks:
        mark = "[green]yes[/]" if check.present else ("[red]no[/]" if check.needed else "[yellow]no[/]")
        table.add_row(mark, check.name, check.detail)
        if not check.present:
            table.add_row("", "", f"[dim]works without it:[/] {check.without}")
            table.add_row("", "", f"[dim]add it:[/] {check.remedy}")
    if demo_runs(checks):
        table.add_row("", "", "")
        table.add_row("", "", "`p4cats demo` can run here.")
    return table


def _check(name: str, probe: Callable[[], str], without: str, remedy: str, *, needed: bool = True) -> Check:
    """Run a probe: it returns what it found, or raises OSError, ImportError or LookupError: why not."""
    try:
        return Check(name, True, probe(), without, remedy, needed)
    except (OSError, ImportError, LookupError) as error:
        return Check(name, False, str(error) or type(error).__name__, without, remedy, needed)


def _root() -> str:
    if os.geteuid() != 0:
        raise PermissionError(f"user id {os.geteuid()}")
    return "yes"


def _namespaces() -> str:
    done = subprocess.run(["unshare", "--net", "true"], capture_output=True, text=True, check=False)
    if done.returncode:
        raise OSError(done.stderr.strip() or "unshare failed")
    return "unshare --net works"


def _bpf() -> str:
    from p4cats.ebpf.libbpf import probe_bpf  # noqa: PLC0415 (libbpf may be missing)

    return probe_bpf()


def _btf() -> str:
    path = Path("/sys/kernel/btf/vmlinux")
    if not path.exists():
        raise FileNotFoundError(f"no {path}")
    return str(path)


def _libbpf() -> str:
    from p4cats.ebpf.libbpf import version  # noqa: PLC0415 (libbpf may be missing)

    return version()


def _mininet() -> str:
    import warnings  # noqa: PLC0415

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from mininet.net import VERSION  # noqa: PLC0415 (the import is the probe)
    if shutil.which("mnexec") is None:
        raise FileNotFoundError("the Python module is there, mnexec is not")
    return f"{VERSION}"


def _bcc() -> str:
    from importlib.metadata import PackageNotFoundError, version  # noqa: PLC0415

    from bcc import BPF  # noqa: F401, PLC0415 (the import is the probe)

    try:
        return version("bcc")
    except PackageNotFoundError:
        return "yes"


def _headers() -> str:
    from p4cats.ebpf.system import kernel_source  # noqa: PLC0415

    if Path(f"/lib/modules/{os.uname().release}/build/include").exists():
        return "of the running kernel"
    if kernel_source() is None:
        raise FileNotFoundError("none in /lib/modules or /usr/src")
    return "Debian's, beside those of the running kernel"


def _headers_command() -> str:
    release = Path("/etc/os-release")
    ubuntu = release.exists() and re.search(r"^ID=ubuntu", release.read_text(), re.M)
    return f"apt-get install linux-headers-{'generic' if ubuntu else 'amd64'}"


def _netem() -> str:
    from p4cats.topologies import emulation  # noqa: PLC0415

    if os.geteuid() != 0:
        raise PermissionError("only root can try")
    if emulation.mode() != "netem":
        raise LookupError("the kernel has no sch_netem")
    return "yes"


def _tool(name: str) -> Callable[[], str]:
    def probe() -> str:
        path = shutil.which(name)
        if path is None:
            raise FileNotFoundError(f"{name} is not on PATH")
        said = subprocess.run([path, "--version"], capture_output=True, text=True, check=False).stdout
        return next(iter(said.splitlines()), path)

    return probe
