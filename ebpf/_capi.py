"""The C interface of libbpf.so.1 for ctypes: prototypes, structs, and its log.

Private: use p4cats.ebpf.libbpf. Struct layouts are those of libbpf 1.0 and of
<linux/bpf.h>; libbpf takes the size of each from its first field, the kernel
from the length passed, so that older and newer versions of both work.
"""

import collections
import ctypes as ct
import functools
import threading
from ctypes import POINTER, c_bool, c_char_p, c_int, c_size_t, c_uint32, c_uint64, c_void_p
from typing import Any

from p4cats.ebpf.errors import MissingError

P = c_void_p
_PROTOTYPES: dict[str, tuple[Any, ...]] = {
    # name: (result, arguments...)
    "libbpf_num_possible_cpus": (c_int,),
    "libbpf_version_string": (c_char_p,),
    "libbpf_probe_bpf_prog_type": (c_int, c_int, P),
    "bpf_object__open": (P, c_char_p),
    "bpf_object__load": (c_int, P),
    "bpf_object__close": (None, P),
    "bpf_object__btf": (P, P),
    "bpf_object__next_map": (P, P, P),
    "bpf_object__next_program": (P, P, P),
    "bpf_map__name": (c_char_p, P),
    "bpf_map__fd": (c_int, P),
    "bpf_map__set_pin_path": (c_int, P, c_char_p),
    "bpf_map__set_max_entries": (c_int, P, c_uint32),
    "bpf_map__initial_value": (P, P, POINTER(c_size_t)),
    "bpf_map__set_initial_value": (c_int, P, P, c_size_t),
    "bpf_program__name": (c_char_p, P),
    "bpf_program__section_name": (c_char_p, P),
    "bpf_program__fd": (c_int, P),
    "bpf_program__set_autoload": (c_int, P, c_bool),
    "bpf_program__set_log_level": (c_int, P, c_uint32),
    "bpf_program__insn_cnt": (c_size_t, P),
    "bpf_program__attach_iter": (P, P, P),
    "bpf_link__fd": (c_int, P),
    "bpf_program__attach_xdp": (P, P, c_int),
    "bpf_link__update_program": (c_int, P, P),
    "bpf_link_create": (c_int, c_int, c_int, c_int, P),
    "bpf_link_update": (c_int, c_int, c_int, P),
    "bpf_link_get_next_id": (c_int, c_uint32, POINTER(c_uint32)),
    "bpf_link_get_fd_by_id": (c_int, c_uint32),
    "bpf_link_detach": (c_int, c_int),
    "bpf_prog_get_fd_by_id": (c_int, c_uint32),
    "perf_buffer__new": (P, c_int, c_size_t, P, P, P, P),
    "perf_buffer__consume": (c_int, P),
    "perf_buffer__epoll_fd": (c_int, P),
    "perf_buffer__free": (None, P),
    "ring_buffer__new": (P, c_int, P, P, P),
    "ring_buffer__consume": (c_int, P),
    "ring_buffer__epoll_fd": (c_int, P),
    "ring_buffer__free": (None, P),
    "bpf_link__destroy": (c_int, P),
    "bpf_iter_create": (c_int, c_int),
    "bpf_map_lookup_elem": (c_int, c_int, P, P),
    "bpf_map_update_elem": (c_int, c_int, P, P, c_uint64),
    "bpf_map_delete_elem": (c_int, c_int, P),
    "bpf_map_lookup_and_delete_elem": (c_int, c_int, P, P),
    "bpf_map_get_next_key": (c_int, c_int, P, P),
    "bpf_map_get_fd_by_id": (c_int, c_uint32),
    "bpf_map_update_batch": (c_int, c_int, P, P, POINTER(c_uint32), P),
    "bpf_map_lookup_batch": (c_int, c_int, P, P, P, P, POINTER(c_uint32), P),
    "bpf_obj_pin": (c_int, c_int, c_char_p),
    "bpf_obj_get": (c_int, c_char_p),
    "bpf_obj_get_info_by_fd": (c_int, c_int, P, POINTER(c_uint32)),
    "bpf_prog_test_run_opts": (c_int, c_int, P),
    "bpf_tc_hook_create": (c_int, P),
    "bpf_tc_hook_destroy": (c_int, P),
    "bpf_tc_attach": (c_int, P, P),
    "bpf_tc_detach": (c_int, P, P),
    "bpf_tc_query": (c_int, P, P),
    "bpf_xdp_attach": (c_int, c_int, c_int, c_uint32, P),
    "bpf_xdp_detach": (c_int, c_int, c_uint32, P),
    "bpf_xdp_query_id": (c_int, c_int, c_int, POINTER(c_uint32)),
    "btf__load_vmlinux_btf": (P,),
    "btf__load_from_kernel_by_id": (P, c_uint32),
    "btf__free": (None, P),
    "btf__type_cnt": (c_uint32, P),
    "btf__type_by_id": (P, P, c_uint32),
    "btf__name_by_offset": (c_char_p, P, c_uint32),
    "btf__find_by_name_kind": (c_int, P, c_char_p, c_uint32),
    "btf__resolve_size": (ct.c_int64, P, c_uint32),
}


