"""Views as tables for the terminal (rich)."""

from __future__ import annotations

from collections.abc import Mapping

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from p4cats.controller.views import (
    ExplainView,
    InstanceView,
    ServiceView,
    StatusView,
    SteeringHostView,
    SwitchView,
    TelemetryView,
)
from p4cats.raw_metrics import DEFINITIONS
from p4cats.switch_status import Traffic

_STYLES = {"up": "green", "drained": "yellow", "gone": "dim", "down": "red"}


def _table(*columns: str, right: tuple[str, ...] = ()) -> Table:
    table = Table(box=None, pad_edge=False, collapse_padding=True, header_style="bold")
    for column in columns:
        table.add_column(column, justify="right" if column in right else "left", no_wrap=column != "error")
    return table


def milliseconds(value_us: float | None) -> str:
    """Return microseconds as milliseconds with three digits, `-` if unknown."""
    if value_us is None:
        return "-"
    return f"{value_us / 1000:.3g} ms" if value_us < 1_000_000 else f"{value_us / 1000:.0f} ms"


def _number(value: int | None) -> str:
    return "-" if value is None else str(value)


def status(view: StatusView) -> RenderableType:
    """Return the controller and its switches."""
    converged = "converged" if view["converged"] else "not converged"
    took = "" if view["converge_s"] is None else f" (first in {view['converge_s']:.2f} s)"
    head = Text.assemble(
        (view["network"], "bold"), f": up {view['uptime_s']:.0f} s, ",
        (converged, "green" if view["converged"] else "yellow"), took,
    )  # fmt: skip
    table = _table("switch", "role", "target", "address", "state", "entries", "error", right=("entries",))
    for switch in view["switches"]:
        state, style = _state(switch)
        cells = (switch["name"], switch["role"], switch["target"] or "-", switch["address"])
        error = Text(switch["error"] or "", "red")
        table.add_row(*cells, Text(state, style), str(switch["entries"]), error)
    parts: list[RenderableType] = [head, table]
    if any(switch["ports"] for switch in view["switches"]):
        parts += ["", _ports(view["switches"])]
    parts += [
        Text(f"{switch['name']}: generic XDP, which is slow: {switch['generic_because']}", "yellow")
        for switch in view["switches"]
        if switch["generic_because"]
    ]
    if view["steering_hosts"]:
        parts += ["", _steering_hosts(view["steering_hosts"])]
    if view["stamping"]:
        parts += ["", _stamping(view["stamping"])]
    drops = _drops(view["switches"])
    if drops.row_count:
        parts += ["", drops]
    return Group(*parts)


def _steering_hosts(hosts: list[SteeringHostView]) -> Table:
    table = _table("steering host", "state", "options learned", "not believed", "dropped")
    for column in table.columns[2:]:
        column.justify = "right"
    for host in hosts:
        state, style = ("synced", "green") if host["synced"] else ("syncing", "yellow")
        if not host["connected"]:
            state, style = "silent", "red"
        stats = dict(host["stats"])
        learned = stats.pop("learned", 0)
        dropped = stats.pop("no_instance", 0) + stats.pop("not_grown", 0)
        cells = (str(count) for count in (learned, sum(stats.values()), dropped))
        table.add_row(host["name"], Text(state, style), *cells)
    return table


def _stamping(packets: Mapping[str, int]) -> Text:
    """What hosts made of packets; those that are of no service do not matter here."""
    others = ("stamped", "not_service", "untracked")
    reasons = {name: count for name, count in packets.items() if count and name not in others}
    text = f"hosts: {short(packets.get('stamped', 0))} packets stamped"
    if reasons:
        named = (f"{short(count)} {name.replace('_', ' ')}" for name, count in reasons.items())
        text += "; not: " + ", ".join(named)
    if packets.get("untracked"):
        text += f"; {short(packets['untracked'])} requests not counted: no room in the agent's tables"
    return Text(text)


def telemetry(view: TelemetryView) -> RenderableType:
    """Return what telemetry samples."""
    table = _table("telemetry", "services", "flows", "packets", "collector", right=("flows", "packets"))
    state = Text("on", "green") if view["on"] else Text("off", "yellow")
    shares = (f"{100 * share:.3g} %" for share in (view["flow_share"], view["packet_share"]))
    table.add_row(state, ", ".join(view["services"]), *shares, view["collector"])
    return table


def _ports(switches: list[SwitchView]) -> Table:
    table = _table("switch", "port", "to", "link", "mode", "rx", "bytes", "tx", "bytes", "lost")
    for column in (1, 5, 6, 7, 8, 9):
        table.columns[column].justify = "right"
    for switch in switches:
        for port in switch["ports"]:
            first = port is switch["ports"][0]
            lost = sum(port["drops"].values())
            table.add_row(
                switch["name"] if first else "", str(port["port"]), port["peer"] or port["interface"],
                Text(port["state"], "green" if port["state"] == "up" else "red"),
                Text(port["mode"], "yellow" if port["mode"] == "generic" else ""),
                *_traffic(port["traffic"]), Text(short(lost), "red" if lost else ""),
            )  # fmt: skip
    return table


def _traffic(traffic: Traffic | None) -> tuple[str, str, str, str]:
    if traffic is None:
        return ("-",) * 4
    received = short(traffic["rx_packets"]), short(traffic["rx_bytes"])
    return (*received, short(traffic["tx_packets"]), short(traffic["tx_bytes"]))


