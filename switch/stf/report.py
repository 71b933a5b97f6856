"""Comparison of received packets with expect lines, told so that the difference is seen."""

from __future__ import annotations

from p4cats.switch.stf.commands import Expect


def matches(expected: Expect, packet: bytes) -> bool:
    """True if a packet is what the line expects."""
    if expected.pattern is None:
        return True
    got = packet.hex()
    pattern = expected.pattern
    if len(got) < len(pattern) or (expected.exact_length and len(got) != len(pattern)):
        return False
    return all(p in ("*", g) for p, g in zip(pattern, got, strict=False))


def diff_packets(path: str, port: int, expected: list[Expect], received: list[bytes]) -> list[str]:
    """What is wrong with one port; empty where all is well."""
    lines: list[str] = []
    for line, packet in zip(expected, received, strict=False):
        if not matches(line, packet):
            lines += [
                f"{path}:{line.line}: port {port}: another packet than expected",
                *_difference(line, packet),
            ]
    for line in expected[len(received) :]:
        lines.append(f"{path}:{line.line}: port {port}: expected packet did not come")
        lines.append(f"    expected {_spaced(line.pattern or '(any)')}{'$' if line.exact_length else ''}")
    for packet in received[len(expected) :]:
        lines.append(f"{path}: port {port}: packet that no line expects")
        lines.append(f"    received {_spaced(packet.hex())}")
    return lines


def _difference(line: Expect, packet: bytes) -> list[str]:
    pattern, got = line.pattern or "", packet.hex()
    marks = "".join(
        " " if i < len(pattern) and i < len(got) and pattern[i] in ("*", got[i]) else "^"
        for i in range(max(len(pattern), len(got) if line.exact_length else 0))
    )
    first = marks.find("^")
    where = f" (first difference at byte {first // 2})" if first >= 0 else ""
    lengths = f"{len(pattern) // 2} and {len(got) // 2} bytes{where}"
    return [
        f"    expected {_spaced(pattern)}{'$' if line.exact_length else ''}",
        f"    received {_spaced(got)}",
        f"             {_spaced(marks)}".rstrip(),
        f"    {lengths}",
    ]


def _spaced(text: str) -> str:
    """Two digits per group."""
    if text.startswith("("):
        return text
    return " ".join(text[i : i + 2] for i in range(0, len(text), 2))
