"""eBPF maps. Private: use p4cats.ebpf.libbpf.Map."""

import ctypes as ct
import errno
import mmap
import os
from collections.abc import Iterator, Sequence
from functools import cached_property
from pathlib import Path

from p4cats.ebpf import _capi
from p4cats.ebpf.btf import Btf, Layout
from p4cats.ebpf.errors import LibbpfError

_PER_CPU = {5, 6, 10, 21}  # BPF_MAP_TYPE_PERCPU_HASH, _PERCPU_ARRAY, _LRU_PERCPU_HASH, …CGROUP_STORAGE
_BATCH = 4096

ANY, NOEXIST, EXIST = 0, 1, 2
"""Flags of `Map.update`."""


class Map:
    """A map of an object (usable after its load) or one that was pinned."""

    def __init__(self, name: str, *, pointer: int = 0, fd: int = -1) -> None:
        self.name = name
        self.pointer = pointer
        self._fd = fd

    @classmethod
    def of_object(cls, pointer: int) -> "Map":
        """Return a map of an opened object."""
        return cls(_capi.lib().bpf_map__name(pointer).decode(), pointer=pointer)

    @classmethod
    def pinned(cls, path: Path | str) -> "Map":
        """Open a pinned map; close it after use."""
        fd = _capi.lib().bpf_obj_get(os.fsencode(path))
        if fd < 0:
            raise LibbpfError(f"open pinned map {path}", -fd)
        return cls(Path(path).name, fd=fd)

    @classmethod
    def by_id(cls, map_id: int) -> "Map":
        """Open a map by its id (errno ENOENT: no longer there); close it after use."""
        fd = _capi.lib().bpf_map_get_fd_by_id(map_id)
        if fd < 0:
            raise LibbpfError(f"open map {map_id}", -fd)
        return cls(f"#{map_id}", fd=fd)

    def close(self) -> None:
        """Close the file descriptor of a map that was pinned or found by id."""
        if self._fd >= 0 and not self.pointer:
            os.close(self._fd)
            self._fd = -1

    @property
    def fd(self) -> int:
        """The file descriptor in this process."""
        if self._fd < 0:
            fd: int = _capi.lib().bpf_map__fd(self.pointer) if self.pointer else -errno.EBADF
            if fd < 0:
                raise LibbpfError(f"map {self.name} is not loaded", -fd)
            self._fd = fd
        return self._fd

    # -- before the object's load

    def set_pin_path(self, path: Path | str) -> None:
        """Share the map through this path: reused when pinned there already, else pinned by `load`."""
        error = _capi.lib().bpf_map__set_pin_path(self.pointer, os.fsencode(path))
        if error:
            raise LibbpfError(f"pin path of map {self.name}", -error)

    def set_max_entries(self, entries: int) -> None:
        """Set the size."""
        error = _capi.lib().bpf_map__set_max_entries(self.pointer, entries)
        if error:
            raise LibbpfError(f"size of map {self.name}", -error)

    # -- what it is

    @cached_property
    def info(self) -> _capi.MapInfo:
        """What the kernel knows of the map."""
        info = _capi.MapInfo()
        length = ct.c_uint32(ct.sizeof(info))
        if error := _capi.lib().bpf_obj_get_info_by_fd(self.fd, ct.byref(info), ct.byref(length)):
            raise LibbpfError(f"information on map {self.name}", -error)
        return info

    @cached_property
    def key_layout(self) -> Layout:
        """Layout of a key, by BTF."""
        return self._layout(self.info.btf_key_type_id)

    @cached_property
    def value_layout(self) -> Layout:
        """Layout of a value (of one CPU's, in a per-CPU map), by BTF."""
        return self._layout(self.info.btf_value_type_id)

    def _layout(self, type_id: int) -> Layout:
        if not type_id:
            raise LibbpfError(f"map {self.name} carries no BTF", errno.ENOENT)
        with Btf.by_id(self.info.btf_id) as btf:
            return btf.layout(type_id)

    @cached_property
    def _value_room(self) -> int:
        """Octets a lookup writes: in a per-CPU map, a padded value for every possible CPU."""
        size: int = self.info.value_size
        if self.info.type in _PER_CPU:
            return (size + 7) // 8 * 8 * int(_capi.lib().libbpf_num_possible_cpus())
        return size

    # -- entries

    def lookup(self, key: bytes) -> bytes | None:
        """Return the value, or None. For a per-CPU map see `lookup_per_cpu`."""
        value = ct.create_string_buffer(self._value_room)
        error = _capi.lib().bpf_map_lookup_elem(self.fd, self._key(key), value)
        if error == -errno.ENOENT:
            return None
        if error:
            raise LibbpfError(f"look up in map {self.name}", -error)
        return value.raw

    def lookup_per_cpu(self, key: bytes) -> list[bytes]:
        """Return one value for each possible CPU; an empty list when there is no entry."""
        raw = self.lookup(key)
        if raw is None:
            return []
        size, step = self.info.value_size, (self.info.value_size + 7) // 8 * 8
        return [raw[at : at + size] for at in range(0, len(raw), step)]

    def update(self, key: bytes, value: bytes, flags: int = ANY) -> None:
        """Set an entry. With NOEXIST or EXIST, raise LibbpfError (errno EEXIST or ENOENT)."""
        if len(value) != self._value_room:
            raise ValueError(f"map {self.name}: value of {len(value)} octets, not {self._value_room}")
        error = _capi.lib().bpf_map_update_elem(self.fd, self._key(key), value, flags)
        if error:
            raise LibbpfError(f"update map {self.name}", -error)

    def update_batch(self, keys: Sequence[bytes], values: Sequence[bytes]) -> None:
        """Set entries of a hash, array or trie in one system call (since kernel 5.6), one by one.

        Where that fails, some of them are set.
        """
        count = ct.c_uint32(len(keys))
        octets = b"".join(keys), b"".join(values)
        if [len(o) for o in octets] != [len(keys) * self.info.key_size, len(keys) * self._value_room]:
            raise ValueError(f"map {self.name}: keys or values have not the map's size")
        if error := _capi.lib().bpf_map_update_batch(self.fd, *octets, ct.byref(count), None):
            raise LibbpfError(f"update map {self.name}, entry {count.value} of {len(keys)}", -error)

    def delete(self, key: bytes) -> bool:
        """Remove an entry; return False when there was none."""
        error = _capi.lib().bpf_map_delete_elem(self.fd, self._key(key))
        if error not in (0, -errno.ENOENT):
            raise LibbpfError(f"delete from map {self.name}", -error)
        return not error

    def pop(self, key: bytes) -> bytes | None:
        """Remove an entry and return its last value, or None (hash maps: since kernel 5.14)."""
        value = ct.create_string_buffer(self._value_room)
        error = _capi.lib().bpf_map_lookup_and_delete_elem(self.fd, self._key(key), value)
        if error == -errno.ENOENT:
            return None
        if error:
            raise LibbpfError(f"take from map {self.name}", -error)
        return value.raw

    def keys(self) -> Iterator[bytes]:
        """Yield the keys; one deleted meanwhile by others makes the walk start again."""
        lib, size = _capi.lib(), self.info.key_size
        following = ct.create_string_buffer(size)
        error = lib.bpf_map_get_next_key(self.fd, None, following)
        while not error:
            key = following.raw
            yield key
            error = lib.bpf_map_get_next_key(self.fd, key, following)
        if error != -errno.ENOENT:
            raise LibbpfError(f"walk map {self.name}", -error)

    def items(self) -> Iterator[tuple[bytes, bytes]]:
        """Yield keys and values, key by key."""
        for key in self.keys():
            value = self.lookup(key)
            if value is not None:
                yield key, value

    def items_batch(self) -> Iterator[tuple[bytes, bytes]]:
        """Yield keys and values of a hash or array in large batches (since kernel 5.6)."""
        key_size, value_size = self.info.key_size, self._value_room
        keys = ct.create_string_buffer(key_size * _BATCH)
        values = ct.create_string_buffer(value_size * _BATCH)
        cursor = ct.create_string_buffer(max(4, key_size))
        start: ct.Array[ct.c_char] | None = None
        error = 0
        while not error:
            count = ct.c_uint32(_BATCH)
            error = _capi.lib().bpf_map_lookup_batch(
                self.fd, start, cursor, keys, values, ct.byref(count), None
            )
            if error not in (0, -errno.ENOENT):
                raise LibbpfError(f"read map {self.name} in batches", -error)
            raw_keys, raw_values = keys.raw, values.raw
            for i in range(count.value):
                yield (
                    raw_keys[i * key_size : (i + 1) * key_size],
                    raw_values[i * value_size : (i + 1) * value_size],
                )
            start = cursor

    def memory(self) -> mmap.mmap:
        """Return the values of an array made with BPF_F_MMAPABLE, to read without system calls.

        Values follow each other, each padded to 8 octets (since kernel 5.5).
        """
        size = (self.info.value_size + 7) // 8 * 8 * self.info.max_entries
        try:
            return mmap.mmap(self.fd, size, mmap.MAP_SHARED, mmap.PROT_READ)
        except OSError as error:
            raise LibbpfError(f"memory of map {self.name}", error.errno or 0) from error

    def _key(self, key: bytes) -> bytes:
        if len(key) != self.info.key_size:
            raise ValueError(f"map {self.name}: key of {len(key)} octets, not {self.info.key_size}")
        return key

    # -- pins

    def pin(self, path: Path | str) -> None:
        """Pin under a bpffs path; the map outlives this process. `Path.unlink` unpins."""
        if error := _capi.lib().bpf_obj_pin(self.fd, os.fsencode(path)):
            raise LibbpfError(f"pin map {self.name} at {path}", -error)