class TcHook(ct.Structure):
    """struct bpf_tc_hook."""

    _fields_ = [("sz", c_size_t), ("ifindex", c_int), ("attach_point", c_int), ("parent", c_uint32)]


class TcOpts(ct.Structure):
    """struct bpf_tc_opts."""

    _fields_ = [
        ("sz", c_size_t),
        ("prog_fd", c_int),
        ("flags", c_uint32),
        ("prog_id", c_uint32),
        ("handle", c_uint32),
        ("priority", c_uint32),
    ]


class TestRunOpts(ct.Structure):
    """struct bpf_test_run_opts."""

    _fields_ = [
        ("sz", c_size_t),
        ("data_in", P),
        ("data_out", P),
        ("data_size_in", c_uint32),
        ("data_size_out", c_uint32),
        ("ctx_in", P),
        ("ctx_out", P),
        ("ctx_size_in", c_uint32),
        ("ctx_size_out", c_uint32),
        ("retval", c_uint32),
        ("repeat", c_int),
        ("duration", c_uint32),
        ("flags", c_uint32),
        ("cpu", c_uint32),
        ("batch_size", c_uint32),
    ]


class LinkCreateOpts(ct.Structure):
    """struct bpf_link_create_opts, as far as flags."""

    _fields_ = [
        ("sz", c_size_t),
        ("flags", c_uint32),
        ("iter_info", P),
        ("iter_info_len", c_uint32),
        ("target_btf_id", c_uint32),
        ("rest", c_uint64 * 4),
    ]


class LinkInfo(ct.Structure):
    """struct bpf_link_info, as far as prog_id; the rest is room."""

    _fields_ = [("type", c_uint32), ("id", c_uint32), ("prog_id", c_uint32), ("rest", c_uint32 * 29)]


SAMPLE = ct.CFUNCTYPE(None, P, c_int, P, c_uint32)
"""perf_buffer_sample_fn."""
RECORD = ct.CFUNCTYPE(c_int, P, P, c_size_t)
"""ring_buffer_sample_fn."""


class MapInfo(ct.Structure):
    """struct bpf_map_info."""

    _fields_ = [
        ("type", c_uint32),
        ("id", c_uint32),
        ("key_size", c_uint32),
        ("value_size", c_uint32),
        ("max_entries", c_uint32),
        ("map_flags", c_uint32),
        ("name", ct.c_char * 16),
        ("ifindex", c_uint32),
        ("btf_vmlinux_value_type_id", c_uint32),
        ("netns_dev", c_uint64),
        ("netns_ino", c_uint64),
        ("btf_id", c_uint32),
        ("btf_key_type_id", c_uint32),
        ("btf_value_type_id", c_uint32),
        ("pad", c_uint32),
    ]


