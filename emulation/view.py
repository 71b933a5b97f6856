"""The live view of a run: what the clients see, as they see it."""

from __future__ import annotations

from rich.console import Console, ConsoleOptions, RenderResult
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from p4cats.replay.live import LiveSnapshot
from p4cats.topologies.schema import Topology

BAR_WIDTH = 30


class RunView:
    """A renderable for rich.live.Live; `note` while something is prepared, `update` while requests run."""

    def __init__(self, topology: Topology, seconds: float):
        self._sites = sorted({topology.hosts[i.host].switch for i in topology.instances})
        self._seconds = seconds
        self._note = ""
        self._policy = ""
        self._snapshot: LiveSnapshot | None = None

    def note(self, text: str) -> None:
        """Show a few words; the last run's numbers go."""
        self._note, self._snapshot = text, None

    def update(self, policy: str, snapshot: LiveSnapshot) -> None:
        """Show a state."""
        self._policy, self._snapshot = policy, snapshot

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        snapshot = self._snapshot
        if snapshot is None:
            yield Text(f"{self._note} …", style="dim")
            return
        table = Table.grid(padding=(0, 2))
        table.add_column(min_width=10)
        table.add_column(width=BAR_WIDTH)
        table.add_column()
        errors = sum(snapshot.errors.values())
        table.add_row(
            Text(self._policy, style="bold"),
            ProgressBar(total=self._seconds, completed=min(snapshot.t_s, self._seconds), width=BAR_WIDTH),
            f"{snapshot.answered} answered, {snapshot.in_flight} under way, {errors} failed",
        )
        for site in self._sites:
            share = snapshot.recent_share.get(site, 0.0)
            bar = ProgressBar(total=1.0, completed=share, width=BAR_WIDTH, complete_style="green")
            table.add_row(f"  {site}", bar, f"{share:.0%}")
        table.add_row(
            "  latency", "", f"p50 {_ms(snapshot.recent_p50_ms)}  p99 {_ms(snapshot.recent_p99_ms)}"
        )
        yield table


def _ms(value: float | None) -> str:
    return "-" if value is None else f"{value:.0f} ms"
