"""The global variables of a loaded program, shared by mmap: tables, registers, counters."""

from __future__ import annotations

import mmap
from typing import Literal

from p4cats.ebpf.libbpf import Object

Code = Literal["B", "H", "I", "Q"]


class Memory:
    """The .bss of an object; `view` gives a variable as an array of numbers.

    Aligned numbers of up to eight octets are read and written in one step, as the program does.
    """

    def __init__(self, obj: Object) -> None:
        name = next(n for n in obj.maps if n.endswith(".bss"))
        bss = obj.maps[name]
        size = (bss.info.value_size + mmap.PAGESIZE - 1) // mmap.PAGESIZE * mmap.PAGESIZE
        self._map = mmap.mmap(bss.fd, size)
        self._all = memoryview(self._map)
        section = obj.btf.find(".bss", 15)
        self._offsets = {m.name: m.offset for m in obj.btf.members(section)}
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
