"""Electrical power of an instance in watts.

Measured where the machine tells: RAPL counts the energy of processor packages
(Linux, /sys/class/powercap/intel-rapl:N, microjoules, wrapping around). Elsewhere, and for
emulated hosts that share one machine, a linear model of utilisation, which
describes servers well enough to compare them: idle + (peak - idle) * utilisation.
"""

import time
from pathlib import Path

POWERCAP = Path("/sys/class/powercap")


def model_w(idle_w: float, peak_w: float, utilisation: float) -> float:
    """Return the modelled power; utilisation is cut to 0..1."""
    return idle_w + (peak_w - idle_w) * min(1.0, max(0.0, utilisation))


class Rapl:
    """The energy counters of all processor packages."""

    def __init__(self, root: Path = POWERCAP) -> None:
        self._zones: list[tuple[Path, int]] = []
        for zone in sorted(root.glob("intel-rapl:[0-9]")) + sorted(root.glob("intel-rapl:[0-9][0-9]")):
            try:
                (zone / "energy_uj").read_text()
                self._zones.append((zone / "energy_uj", int((zone / "max_energy_range_uj").read_text())))
            except (OSError, ValueError):
                continue  # not readable for us, or not a package
        self._last = self._read()
        self._at = time.monotonic()

    @property
    def readable(self) -> bool:
        """Whether the machine tells."""
        return bool(self._zones)

    def power_w(self, now: float | None = None) -> float | None:
        """Return the mean power since the last call, or None when it cannot be told."""
        now = time.monotonic() if now is None else now
        seconds = now - self._at
        if not self._zones or seconds <= 0:
            return None
        current = self._read()
        joules = 0.0
        for (_, limit), before, after in zip(self._zones, self._last, current, strict=True):
            joules += (after - before if after >= before else after + limit - before) / 1e6
        self._last, self._at = current, now
        return joules / seconds

    def _read(self) -> list[int]:
        return [int(path.read_text()) for path, _ in self._zones]
