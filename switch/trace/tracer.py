"""What generated code in its tracing variant calls; collects the steps of packets.

Headers and metadata are compared after each statement, so a change is seen whatever has made it (an
assignment, a copy of a header, an extern). Locals are handed over by the call.
"""

from __future__ import annotations

import re
import textwrap
from dataclasses import dataclass, field
from typing import Any

from p4cats.compiler.backends.model.names import attribute
from p4cats.compiler.backends.model.trace import Site, is_secret, source_text
from p4cats.compiler.ir import nodes
from p4cats.compiler.ir.types import Composite, Header, Type
from p4cats.compiler.source import Span
from p4cats.switch.model.program import Engine
from p4cats.switch.model.support import Packet
from p4cats.switch.trace.values import Shower, headers, leaves

_DROP_PORT = 511
_LONGEST_CALL = 100
"""Characters of a call that people are shown; JSON has all of it."""
_CONSTANT = re.compile(r"HashAlgorithm\.|\d")

Data = dict[str, Any]


@dataclass(slots=True)
class Step:
    """One step of a packet's way. `data` is what JSON shows; `texts` are the values for people."""

    kind: str
    data: Data
    at: str = ""
    """FILE:LINE of the P4 program; "" for what the switch itself does."""
    context: tuple[str, ...] = ()
    text: list[str] = field(default_factory=list)

    def as_json(self) -> Data:
        """The step for JSON."""
        found: Data = {"step": self.kind}
        if self.at:
            found["at"] = self.at
        if self.context:
            found["in"] = list(self.context)
        return found | self.data


@dataclass(slots=True)
class PacketTrace:
    """The way of one packet, with what it has set off (copies, resubmits)."""

    port: int
    packet: bytes
    steps: list[Step]
    outcome: list[Data]

    def as_json(self) -> Data:
        """The trace for JSON."""
        return {
            "port": self.port,
            "packet": self.packet.hex(),
            "length": len(self.packet),
            "outcome": self.outcome,
            "steps": [step.as_json() for step in self.steps],
        }


def position(span: Span) -> str:
    """FILE:LINE."""
    if not span.source.text:
        return ""
    line, _ = span.source.position(span.start)
    return f"{span.source.name}:{line}"


