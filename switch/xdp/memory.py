"""The global variables of a loaded program, shared by mmap: tables, registers, counters."""

from __future__ import annotations

import mmap
from typing import Literal

from p4cats.ebpf.libbpf import Btf, Map, Object

Code = Literal["B", "H", "I", "Q"]


def variables(obj: Object) -> Map:
    """The map of an object's global variables."""
    return next(found for name, found in obj.maps.items() if name.endswith(".bss"))


class Memory:
    """The .bss of an object, whose types are `btf`; `view` gives a variable as an array of numbers.

    Aligned numbers of up to eight octets are read and written in one step, as the program does.
    """

    def __init__(self, bss: Map, btf: Btf) -> None:
        size = (bss.info.value_size + mmap.PAGESIZE - 1) // mmap.PAGESIZE * mmap.PAGESIZE
        self._map = mmap.mmap(bss.fd, size)
        self._all = memoryview(self._map)
        self._offsets = {m.name: m.offset for m in btf.members(btf.find(".bss", 15))}
        self._views: list[memoryview] = []

    def view(self, name: str, count: int, code: Code = "I") -> memoryview:
        """`count` numbers of a struct format code at a variable."""
        size = {"B": 1, "H": 2, "I": 4, "Q": 8}[code] * count
        at = self._offsets[name]
        raw = self._all[at : at + size]
        found = raw.cast(code) if code != "B" else raw
        self._views += [raw, found]
        return found

    def close(self) -> None:
        """Unmap."""
        for view in reversed(self._views):
            view.release()
        self._views.clear()
        self._all.release()
        self._map.close()
