"""Traces for people: one line per step, the place in the program at the left, indented by control."""

from __future__ import annotations

from collections.abc import Iterator

from rich.text import Text

from p4cats.switch.trace.tracer import PacketTrace, Step

_KINDS = {"verify": "verify checksums", "compute": "compute checksums"}
_STYLES = {
    "table": "cyan", "extern": "magenta", "drop": "bold red", "reject": "red", "transmit": "bold green",
    "packet_in": "bold green", "if": "dim", "state": "bold", "transition": "dim", "assertion": "bold red",
}  # fmt: skip
_ROW_BYTES = 32


def render(trace: PacketTrace, title: str) -> Text:
    """A trace as text; styles vanish where the output is no terminal."""
    lines = [(where, depth, text, style) for where, depth, text, style in _lines(trace)]
    margin = max((len(where) for where, *_ in lines), default=0)
    out = Text()
    out.append(f"{title}\n", "bold")
    for where, depth, text, style in lines:
        out.append(f"{where:<{margin}}  ", "dim")
        out.append(f"{'  ' * depth}{text}\n", style)
    out.rstrip()
    return out


def _lines(trace: PacketTrace) -> Iterator[tuple[str, int, str, str]]:
    yield "", 0, f"packet of {len(trace.packet)} bytes comes in by port {trace.port}", "bold"
    yield from (("", 1, row, "dim") for row in _rows(trace.packet))
    context: tuple[str, ...] = ()
    for index, step in enumerate(trace.steps):
        if step.kind == "block":
            context = (step.data["name"],)
            if _has_steps(trace.steps, index):
                yield "", 0, _heading(step), "bold"
            continue
        common = 0
        while common < min(len(context), len(step.context)) and context[common] == step.context[common]:
            common += 1
        for depth in range(common, len(step.context)):
            yield "", depth, step.context[depth], "bold"
        if step.context:
            context = step.context
        yield from _step_lines(step)


def _step_lines(step: Step) -> Iterator[tuple[str, int, str, str]]:
    depth = (
        len(step.context) if step.context else (0 if step.kind in ("drop", "transmit", "packet_in") else 1)
    )
    depth += step.kind in ("transition", "extract", "reject")
    style = _STYLES.get(step.kind, "")
    where = step.at.rpartition("/")[2]
    for number, text in enumerate(step.text):
        deeper = depth + (number > 0 and step.kind != "set")
        yield (
            (where if number == 0 else ""),
            deeper,
            text,
            style if number == 0 else _detail_style(step, text),
        )
    if step.kind in ("transmit", "packet_in"):
        yield from (("", depth + 1, row, "dim") for row in _rows(bytes.fromhex(step.data["bytes"])))


def _detail_style(step: Step, text: str) -> str:
    if step.kind == "table" and text.startswith(("hit", "miss")):
        return "green" if text.startswith("hit") else "yellow"
    return ""


def _heading(step: Step) -> str:
    kind = _KINDS.get(step.data["kind"], step.data["kind"])
    port = f", port {step.data['port']}" if "port" in step.data else ""
    return f"{kind} {step.data['name']}{port}"


def _has_steps(steps: list[Step], index: int) -> bool:
    """A block that does nothing needs no heading."""
    after = next(iter(steps[index + 1 : index + 2]), None)
    return after is not None and (bool(after.context) or after.kind == "payload")


def _rows(packet: bytes) -> list[str]:
    return [packet[at : at + _ROW_BYTES].hex(" ", -4) for at in range(0, len(packet), _ROW_BYTES)]


__all__ = ["render"]
