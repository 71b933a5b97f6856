"""Load eBPF objects, use their maps, attach their programs: libbpf from Python.

    with Object.open("prog.bpf.o") as obj:
        obj.maps["flows"].set_pin_path("/sys/fs/bpf/mine/flows")   # before load
        obj.set_global("mtu", 1500)                                # const volatile
        obj.load()
        TcHook(ifindex, "egress").attach(obj.programs["stamp"])
        obj.maps["flows"].update(key, value)

Keys and values are octets; `Map.key_layout` and `Map.value_layout` translate
them by BTF. Every failure is a LibbpfError with the reason; a program refused by
the verifier is a VerifierError. libbpf's own log is captured, not printed.
"""

import ctypes as ct
import errno
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import Any

from p4cats.ebpf import _capi
from p4cats.ebpf._mapapi import Map
from p4cats.ebpf.btf import Btf, Layout
from p4cats.ebpf.errors import LibbpfError, MissingError, VerifierError

__all__ = [
    "Btf",
    "Layout",
    "Link",
    "Map",
    "Object",
    "PerfBuffer",
    "Program",
    "ProgramInfo",
    "RingBuffer",
    "TcHook",
    "TestRun",
    "XdpHook",
    "XdpLink",
    "detach_links_of",
    "possible_cpus",
    "probe_bpf",
    "program_info",
    "program_name",
    "version",
]


_LOG_STATISTICS = 4
"""BPF_LOG_STATS of the kernel's bpf_verifier.h: errors and statistics, no instructions."""


@dataclass(frozen=True)
class TestRun:
    """What BPF_PROG_TEST_RUN returned: verdict, packet out, mean nanoseconds per run."""

    __test__ = False  # not a test class

    retval: int
    data: bytes
    duration_ns: int


@dataclass(frozen=True)
class ProgramInfo:
    """What the kernel knows of a program; run_* count only under kernel.bpf_stats_enabled=1."""

    id: int
    jited_bytes: int
    run_time_ns: int
    run_count: int


class Program:
    """A program of an object. `fd` is valid after the object's load."""

    def __init__(self, pointer: int) -> None:
        self._pointer = pointer
        lib = _capi.lib()
        self.name: str = lib.bpf_program__name(pointer).decode()
        self.section: str = lib.bpf_program__section_name(pointer).decode()

    @property
    def fd(self) -> int:
        """The file descriptor in this process."""
        fd: int = _capi.lib().bpf_program__fd(self._pointer)
        if fd < 0:
            raise LibbpfError(f"program {self.name} is not loaded", -fd)
        return fd

    @property
    def instructions(self) -> int:
        """Number of eBPF instructions before the verifier's rewriting."""
        count: int = _capi.lib().bpf_program__insn_cnt(self._pointer)
        return count

    def skip(self) -> None:
        """Leave this program out of the object's load."""
        _capi.lib().bpf_program__set_autoload(self._pointer, False)

    def log_reason_only(self) -> None:
        """Let the verifier not tell how it came to refuse this program."""
        _capi.lib().bpf_program__set_log_level(self._pointer, _LOG_STATISTICS)

    def info(self) -> ProgramInfo:
        """Ask the kernel about the loaded program."""
        return program_info(self.fd)

    def pin(self, path: Path | str) -> None:
        """Pin under a bpffs path; the program outlives this process."""
        if error := _capi.lib().bpf_obj_pin(self.fd, os.fsencode(path)):
            raise LibbpfError(f"pin program {self.name} at {path}", -error)

    def test_run(self, data: bytes, *, repeat: int = 1, ctx: bytes = b"", room: int = 4096) -> TestRun:
        """Run on a packet (BPF_PROG_TEST_RUN); `room` is for octets the program adds."""
        out = ct.create_string_buffer(len(data) + room)
        opts = _capi.TestRunOpts(sz=ct.sizeof(_capi.TestRunOpts), repeat=repeat)
        source = ct.create_string_buffer(data, len(data))
        opts.data_in, opts.data_size_in = ct.addressof(source), len(data)
        opts.data_out, opts.data_size_out = ct.addressof(out), len(out)
        context = ct.create_string_buffer(ctx, len(ctx)) if ctx else None
        if context is not None:
            opts.ctx_in, opts.ctx_size_in = ct.addressof(context), len(ctx)
            opts.ctx_out, opts.ctx_size_out = ct.addressof(context), len(ctx)
        error = _capi.lib().bpf_prog_test_run_opts(self.fd, ct.byref(opts))
        if error:
            raise LibbpfError(f"test run of program {self.name}", -error)
        return TestRun(opts.retval, out.raw[: opts.data_size_out], opts.duration)

    def attach_iterator(self) -> "Link":
        """Attach a program of section iter/…; read it with `Link.read_iterator`."""
        pointer = _capi.lib().bpf_program__attach_iter(self._pointer, None)
        if not pointer:
            raise LibbpfError(f"attach iterator {self.name}", ct.get_errno())
        return Link(pointer)


