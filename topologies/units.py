"""Quantities as people write them in a topology, parsed to integers in fixed units.

`1ms`, `500us` and `30s` become microseconds, `100mbit` becomes bits per second, `0.5%` becomes
parts per million. A bare number is refused where the unit would be a guess (only zero needs none);
loss alone may be a bare number, which is a percentage as in tc-netem(8).
"""

import re
from decimal import Decimal

_QUANTITY = re.compile(r"\s*([+-]?\d+(?:\.\d+)?)\s*([A-Za-z%/]*)\s*")

_US = {"us": 1, "ms": 1_000, "s": 1_000_000, "min": 60_000_000}
_BPS = {"bit": 1, "kbit": 1_000, "mbit": 1_000_000, "gbit": 1_000_000_000}


def _split(value: object, what: str, example: str) -> tuple[Decimal, str]:
    """Split a quantity into its number and its unit in lower case."""
    match = _QUANTITY.fullmatch(str(value)) if isinstance(value, int | float | str) else None
    if match is None or isinstance(value, bool):
        raise ValueError(f"must be {what} such as {example} (got {value})")
    return Decimal(match[1]), match[2].lower()


def _scale(value: object, what: str, example: str, units: dict[str, int]) -> int:
    """Return the quantity in the unit whose factor is 1, rounded to a whole number."""
    number, unit = _split(value, what, example)
    if not unit and number == 0:
        return 0
    if unit not in units:
        raise ValueError(f"needs a unit, one of {', '.join(units)}, such as {example} (got {value})")
    if number < 0:
        raise ValueError(f"must not be negative (got {value})")
    return int((number * units[unit]).to_integral_value())


def duration_us(value: object) -> int:
    """Return a duration such as `1ms`, `500us` or `30s` in microseconds; ValueError if it is none."""
    return _scale(value, "a duration", "20ms", _US)


def rate_bps(value: object) -> int:
    """Return a rate such as `100mbit` in bits per second; ValueError if it is none, or zero."""
    bps = _scale(value, "a rate", "100mbit", _BPS)
    if bps == 0:
        raise ValueError(f"must be more than zero (got {value}); leave it out for a link without a limit")
    return bps


def loss_ppm(value: object) -> int:
    """Return a loss such as `0.5%` or `0.5` (a percentage) in parts per million; ValueError if it is none."""
    number, unit = _split(value, "a percentage", "0.5%")
    if unit not in ("", "%"):
        raise ValueError(f"must be a percentage such as 0.5% (got {value})")
    if number < 0:
        raise ValueError(f"must not be negative (got {value})")
    if number > 100:
        raise ValueError(f"must not exceed 100% (got {value})")
    return int((number * 10_000).to_integral_value())