class Tracer:
    """Listens to one data plane. `steps` and `outcome` grow until they are taken."""

    def __init__(self, program: nodes.Program, sites: tuple[Site, ...]) -> None:
        self.program = program
        self.engine: Engine | None = None
        self.shower = Shower(program.errors)
        self.steps: list[Step] = []
        self.outcome: list[Data] = []
        self._sites = sites
        self._packet: Packet | None = None
        self._seen: dict[str, Any] = {}
        self._locals: dict[str, Any] = {}
        self._pending: Step | None = None
        self._dropped_at: dict[int, tuple[str, str]] = {}
        self._roots = self._root_names()

    def _root_names(self) -> tuple[str, str, str]:
        """What the program calls headers and metadata, in its ingress control."""
        names = [p.name for p in self.program.ingress.parameters]
        return (names[0], names[1], names[2]) if len(names) == 3 else ("hdr", "meta", "standard_metadata")

    def take(self, port: int, packet: bytes) -> PacketTrace:
        """What has come since the last call."""
        found = PacketTrace(port, packet, self.steps, self.outcome)
        self.steps, self.outcome = [], []
        self._dropped_at.clear()
        self._packet = None
        return found

    # -- from the pipeline --------------------------------------------------------------------

    def enter(self, kind: str, name: str, packet: Packet, **data: Any) -> None:
        """A block of the architecture begins."""
        self._packet = packet
        self._locals.clear()
        self._seen = self._snapshot()
        self.steps.append(Step("block", {"kind": kind, "name": name} | data))

    def note(self, kind: str, text: str, **data: Any) -> None:
        """Something that the switch does beside the program."""
        self.steps.append(Step(kind, data, text=[text]))

    def dropped(self, reason: str) -> None:
        """The packet does not leave."""
        data: Data = {"reason": reason}
        at, text = "", f"dropped: {reason}"
        if reason in ("ingress", "egress") and self._packet is not None:
            at, statement = self._dropped_at.get(id(self._packet), ("", ""))
            text = f"dropped at the end of {reason}"
            if at:
                data["statement"] = statement
                text += f", by {statement}"
        self.steps.append(Step("drop", data, at, text=[text]))
        self.outcome.append({"dropped": reason} | ({"at": at, "statement": data["statement"]} if at else {}))

    def left(self, way: str, packet: bytes, **data: Any) -> None:
        """A packet leaves: by a port, or to the controller."""
        found = {"bytes": packet.hex(), "length": len(packet)} | data
        where = f"by port {data['port']}" if "port" in data else "to the controller (packet-in)"
        self.steps.append(Step(way, found, text=[f"leaves {where}, {len(packet)} bytes"]))
        self.outcome.append({"sent": way} | found)

    # -- state --------------------------------------------------------------------------------

    def _snapshot(self) -> dict[str, Any]:
        return {path: value for path, value, _ in self._leaves()}

    def _leaves(self) -> list[tuple[str, Any, Type | None]]:
        packet, program = self._packet, self.program
        if packet is None:
            return []
        hdr, meta, standard = self._roots
        return [
            *leaves(packet.hdr, program.headers, hdr),
            *leaves(packet.meta, program.metadata, meta),
            *leaves(packet.sm, program.standard_metadata, standard),
        ]

    def _changes(self, site: Site) -> list[tuple[Data, str]]:
        """What headers and metadata show that they did not show before."""
        found: list[tuple[Data, str]] = []
        seen, standard = self._seen, self._roots[2]
        for path, value, type_ in self._leaves():
            old = seen.get(path)
            if old == value:
                continue
            seen[path] = value
            if type_ is None:
                found.append(_validity(path, bool(value)))
            else:
                found.append(self._change(path, old, value, type_))
            if path == f"{standard}.egress_spec" and value == _DROP_PORT:
                self._dropped_at[id(self._packet)] = (position(site.span), source_text(site.span))
        return found

    def _change(self, name: str, old: Any, new: Any, type_: Type) -> tuple[Data, str]:
        data = {
            "field": name,
            "old": self.shower.json(old, type_, name),
            "new": self.shower.json(new, type_, name),
        }
        return data, f"{name}: {self.shower.text(old, type_, name)} → {self.shower.text(new, type_, name)}"

    def _step(self, kind: str, site: Site, data: Data, *text: str) -> Step:
        step = Step(kind, data, position(site.span), site.context, list(text))
        self.steps.append(step)
        return step

    # -- from generated code ------------------------------------------------------------------

    def after(self, number: int, values: tuple[tuple[str, Any], ...]) -> None:
        """A statement is done."""
        site = self._sites[number]
        changes: list[tuple[Data, str]] = []
        for named, (code, value) in zip(site.values, values, strict=True):
            old = self._locals.get(code, (0, 0) if isinstance(value, tuple) else 0)
            if old != value:
                changes.append(self._change(named.name, old, value, named.type))
            self._locals[code] = value
        changes += self._changes(site)
        step, self._pending = self._pending, None
        if step is None and isinstance(site.node, nodes.Exit):
            self._step("exit", site, {}, "exit")
            return
        if step is not None:
            self._finish_extern(step, site)
            step.data["changes"] = [data for data, _ in changes]
            step.text += [text for _, text in changes]
        elif changes:
            self._step(
                "set", site, {"changes": [data for data, _ in changes]}, *(text for _, text in changes)
            )

    def branch(self, number: int, condition: Any) -> Any:
        """The condition of an if."""
        site = self._sites[number]
        taken = bool(condition)
        self._step(
            "if",
            site,
            {"condition": site.text, "result": taken},
            f"if ({site.text}) {'yes' if taken else 'no'}",
        )
        return condition

    # -- parser -------------------------------------------------------------------------------

    def state(self, number: int) -> None:
        """A parser state begins."""
        site = self._sites[number]
        self._step("state", site, {"state": site.text}, f"state {site.text}")

    def go(self, number: int, values: tuple[Any, ...]) -> None:
        """A parser state ends."""
        site = self._sites[number]
        subjects = [
            {"value": named.name, "is": self.shower.json(value, named.type, named.name)}
            for named, value in zip(site.values, values, strict=True)
        ]
        data: Data = {"to": site.text}
        text = f"transition {site.text}"
        if subjects:
            data["select"] = subjects
            shown = ", ".join(
                f"{n.name} = {self.shower.text(v, n.type, n.name)}"
                for n, v in zip(site.values, values, strict=True)
            )
            text = f"select {shown} → {site.text}"
        self._step("transition", site, data, text)

    def reject(self, number: int, error: int) -> None:
        """The parser stops with an error."""
        name = self.program.errors[error]
        self._step("reject", self._sites[number], {"error": name}, f"reject: error.{name}")

    def extracted(self, number: int, header: Any) -> None:
        """A header was taken from the packet."""
        site = self._sites[number]
        path, type_ = self._path(header)
        if type_ is None:
            self._step("extract", site, {"header": site.text}, f"extract {site.text}")
            return
        shown = [(p, v, t) for p, v, t in leaves(header, type_, path) if t is not None]
        fields = {p[len(path) + 1 :]: self.shower.json(v, t, p) for p, v, t in shown}
        text = ", ".join(f"{p[len(path) + 1 :]}={self.shower.text(v, t, p)}" for p, v, t in shown)
        self._step("extract", site, {"header": path, "fields": fields}, f"extract {path}: {text}")
        self._seen.update({p: v for p, v, _ in leaves(header, type_, path)})

    def emitted(self, number: int, header: Any) -> None:
        """A header's turn in the deparser."""
        path, type_ = self._path(header)
        if header.valid and type_ is not None:
            self._step("emit", self._sites[number], {"header": path}, f"emit {path}")

    def _path(self, header: Any) -> tuple[str, Header | None]:
        if self._packet is not None:
            for path, value, type_ in headers(self._packet.hdr, self.program.headers, self._roots[0]):
                if value is header:
                    return path, type_
        return "", None

    # -- tables -------------------------------------------------------------------------------

    def table(self, number: int, key: tuple[Any, ...], entry: Any) -> None:
        """A table was applied."""
        site = self._sites[number]
        table: nodes.Table = site.node
        fields = [k for k in table.keys if k.match_kind != "selector"]
        keys, key_texts = [], []
        for k, value in zip(fields, key, strict=True):
            type_ = k.expression.type
            keys.append(
                {"field": k.name, "match": k.match_kind, "value": self.shower.json(value, type_, k.name)}
            )
            key_texts.append(f"{k.name} = {self.shower.text(value, type_, k.name)}")
        data: Data = {"table": table.name, "key": keys, "hit": bool(entry.hit)}
        matched = ""
        if entry.hit and entry.key is not None:
            entry_data: Data = {}
            parts = []
            for k, match in zip(fields, entry.key, strict=True):
                shown = self.shower.match(match, k.expression.type, k.name)
                entry_data[k.name] = shown
                parts.append(f"{k.name}={shown}")
            data["entry"] = {"match": entry_data}
            matched = ", ".join(parts)
            if entry.priority:
                data["entry"]["priority"] = entry.priority
                matched += f", priority {entry.priority}"
        text = [f"table {table.name}" + (f": {', '.join(key_texts)}" if key_texts else "")]
        text.append(f"hit {matched}" if entry.hit else "miss: the default action")
        step = self._step("table", site, data, *text)
        if entry.action >= 0 and not entry.group:
            self._action(step, table, entry)

    def chosen(self, number: int, entry: Any) -> None:
        """An action profile or selector has its member."""
        site = self._sites[number]
        step = next((s for s in reversed(self.steps) if s.kind == "table"), None)
        if step is None or "action" in step.data:
            return
        table: nodes.Table = site.node
        assert table.implementation is not None
        step.data["profile"] = table.implementation.name
        if entry.action < 0:
            step.text.append(f"the group of {table.implementation.name} is empty: no action")
        else:
            self._action(step, table, entry, f" (member of {table.implementation.name})")

    def _action(self, step: Step, table: nodes.Table, entry: Any, how: str = "") -> None:
        action = table.actions[entry.action].action
        arguments, texts = {}, ["…"] if is_secret(action) else []
        for parameter, value in () if is_secret(action) else zip(action.data, entry.data, strict=True):
            type_ = parameter.variable.type
            arguments[parameter.name] = self.shower.json(value, type_, parameter.name)
            texts.append(f"{parameter.name}={self.shower.text(value, type_, parameter.name)}")
        step.data["action"] = {"name": action.name, "arguments": arguments}
        if where := position(action.span):
            step.data["action"]["at"] = where
        step.text.append(f"action {action.name}({', '.join(texts)}){how}")

    # -- externs ------------------------------------------------------------------------------

    def call(self, number: int, values: tuple[Any, ...]) -> None:
        """An extern is about to be called."""
        site = self._sites[number]
        s: nodes.ExternCall = site.node
        data: Data = {"extern": s.name, "call": source_text(s.span)}
        if s.instance is not None:
            data["instance"] = s.instance.name
        arguments = [
            {"expression": n.name, "value": self.shower.json(v, n.type, n.name)}
            for n, v in zip(site.values, values, strict=True)
        ]
        if arguments:
            data["arguments"] = arguments
        if s.name.startswith(("register.", "counter.", "meter.")) and values:
            data["index"] = int(values[0])
        step = self._step(
            "extern", site, data, textwrap.shorten(data["call"], _LONGEST_CALL, placeholder=" …")
        )
        if s.name == "register.write":
            data["old"] = self._cell(s, data["index"])
        self._pending = step

    def _finish_extern(self, step: Step, site: Site) -> None:
        s = site.node
        if not isinstance(s, nodes.ExternCall):
            return
        name = s.instance.name if s.instance is not None else ""
        match s.name:
            case "register.write":
                step.data["new"] = self._cell(s, step.data["index"])
                old, new = step.data["old"], step.data["new"]
                step.text = [f"{name}[{step.data['index']}] written: " + _arrow(old, new)]
            case "register.read":
                step.data["value"] = self._cell(s, step.data["index"])
                step.text = [f"{name}[{step.data['index']}] read: {_plain(step.data['value'])}"]
            case "counter.count":
                step.text = [f"counter {name}[{step.data['index']}] +1"]
            case "direct_counter.count":
                step.text = [f"counter {name} of the entry +1"]
            case "update_checksum" | "update_checksum_with_payload" if not step.data["arguments"][0]["value"]:
                step.text = [f"{s.name}: not to be done (its condition is false)"]
            case "verify_checksum" | "verify_checksum_with_payload" if not step.data["arguments"][0]["value"]:
                step.text = [f"{s.name}: not to be done (its condition is false)"]
            case "hash":
                inputs = [a for a in step.data.get("arguments", []) if not _CONSTANT.match(a["expression"])]
                shown = ", ".join(f"{a['expression']}={a['value']}" for a in inputs)
                step.text = [f"hash of {shown}"]

    def _cell(self, s: nodes.ExternCall, index: int) -> Any:
        """A register's cell, for JSON; None where the index is outside."""
        assert s.instance is not None
        assert self.engine is not None
        register = self.engine.registers[s.instance.name]
        if not 0 <= index < register.size:
            return None
        return self._shown(register.cells[index], register.type, s.instance.name)

    def _shown(self, value: Any, type_: Type, name: str) -> Any:
        if isinstance(type_, Composite):
            return {
                f.name: self._shown(getattr(value, attribute(f.name)), f.type, f.name) for f in type_.fields
            }
        return self.shower.json(value, type_, name)


def _validity(path: str, valid: bool) -> tuple[Data, str]:
    return (
        {"header": path, "valid": valid},
        f"{path} is {'valid now' if valid else 'no longer valid'}",
    )


def _plain(value: Any) -> str:
    return "outside the array" if value is None else str(value)


def _arrow(old: Any, new: Any) -> str:
    return "outside the array" if new is None else f"{old} → {new}"


__all__ = ["PacketTrace", "Step", "Tracer", "position"]
