"""What hosts did with packets of their services, as agents report it: stamped, or why not."""

from __future__ import annotations

from collections.abc import Mapping

AGENTS = 1024
"""As many are remembered; who comes later takes the place of the one that has been silent for longest."""


class Stamping:
    """Counts of all agents, by result (struct p4cats_stats of ebpf/host_maps.h)."""

    def __init__(self) -> None:
        self._agents: dict[str, Mapping[str, int]] = {}

    def hear(self, agent: str, packets: Mapping[str, int]) -> None:
        """Take in an agent's counts since it has started."""
        self._agents.pop(agent, None)
        self._agents[agent] = packets
        if len(self._agents) > AGENTS:
            del self._agents[next(iter(self._agents))]

    def packets(self) -> dict[str, int]:
        """Return the sums over all agents."""
        found: dict[str, int] = {}
        for counts in self._agents.values():
            for result, packets in counts.items():
                found[result] = found.get(result, 0) + packets
        return found