class Link:
    """An attachment that lasts until `close`."""

    def __init__(self, pointer: int) -> None:
        self._pointer = pointer

    def read_iterator(self) -> bytes:
        """Run the iterator once, in the calling thread's namespaces; return what it wrote."""
        lib = _capi.lib()
        fd = lib.bpf_iter_create(lib.bpf_link__fd(self._pointer))
        if fd < 0:
            raise LibbpfError("create iterator", -fd)
        with open(fd, "rb", buffering=0) as stream:
            return stream.read()

    def close(self) -> None:
        """Detach."""
        if self._pointer:
            _capi.lib().bpf_link__destroy(self._pointer)
            self._pointer = 0


class Object:
    """An eBPF object file: open it, adjust it, load it. Closing unloads what is not attached or pinned."""

    def __init__(self, pointer: int, path: Path) -> None:
        self._pointer = pointer
        self.path = path
        lib = _capi.lib()
        self.maps = {m.name: m for m in (Map.of_object(p) for p in _each(lib.bpf_object__next_map, pointer))}
        self.programs = {
            p.name: p for p in (Program(q) for q in _each(lib.bpf_object__next_program, pointer))
        }

    @classmethod
    def open(cls, path: Path | str) -> "Object":
        """Read an object file; nothing is loaded into the kernel yet."""
        _capi.listen(_capi.lib())
        pointer = _capi.lib().bpf_object__open(os.fsencode(path))
        if not pointer:
            raise LibbpfError(f"open {path}", ct.get_errno(), "\n".join(_capi.log()))
        return cls(pointer, Path(path))

    @cached_property
    def btf(self) -> Btf:
        """The object's own types."""
        return Btf(_capi.lib().bpf_object__btf(self._pointer), owned=False)

    def set_global(self, name: str, value: int | bytes) -> None:
        """Set a `const volatile` (or initialised) global variable, an integer or octets; before `load`."""
        for section in (".rodata", ".data", ".bss"):
            try:
                section_id = self.btf.find(section, 15)
            except LibbpfError:
                continue
            for member in self.btf.members(section_id):
                if member.name == name:
                    layout = self.btf.layout(member.type_id)
                    self._poke(section, member.offset, layout.encode({"": value}))
                    return
        raise LibbpfError(f"{self.path.name} has no global variable {name}", errno.ENOENT)

    def _poke(self, section: str, offset: int, data: bytes) -> None:
        lib, size = _capi.lib(), ct.c_size_t()
        pointer = next(m.pointer for n, m in self.maps.items() if n.endswith(section))
        initial = lib.bpf_map__initial_value(pointer, ct.byref(size))
        content = bytearray(ct.string_at(initial, size.value))
        content[offset : offset + len(data)] = data
        error = lib.bpf_map__set_initial_value(pointer, bytes(content), len(content))
        if error:
            raise LibbpfError(f"set {section} of {self.path.name}", -error)

    def load(self, *, trace: bool = True) -> None:
        """Create the maps and load the programs; raise VerifierError for a refused program.

        Without `trace` its log holds the reason alone, and comes ten times as fast for long programs.
        """
        for program in () if trace else self.programs.values():
            program.log_reason_only()
        _capi.listen(_capi.lib())
        error = _capi.lib().bpf_object__load(self._pointer)
        if not error:
            return
        lines = list(_capi.log())
        name, log = _verifier_log(lines)
        if log:
            raise VerifierError(f"the kernel refused program {name} of {self.path.name}", -error, log)
        raise LibbpfError(f"load {self.path.name}", -error, "\n".join(lines[-4:]))

    def close(self) -> None:
        """Free the object and its file descriptors."""
        if self._pointer:
            self.maps.clear()
            self.programs.clear()
            _capi.lib().bpf_object__close(self._pointer)
            self._pointer = 0

    def __enter__(self) -> "Object":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


