"""The raw metrics (L0) that agents report of instances, with the fields of the CATS metric draft.

draft-ietf-cats-metric-definition, section 4.1: type, level, format, unit, length, source, statistics. It
gives no code points; the names of its examples are used where it has one. Raw metrics stay between agents,
controller and operator: packets carry what docs/protocol.md, 3 says.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Definition:
    """One raw metric; `None` as its value means that it is not known."""

    name: str
    """As in the report's `raw`; the unit is its last word where it has one."""
    metric_type: str
    category: str
    """compute, communication or service: the L1 score that it goes into."""
    unit: str
    source: str
    """directly measured, estimation or nominal."""
    statistics: str
    """cur: as of the report; mean: since the last reading, smoothed."""
    meaning: str
    scope: str = "instance"
    format: str = "float"
    length: int = 8
    """Octets of the value."""
    level: str = "L0"


_MEASURED, _ESTIMATED = "directly measured", "estimation"

DEFINITIONS = {
    item.name: item
    for item in (
        Definition(
            "cpu_use", "compute_cpu", "compute", "share of all CPUs", _MEASURED, "mean",
            "time in which a CPU was not idle (tracepoint sched_switch)", scope="node",
        ),
        Definition(
            "run_queue_us", "compute_delay", "compute", "µs", _MEASURED, "mean",
            "from becoming runnable to running, of a sample of tasks (tracepoints of sched)", scope="node",
        ),
        Definition(
            "cpu_cores", "compute_cpu", "compute", "CPUs", _MEASURED, "mean",
            "CPU time per time of the processes that hold the service's sockets",
        ),
        Definition(
            "power_mw", "compute_power", "compute", "mW", "directly measured or estimation", "mean",
            "RAPL where the machine has it, else idle + (peak - idle) * share of busy workers",
            format="int", length=4,
        ),
        Definition(
            "link_use", "network_bw", "communication", "share of the link's rate", _MEASURED, "mean",
            "the busier direction; 0 where the rate is not configured", scope="host",
        ),
        Definition(
            "loss", "network_loss", "communication", "share of packets", _MEASURED, "mean",
            "errors and drops of the interface", scope="host",
        ),
        Definition(
            "received_bps", "network_bw", "communication", "bit/s", _MEASURED, "mean",
            "octets of the interface, in", scope="host",
        ),
        Definition(
            "sent_bps", "network_bw", "communication", "bit/s", _MEASURED, "mean",
            "octets of the interface, out", scope="host",
        ),
        Definition(
            "in_flight", "service_requests", "service", "requests", _MEASURED, "cur",
            "accepted by the kernel and not answered", format="int", length=4,
        ),
        Definition(
            "requests_per_s", "service_requests", "service", "1/s", _MEASURED, "mean",
            "new connections and datagrams",
        ),
        Definition(
            "service_time_us", "service_delay", "service", "µs", _MEASURED, "mean",
            "of a request that found a free worker, over the last ten; as configured until measured",
            format="int", length=4,
        ),
        Definition(
            "expected_wait_us", "service_delay", "service", "µs", _ESTIMATED, "cur",
            "max(0, in flight + 1 - workers) * service time / workers; null: unknown", format="int", length=4,
        ),
        Definition(
            "accept_backlog", "service_queue", "service", "connections", _MEASURED, "cur",
            "that wait for accept(2)", format="int", length=4,
        ),
        Definition(
            "workers", "service_workers", "service", "requests", "nominal", "cur",
            "that are served at the same time", format="int", length=4,
        ),
    )
}  # fmt: skip
"""By name, in the order of the L1 categories."""
