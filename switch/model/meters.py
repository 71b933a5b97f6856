"""Two-rate three-colour meters (RFC 2698, colour-blind), as BMv2 runs them.

Token buckets start full and are filled by the clock's nanoseconds in exact integer arithmetic: tokens are
kept in billionths of a packet or byte.
"""

from __future__ import annotations

from collections.abc import Callable

from p4cats.switch.dataplane import MeterConfig

GREEN, YELLOW, RED = 0, 1, 2
_SCALE = 1_000_000_000
"""Nanoseconds per second: in billionths, tokens are integers at any rate."""


class MeterCell:
    """One configured meter."""

    __slots__ = ("_clock", "_committed", "_last", "_peak", "config")

    def __init__(self, config: MeterConfig, clock: Callable[[], int]) -> None:
        self.config = config
        self._clock = clock
        self._last = clock()
        self._committed = config.cburst * _SCALE
        self._peak = config.pburst * _SCALE

    def execute(self, amount: int) -> int:
        """Meter one packet of `amount` units: its colour."""
        config = self.config
        now = self._clock()
        elapsed = now - self._last
        self._last = now
        self._committed = min(self._committed + config.cir * elapsed, config.cburst * _SCALE)
        self._peak = min(self._peak + config.pir * elapsed, config.pburst * _SCALE)
        need = amount * _SCALE
        if self._peak < need:
            return RED
        self._peak -= need
        if self._committed < need:
            return YELLOW
        self._committed -= need
        return GREEN


class Meters:
    """An indirect meter: cells that are green until configured."""

    def __init__(self, size: int, clock: Callable[[], int]) -> None:
        self.size = size
        self._clock = clock
        self._cells: dict[int, MeterCell] = {}

    def configure(self, index: int, config: MeterConfig | None) -> None:
        """Set or (None) remove the configuration of one cell."""
        if not 0 <= index < self.size:
            raise IndexError(f"meter index {index} is outside 0..{self.size - 1}")
        if config is None:
            self._cells.pop(index, None)
        else:
            self._cells[index] = MeterCell(config, self._clock)

    def config(self, index: int) -> MeterConfig | None:
        """The configuration of a cell."""
        cell = self._cells.get(index)
        return cell.config if cell else None

    def execute(self, index: int, amount: int) -> int:
        """Meter a packet."""
        cell = self._cells.get(index)
        return cell.execute(amount) if cell else GREEN
