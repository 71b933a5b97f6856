"""Types from BTF: member offsets of kernel structs, layouts of map keys and values.

Reads BTF through libbpf (Documentation/bpf/btf.rst). Bit fields are not handled.
"""

import ctypes as ct
import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property

from p4cats.ebpf import _capi
from p4cats.ebpf.errors import LibbpfError

INT, PTR, ARRAY, STRUCT, UNION, ENUM = 1, 2, 3, 4, 5, 6
TYPEDEF, VOLATILE, CONST, RESTRICT, VAR, DATASEC, TYPE_TAG = 8, 9, 10, 11, 14, 15, 18
_ALIASES = {TYPEDEF, VOLATILE, CONST, RESTRICT, VAR, TYPE_TAG}
_FORMATS = {1: "B", 2: "H", 4: "I", 8: "Q"}

Value = int | bytes


@dataclass(frozen=True)
class Member:
    """A member of a struct, a union or a data section; offset in octets."""

    name: str
    type_id: int
    offset: int


@dataclass(frozen=True)
class Field:
    """A leaf of a layout: an integer, or octets (any array). Offset in octets."""

    name: str
    offset: int
    size: int
    format: str


@dataclass(frozen=True)
class Layout:
    """How a struct, or an integer (one field, named ""), lies in memory.

    Members of inner structs are named `outer.inner`.
    """

    size: int
    fields: tuple[Field, ...]

    @cached_property
    def _struct(self) -> struct.Struct:
        parts, at = ["="], 0
        for field in self.fields:
            parts += [f"{field.offset - at}x", field.format]
            at = field.offset + field.size
        return struct.Struct("".join([*parts, f"{self.size - at}x"]))

    @cached_property
    def _names(self) -> tuple[str, ...]:
        return tuple(field.name for field in self.fields)

    def decode(self, data: bytes) -> dict[str, Value]:
        """Return every field by name."""
        return dict(zip(self._names, self._struct.unpack(data), strict=True))

    def encode(self, values: Mapping[str, Value]) -> bytes:
        """Return the octets; fields not given are zero. Raise KeyError for an unknown name."""
        unknown = values.keys() - {field.name for field in self.fields}
        if unknown:
            raise KeyError(f"no such field: {', '.join(sorted(unknown))}")
        zero = {True: b"", False: 0}
        return self._struct.pack(*(values.get(f.name, zero[f.format.endswith("s")]) for f in self.fields))


class Btf:
    """A set of types. Close it (or use it in a with statement) when it is yours."""

    def __init__(self, pointer: int, *, owned: bool = True) -> None:
        self._btf = pointer
        self._owned = owned

    @classmethod
    def vmlinux(cls) -> "Btf":
        """Return the types of the running kernel."""
        pointer = _capi.lib().btf__load_vmlinux_btf()
        if not pointer:
            raise LibbpfError("the kernel's BTF cannot be read (CONFIG_DEBUG_INFO_BTF=y?)", ct.get_errno())
        return cls(pointer)

    @classmethod
    def by_id(cls, btf_id: int) -> "Btf":
        """Return types that the kernel holds for a loaded object."""
        pointer = _capi.lib().btf__load_from_kernel_by_id(btf_id)
        if not pointer:
            raise LibbpfError(f"BTF object {btf_id}", ct.get_errno())
        return cls(pointer)

    def close(self) -> None:
        """Free the types."""
        if self._owned and self._btf:
            _capi.lib().btf__free(self._btf)
            self._btf = 0

    def __enter__(self) -> "Btf":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def find(self, name: str, kind: int = STRUCT) -> int:
        """Return the id of a type; raise LibbpfError when there is none."""
        type_id: int = _capi.lib().btf__find_by_name_kind(self._btf, name.encode(), kind)
        if type_id < 0:
            raise LibbpfError(f"no type {name} in BTF", -type_id)
        return type_id

    def offset(self, struct_name: str, path: str) -> int:
        """Return the offset in octets of a member such as `__sk_common.skc_net.net`.

        Anonymous structs and unions on the way need not be named.
        """
        type_id, offset = self.find(struct_name), 0
        for name in path.split("."):
            found = self._member(type_id, name)
            if found is None:
                raise LibbpfError(f"struct {struct_name} has no {path} in this kernel", 2)
            offset += found.offset
            type_id = found.type_id
        return offset

    def members(self, type_id: int) -> Iterator[Member]:
        """Yield the members of a struct, union or data section."""
        header, address = self._header(self.resolve(type_id))
        kind = _kind(header)
        if kind not in (STRUCT, UNION, DATASEC):
            return
        count = header.info & 0xFFFF
        for item in (_capi.BtfMember * count).from_address(address + ct.sizeof(header)):
            if kind == DATASEC:  # struct btf_var_secinfo: type, offset, size
                var_header, _ = self._header(item.name_off)
                yield Member(self._name(var_header.name_off), item.name_off, item.type)
            else:
                # With a kind_flag the upper 8 bits are the width of a bit field.
                bits = item.offset & 0xFFFFFF if header.info >> 31 else item.offset
                yield Member(self._name(item.name_off), item.type, bits // 8)

    def layout(self, type_id: int) -> Layout:
        """Return the layout of a struct or an integer type."""
        return Layout(self.size(type_id), tuple(self._fields(type_id, "", 0)))

    def size(self, type_id: int) -> int:
        """Return the size of a type in octets."""
        size: int = _capi.lib().btf__resolve_size(self._btf, type_id)
        if size < 0:
            raise LibbpfError(f"size of BTF type {type_id}", -size)
        return size

    def resolve(self, type_id: int) -> int:
        """Follow typedefs, qualifiers and variables to the type behind."""
        header, _ = self._header(type_id)
        while _kind(header) in _ALIASES:
            type_id = header.size_or_type
            header, _ = self._header(type_id)
        return type_id

    def _header(self, type_id: int) -> tuple[_capi.BtfType, int]:
        address = _capi.lib().btf__type_by_id(self._btf, type_id)
        if not address:
            raise LibbpfError(f"no BTF type {type_id}", 2)
        return _capi.BtfType.from_address(address), address

    def _name(self, offset: int) -> str:
        name: bytes = _capi.lib().btf__name_by_offset(self._btf, offset) or b""
        return name.decode()

    def _member(self, type_id: int, name: str) -> Member | None:
        for member in self.members(type_id):
            if member.name == name:
                return member
            if not member.name:
                inner = self._member(member.type_id, name)
                if inner:
                    return Member(name, inner.type_id, member.offset + inner.offset)
        return None

    def _fields(self, type_id: int, name: str, offset: int) -> Iterator[Field]:
        resolved = self.resolve(type_id)
        header, address = self._header(resolved)
        kind, size = _kind(header), self.size(resolved)
        if kind == STRUCT:
            for member in self.members(resolved):
                full = f"{name}.{member.name}" if name else member.name
                yield from self._fields(member.type_id, full, offset + member.offset)
        elif kind in (INT, ENUM, PTR) and size in _FORMATS:
            signed = False
            if kind == INT:
                encoding = ct.c_uint32.from_address(address + ct.sizeof(header)).value
                signed = bool(encoding >> 24 & 1)
            text = _FORMATS[size]
            yield Field(name, offset, size, text.lower() if signed else text)
        else:
            yield Field(name, offset, size, f"{size}s")


def _kind(header: _capi.BtfType) -> int:
    info: int = header.info
    return info >> 24 & 0x1F