def _drops(switches: list[SwitchView]) -> Table:
    """Why packets were dropped; `ingress` and `egress` are left out where the program has its own reasons."""
    table = _table("switch", "dropped by", "reason", "packets", right=("packets",))
    for switch in switches:
        explained = ("ingress", "egress") if switch["program_drops"] else ()
        own = {reason: n for reason, n in switch["switch_drops"].items() if reason not in explained}
        ports = (
            (f"port {port['port']}", reason, packets)
            for port in switch["ports"]
            for reason, packets in port["drops"].items()
        )
        by_program = (("program", reason, packets) for reason, packets in switch["program_drops"].items())
        by_switch = (("switch", reason, packets) for reason, packets in own.items())
        name = switch["name"]
        for by, reason, packets in (*by_program, *by_switch, *ports):
            if packets:
                table.add_row(name, by, reason, str(packets))
                name = ""
    return table


def short(value: int) -> str:
    """Return a count with three digits and a unit: 12345 is 12.3k."""
    number = float(value)
    for unit in ("", "k", "M", "G", "T"):
        if number < 999.5 or unit == "T":
            break
        number /= 1000
    return f"{number:.3g}{unit}" if number < 999.5 else f"{number:.0f}{unit}"


def _state(switch: SwitchView) -> tuple[str, str]:
    if not switch["connected"]:
        return "unreachable", "red"
    if not switch["primary"]:
        return "backup", "yellow"
    return ("synced", "green") if switch["synced"] else ("syncing", "yellow")


def services(views: list[ServiceView]) -> RenderableType:
    """Return the services."""
    table = _table("service", "address", "port", "policy", "compute", "network", "instances",
                   right=("port", "compute", "network", "instances"))  # fmt: skip
    for view in views:
        table.add_row(
            view["name"], view["address"], str(view["port"]), view["policy"], f"x{view['compute_weight']}",
            f"x{view['network_weight']}", f"{view['available']} of {view['instances']}",
        )  # fmt: skip
    return table


def scores(views: list[ServiceView]) -> RenderableType:
    """Return what the scores of each service are made of."""
    table = _table("service", "score", "made of")
    for view in views:
        for name, meaning in view["scores"].items():
            table.add_row(view["name"], name, meaning)
    return table


def instances(views: list[InstanceView]) -> RenderableType:
    """Return the instances; flows are those placed by all ingress switches together."""
    table = _table("id", "service", "host", "site", "state", "wait", "in flight", "score", "power", "age",
                   "flows", right=("id", "wait", "in flight", "score", "power", "age", "flows"))  # fmt: skip
    for view in views:
        counted = [i["flows_placed"] for i in view["ingress"].values() if i["flows_placed"] is not None]
        power, age = view["power_mw"], view["age_ms"]
        table.add_row(
            str(view["id"]), view["service"], view["host"], view["site"],
            Text(view["state"], _STYLES[view["state"]]), milliseconds(view["wait_us"]),
            f"{_number(view['in_flight'])}/{view['workers']}", _number(view["scores"].get("norm_fi")),
            "-" if power is None else f"{power / 1000:.1f} W",
            "-" if age is None else f"{age / 1000:.1f} s", str(sum(counted)) if counted else "-",
        )  # fmt: skip
    return table


def raw_metrics(views: list[InstanceView]) -> RenderableType:
    """Return the raw metrics (L0), a column for each instance, and their fields (p4cats.raw_metrics)."""
    ids = [str(view["id"]) for view in views]
    values = _table("raw metric", "unit", *ids, right=tuple(ids))
    meanings = _table("raw metric", "what it is, and how it is known")
    meanings.columns[-1].no_wrap = False
    for name, item in DEFINITIONS.items():
        found = [view["raw"].get(name) for view in views]
        values.add_row(name, item.unit, *("-" if value is None else f"{value:.4g}" for value in found))
        fields = f"{item.metric_type}, {item.source}, {item.statistics}, of the {item.scope}"
        meanings.add_row(name, Text.assemble(item.meaning, (f" ({fields})", "dim")))
    return Group("", values, "", meanings)


def explain(view: ExplainView) -> RenderableType:
    """Return why a flow goes where it goes."""
    path = " → ".join(view["path"]) or "nowhere"
    lines: list[RenderableType] = [
        Text(view["flow"], "bold"),
        Text.assemble(("path    ", "dim"), path),
        Text.assemble(("because ", "dim"), view["reason"]),
    ]
    if view["service"] is not None:
        lines.append(Text.assemble(("service ", "dim"), f"{view['service']}, policy {view['policy']}"))
        table = _table("", "instance", "site", "delay", "wait", "learned", "load", "weight", "cost",
                       right=("delay", "wait", "learned", "weight", "cost"))  # fmt: skip
        for item in view["candidates"]:
            chosen = item["instance"] == view["choice"]
            table.add_row(
                "▶" if chosen else "", f"{item['instance']} {item['host']}", item["site"],
                milliseconds(item["path_delay_us"]), milliseconds(item["wait_us"]),
                milliseconds(item["learned_wait_us"]), "silent" if item["silent"] else item["load"],
                str(item["weight"]), str(item["cost"]),
                style="green" if chosen else "",
            )  # fmt: skip
        lines.append(table)
    return Group(*lines)
