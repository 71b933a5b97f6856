"""Names of the cells of the programs' counters `drops` and `metrics`, read from the constants that P4 has."""

from __future__ import annotations

import re
from functools import cache
from importlib import resources

_CONSTANT = re.compile(r"^const bit<32> (DROP|METRIC)_(\w+) = (\d+);", re.M)
_COUNTERS = {"drops": ("DROP", "headers.p4"), "metrics": ("METRIC", "metrics.p4")}


@cache
def cells(counter: str) -> dict[int, str]:
    """Return the names of cells by index, of `drops` (why packets were dropped) or `metrics` (what became
    of metric options).
    """
    prefix, file = _COUNTERS[counter]
    text = (resources.files("p4cats.p4src") / "include" / file).read_text(encoding="utf-8")
    found = ((name, int(value)) for kind, name, value in _CONSTANT.findall(text) if kind == prefix)
    sizes = ("REASONS", "RESULTS")
    return {index: name.lower().replace("_", " ") for name, index in found if name not in sizes}