_TC_POINTS = {"ingress": 1, "egress": 2, "both": 3}


class TcHook:
    """The clsact hook of an interface, in the calling thread's network namespace.

    `point` is "ingress", "egress", or "both" (to create and destroy only).
    """

    def __init__(self, ifindex: int, point: str) -> None:
        self.ifindex = ifindex
        self.point = point
        self._hook = _capi.TcHook(sz=ct.sizeof(_capi.TcHook), ifindex=ifindex, attach_point=_TC_POINTS[point])

    def create(self) -> bool:
        """Add the clsact qdisc; return False when it was there already."""
        error = _capi.lib().bpf_tc_hook_create(ct.byref(self._hook))
        if error not in (0, -errno.EEXIST):
            raise LibbpfError(f"add qdisc clsact to interface {self.ifindex}", -error)
        return not error

    def destroy(self) -> None:
        """Remove the clsact qdisc with everything attached to it; `point` must be "both"."""
        error = _capi.lib().bpf_tc_hook_destroy(ct.byref(self._hook))
        if error not in (0, -errno.ENOENT, -errno.EINVAL, -errno.ENODEV):
            raise LibbpfError(f"remove qdisc clsact from interface {self.ifindex}", -error)

    def attach(self, program: Program, *, handle: int = 1, priority: int = 1, replace: bool = False) -> None:
        """Attach a classifier, direct-action."""
        opts = self._opts(handle, priority)
        opts.prog_fd, opts.flags = program.fd, int(replace)
        error = _capi.lib().bpf_tc_attach(ct.byref(self._hook), ct.byref(opts))
        if error:
            what = f"attach {program.name} to {self.point} of interface {self.ifindex}"
            raise LibbpfError(what, -error)

    def query(self, *, handle: int = 1, priority: int = 1) -> int | None:
        """Return the id of the attached program, or None."""
        opts = self._opts(handle, priority)
        error = _capi.lib().bpf_tc_query(ct.byref(self._hook), ct.byref(opts))
        return None if error else int(opts.prog_id)

    def detach(self, *, handle: int = 1, priority: int = 1) -> bool:
        """Detach; return False when there was nothing to detach."""
        opts = self._opts(handle, priority)
        error = _capi.lib().bpf_tc_detach(ct.byref(self._hook), ct.byref(opts))
        if error not in (0, -errno.ENOENT, -errno.EINVAL, -errno.ENODEV):
            raise LibbpfError(f"detach from {self.point} of interface {self.ifindex}", -error)
        return not error

    def _opts(self, handle: int, priority: int) -> _capi.TcOpts:
        return _capi.TcOpts(sz=ct.sizeof(_capi.TcOpts), handle=handle, priority=priority)


