"""The controller's figures in Prometheus' text format (version 0.0.4), named by its conventions:

https://prometheus.io/docs/practices/naming/ - base units, `_total` for what only grows, `_info` for text.
Counters of a port begin anew when its interface does, those of a program when it is installed again.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from p4cats.controller.views import InstanceView, StatusView, SwitchView
from p4cats.switch_status import Traffic

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

_ESCAPED = str.maketrans({"\\": r"\\", '"': r"\"", "\n": r"\n"})


@dataclass
class _Family:
    """One metric with all its label sets."""

    name: str
    kind: str
    help: str
    samples: list[tuple[dict[str, str], float]] = field(default_factory=list)

    def lines(self) -> Iterator[str]:
        yield f"# HELP {self.name} {self.help}"
        yield f"# TYPE {self.name} {self.kind}"
        for labels, value in self.samples:
            shown = ",".join(f'{key}="{text.translate(_ESCAPED)}"' for key, text in labels.items())
            yield f"{self.name}{{{shown}}} {value}"


class _Families:
    """Metrics in the order in which they are first named."""

    def __init__(self) -> None:
        self._found: dict[str, _Family] = {}

    def add(self, name: str, text: str, value: float | None, **labels: str) -> None:
        """Add a sample; None is none. The kind follows from the name."""
        if value is not None:
            kind = "counter" if name.endswith("_total") else "gauge"
            self._found.setdefault(name, _Family(name, kind, text)).samples.append((labels, value))

    def text(self) -> str:
        return "".join(f"{line}\n" for family in self._found.values() for line in family.lines())


def exposition(status: StatusView, instances: list[InstanceView]) -> str:
    """Return everything as one page."""
    families = _Families()
    network = {"network": status["network"]}
    families.add("p4cats_info", "Version of p4cats.", 1, version=status["version"], **network)
    families.add("p4cats_uptime_seconds", "Since the controller's start.", status["uptime_s"], **network)
    text = "1 while every switch holds what it should."
    families.add("p4cats_converged", text, int(status["converged"]), **network)
    for switch in status["switches"]:
        _switch(families, switch)
    for instance in instances:
        _instance(families, instance)
    text = "Packets that hosts have sent, by what their stamp programs made of them."
    for result, packets in status["stamping"].items():
        families.add("p4cats_host_packets_total", text, packets, result=result)
    return families.text()


def _switch(families: _Families, switch: SwitchView) -> None:
    name = {"switch": switch["name"]}
    info = {"role": switch["role"], "target": switch["target"] or "unknown", "pipeline": switch["pipeline"]}
    families.add("p4cats_switch_info", "A switch of the network.", 1, **name, **info)
    families.add("p4cats_switch_connected", "1 while it is reachable.", int(switch["connected"]), **name)
    text = "1 while it holds what it should."
    families.add("p4cats_switch_synced", text, int(switch["synced"]), **name)
    families.add("p4cats_switch_entries", "Table entries that it holds.", switch["entries"], **name)
    text = "Updates that the controller has written."
    families.add("p4cats_switch_updates_total", text, switch["updates_written"], **name)
    text = "ICMPv6 errors that the controller has written for it."
    families.add("p4cats_switch_icmpv6_errors_total", text, switch["errors_sent"], **name)
    text = "Packets that did not leave; ingress and egress are what the program ended, beacons included."
    for reason, packets in switch["switch_drops"].items():
        families.add("p4cats_switch_dropped_packets_total", text, packets, reason=reason, **name)
    text = "Packets that the program dropped, by its reasons."
    for reason, packets in switch["program_drops"].items():
        families.add("p4cats_program_dropped_packets_total", text, packets, reason=reason, **name)
    text = "Metric options that came in, by what became of them."
    for result, packets in switch["metric_options"].items():
        families.add("p4cats_metric_options_total", text, packets, result=result, **name)
    for port in switch["ports"]:
        labels = {**name, "port": str(port["port"]), "interface": port["interface"]}
        text = "1 while packets can leave by it."
        families.add("p4cats_port_up", text, int(port["state"] == "up"), **labels)
        text = "How packets reach the program."
        families.add("p4cats_port_info", text, 1, mode=port["mode"], peer=port["peer"] or "", **labels)
        if port["traffic"] is not None:
            _traffic(families, port["traffic"], labels)
        text = "Frames lost at the port."
        for reason, frames in port["drops"].items():
            families.add("p4cats_port_dropped_packets_total", text, frames, reason=reason, **labels)


def _traffic(families: _Families, traffic: Traffic, labels: dict[str, str]) -> None:
    for metric, text, count in (
        ("receive_packets", "Frames that came in.", traffic["rx_packets"]),
        ("receive_bytes", "Bytes that came in, as the kernel counts them.", traffic["rx_bytes"]),
        ("transmit_packets", "Frames that left.", traffic["tx_packets"]),
        ("transmit_bytes", "Bytes that left, as the kernel counts them.", traffic["tx_bytes"]),
    ):
        families.add(f"p4cats_port_{metric}_total", text, count, **labels)


def _instance(families: _Families, view: InstanceView) -> None:
    labels = {"service": view["service"], "instance_id": str(view["id"]), "host": view["host"]}
    text = "1 while it takes new flows."
    families.add("p4cats_instance_available", text, int(view["state"] == "up"), **labels)
    text = "Wait that the switches assume while they know no fresh one."
    families.add("p4cats_instance_wait_seconds", text, view["wait_us"] / 1e6, **labels)
    text = "Requests in flight, as last reported."
    families.add("p4cats_instance_requests_in_flight", text, view["in_flight"], **labels)
    power, age = view["power_mw"], view["age_ms"]
    text = "Power, as last reported."
    families.add("p4cats_instance_power_watts", text, None if power is None else power / 1000, **labels)
    text = "Age of the last report."
    families.add("p4cats_instance_report_age_seconds", text, None if age is None else age / 1000, **labels)
    for switch, ingress in view["ingress"].items():
        text = "Flows that an ingress switch has placed with it."
        placed = ingress["flows_placed"]
        families.add("p4cats_instance_flows_placed_total", text, placed, switch=switch, **labels)
        text = "Packets that an ingress switch has steered to it."
        steered = ingress["packets_steered"]
        families.add("p4cats_instance_packets_steered_total", text, steered, switch=switch, **labels)


__all__ = ["CONTENT_TYPE", "exposition"]