class ProgInfo(ct.Structure):
    """struct bpf_prog_info, as far as run_cnt."""

    _fields_ = [
        ("type", c_uint32),
        ("id", c_uint32),
        ("tag", ct.c_uint8 * 8),
        ("jited_prog_len", c_uint32),
        ("xlated_prog_len", c_uint32),
        ("jited_prog_insns", c_uint64),
        ("xlated_prog_insns", c_uint64),
        ("load_time", c_uint64),
        ("created_by_uid", c_uint32),
        ("nr_map_ids", c_uint32),
        ("map_ids", c_uint64),
        ("name", ct.c_char * 16),
        ("ifindex", c_uint32),
        ("gpl_compatible", c_uint32),
        ("netns_dev", c_uint64),
        ("netns_ino", c_uint64),
        ("nr_jited_ksyms", c_uint32),
        ("nr_jited_func_lens", c_uint32),
        ("jited_ksyms", c_uint64),
        ("jited_func_lens", c_uint64),
        ("btf_id", c_uint32),
        ("func_info_rec_size", c_uint32),
        ("func_info", c_uint64),
        ("nr_func_info", c_uint32),
        ("nr_line_info", c_uint32),
        ("line_info", c_uint64),
        ("jited_line_info", c_uint64),
        ("nr_jited_line_info", c_uint32),
        ("line_info_rec_size", c_uint32),
        ("jited_line_info_rec_size", c_uint32),
        ("nr_prog_tags", c_uint32),
        ("prog_tags", c_uint64),
        ("run_time_ns", c_uint64),
        ("run_cnt", c_uint64),
    ]


class BtfType(ct.Structure):
    """struct btf_type."""

    _fields_ = [("name_off", c_uint32), ("info", c_uint32), ("size_or_type", c_uint32)]


class BtfMember(ct.Structure):
    """struct btf_member, and the first two words of struct btf_var_secinfo."""

    _fields_ = [("name_off", c_uint32), ("type", c_uint32), ("offset", c_uint32)]


_local = threading.local()
_LOG_LINES = 4000


def log() -> "collections.deque[str]":
    """Return what libbpf has said on this thread since `listen`."""
    if not hasattr(_local, "log"):
        _local.log = collections.deque(maxlen=_LOG_LINES)
    lines: collections.deque[str] = _local.log
    return lines


_PRINT = ct.CFUNCTYPE(c_int, c_int, c_char_p, P)


def _make_printer(libc: ct.CDLL) -> Any:
    vsnprintf = libc.vsnprintf
    # On the 64-bit ABIs Linux knows, a va_list argument arrives as a pointer.
    vsnprintf.argtypes = [c_char_p, c_size_t, c_char_p, P]

    def printer(level: int, text: bytes, arguments: int) -> int:
        if level <= 1:  # warnings and information; not debug
            # A verifier's log comes in one piece, and its end is what matters.
            buffer = ct.create_string_buffer(1 << 24 if b"LOAD LOG" in text else 1 << 16)
            vsnprintf(buffer, len(buffer), text, arguments)
            log().extend(buffer.value.decode(errors="replace").splitlines())
        return 0

    return _PRINT(printer)


@functools.cache
def lib() -> Any:
    """Load libbpf once, with its log going to `log()` instead of stderr."""
    try:
        library = ct.CDLL("libbpf.so.1", use_errno=True)
    except OSError as error:
        raise MissingError(
            "libbpf 1.0 or newer is not installed: apt install libbpf1 (Debian 12, Ubuntu 24.04)"
        ) from error
    for name, (result, *arguments) in _PROTOTYPES.items():
        function = getattr(library, name)
        function.restype = result
        function.argtypes = arguments
    library.libbpf_set_print.argtypes = [_PRINT]
    library.libbpf_set_print.restype = P
    listen(library)
    return library


@functools.cache
def _printer() -> Any:
    return _make_printer(ct.CDLL(None))


def listen(library: Any) -> None:
    """Start an empty log. Needed before each call that matters: bcc, in the same process, redirects it."""
    library.libbpf_set_print(_printer())
    log().clear()