class XdpHook:
    """The XDP hook of an interface, in the calling thread's network namespace."""

    MODES = {"auto": 0, "generic": 1 << 1, "native": 1 << 2}  # noqa: RUF012  XDP_FLAGS_*

    def __init__(self, ifindex: int, mode: str = "auto") -> None:
        self.ifindex = ifindex
        self._flags = self.MODES[mode]

    def attach(self, program: Program, *, replace: bool = False) -> None:
        """Attach; refuse to displace another program unless `replace`."""
        flags = self._flags | (0 if replace else 1)  # XDP_FLAGS_UPDATE_IF_NOEXIST
        error = _capi.lib().bpf_xdp_attach(self.ifindex, program.fd, flags, None)
        if error:
            raise LibbpfError(f"attach {program.name} as XDP to interface {self.ifindex}", -error)

    def query(self) -> int | None:
        """Return the id of the attached program, or None."""
        prog_id = ct.c_uint32()
        error = _capi.lib().bpf_xdp_query_id(self.ifindex, self._flags, ct.byref(prog_id))
        return None if error or not prog_id.value else prog_id.value

    def detach(self) -> None:
        """Detach whatever is attached in this mode."""
        error = _capi.lib().bpf_xdp_detach(self.ifindex, self._flags, None)
        if error not in (0, -errno.ENODEV):
            raise LibbpfError(f"detach XDP from interface {self.ifindex}", -error)


class XdpLink:
    """A program on an interface's XDP hook until `close`, or until this process ends (since kernel 5.9).

    The interface is that of the calling thread's network namespace.
    """

    def __init__(self, ifindex: int, program: Program, mode: str = "auto") -> None:
        opts = _capi.LinkCreateOpts(sz=ct.sizeof(_capi.LinkCreateOpts), flags=XdpHook.MODES[mode])
        self.fd: int = _capi.lib().bpf_link_create(program.fd, ifindex, 37, ct.byref(opts))  # BPF_XDP
        if self.fd < 0:
            raise LibbpfError(f"attach {program.name} as XDP to interface {ifindex} ({mode})", -self.fd)
        self.mode = mode

    def update(self, program: Program) -> None:
        """Replace the program in one step."""
        if error := _capi.lib().bpf_link_update(self.fd, program.fd, None):
            raise LibbpfError(f"replace the XDP program by {program.name}", -error)

    def close(self) -> None:
        """Detach."""
        if self.fd >= 0:
            os.close(self.fd)
            self.fd = -1


def program_info(fd: int) -> ProgramInfo:
    """Ask the kernel about a program by its file descriptor."""
    info = _capi.ProgInfo()
    length = ct.c_uint32(ct.sizeof(info))
    if error := _capi.lib().bpf_obj_get_info_by_fd(fd, ct.byref(info), ct.byref(length)):
        raise LibbpfError("information on a program", -error)
    return ProgramInfo(info.id, info.jited_prog_len, info.run_time_ns, info.run_cnt)


def program_name(prog_id: int) -> str:
    """The name of a loaded program; "" where it is gone."""
    fd = _capi.lib().bpf_prog_get_fd_by_id(prog_id)
    if fd < 0:
        return ""
    try:
        info = _capi.ProgInfo()
        length = ct.c_uint32(ct.sizeof(info))
        if _capi.lib().bpf_obj_get_info_by_fd(fd, ct.byref(info), ct.byref(length)):
            return ""
        return bytes(info.name).decode()
    finally:
        os.close(fd)


def detach_links_of(prog_id: int) -> int:
    """Detach every link of a program, whoever holds it (since kernel 5.9); return how many."""
    lib, found, following = _capi.lib(), 0, ct.c_uint32()
    while not lib.bpf_link_get_next_id(following.value, ct.byref(following)):
        fd = lib.bpf_link_get_fd_by_id(following.value)
        if fd < 0:
            continue
        try:
            info = _capi.LinkInfo()
            length = ct.c_uint32(ct.sizeof(info))
            error = lib.bpf_obj_get_info_by_fd(fd, ct.byref(info), ct.byref(length))
            if not error and info.prog_id == prog_id:
                found += not lib.bpf_link_detach(fd)
        finally:
            os.close(fd)
    return found


class PerfBuffer:
    """Records of bpf_perf_event_output, of all CPUs, given to `receive` by `consume`.

    Who sends them counts what finds no room: the kernel tells that only with the next record that does.
    """

    def __init__(self, events: Map, receive: Callable[[bytes], None], pages: int = 256) -> None:
        self._receive = receive
        self._callback = _capi.SAMPLE(self._sample)
        pointer = _capi.lib().perf_buffer__new(events.fd, pages, self._callback, None, None, None)
        if not pointer:
            raise LibbpfError(f"perf buffer of map {events.name}", ct.get_errno())
        self._pointer: int = pointer

    def _sample(self, _context: int, _cpu: int, data: int, size: int) -> None:
        self._receive(ct.string_at(data, size))

    @property
    def fileno(self) -> int:
        """A descriptor that is readable when there are records."""
        return int(_capi.lib().perf_buffer__epoll_fd(self._pointer))

    def consume(self) -> None:
        """Give out what has come."""
        _capi.lib().perf_buffer__consume(self._pointer)

    def close(self) -> None:
        """Free the buffers."""
        if self._pointer:
            _capi.lib().perf_buffer__free(self._pointer)
            self._pointer = 0


class RingBuffer:
    """Records of a map of type ringbuf (since kernel 5.8), given to `receive` by `consume`."""

    def __init__(self, records: Map, receive: Callable[[bytes], None]) -> None:
        self._receive = receive
        self._callback = _capi.RECORD(self._record)
        pointer = _capi.lib().ring_buffer__new(records.fd, self._callback, None, None)
        if not pointer:
            raise LibbpfError(f"ring buffer of map {records.name}", ct.get_errno())
        self._pointer: int = pointer

    def _record(self, _context: int, data: int, size: int) -> int:
        self._receive(ct.string_at(data, size))
        return 0

    def fileno(self) -> int:
        """A descriptor that is readable when there are records."""
        return int(_capi.lib().ring_buffer__epoll_fd(self._pointer))

    def consume(self) -> None:
        """Give out what has come."""
        _capi.lib().ring_buffer__consume(self._pointer)

    def close(self) -> None:
        """Let go of the map."""
        if self._pointer:
            _capi.lib().ring_buffer__free(self._pointer)
            self._pointer = 0


_PROGRAM_TYPES = {"tc": 3, "tracepoint": 5, "XDP": 6}  # BPF_PROG_TYPE_*


def version() -> str:
    """Return libbpf's version; raise MissingError when it is not installed or too old."""
    said: bytes = _capi.lib().libbpf_version_string()
    return said.decode().removeprefix("v")


def possible_cpus() -> int:
    """Return how many CPUs this kernel may ever have, which is how many values a per-CPU map holds."""
    return int(_capi.lib().libbpf_num_possible_cpus())


def probe_bpf() -> str:
    """Load an empty program of each kind we use; return which load, raise MissingError if one does not."""
    lib = _capi.lib()
    _capi.listen(lib)
    refused = [
        name for name, kind in _PROGRAM_TYPES.items() if lib.libbpf_probe_bpf_prog_type(kind, None) != 1
    ]
    if refused:
        raise MissingError(
            f"this kernel, or this user, loads no {', '.join(refused)} programs: root and"
            " CONFIG_BPF_SYSCALL=y are needed, in a container also --privileged"
        )
    return f"{', '.join(_PROGRAM_TYPES)} programs load"


def _each(step: Any, pointer: int) -> Iterator[int]:
    item = step(pointer, None)
    while item:
        yield item
        item = step(pointer, item)


def _verifier_log(lines: list[str]) -> tuple[str, str]:
    """Cut the verifier's log and the program's name out of libbpf's log."""
    begin = next((i for i, line in enumerate(lines) if "BEGIN PROG LOAD LOG" in line), None)
    if begin is None:
        return "", ""
    end = next((i for i, line in enumerate(lines) if "END PROG LOAD LOG" in line), len(lines))
    name = lines[begin].partition("'")[2].partition("'")[0]
    return name, "\n".join(lines[begin + 1 : end])
