"""The xdp target: nanoseconds per packet by BPF_PROG_TEST_RUN, and what goes from end to end.

End to end, every contender has veths and namespaces of its own (`xdp_wires`), all are there at once, and
each round measures one after the other: a ratio compares neighbours in time. Hosts have their offloads off,
for all contenders alike, as behind any XDP switch.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import bmv2
import ternary
import xdp_wires

from p4cats.compiler.driver import compile_file

XDP_TESTS = Path(__file__).resolve().parents[1] / "xdp"
RUNS = 5
FRAMES = 500_000
FRAME_RUNS = 11
TCP_S = 1.0
TCP_RUNS = 9

Rows = Iterator[tuple[str, str, list[float]]]


def measure() -> Rows:
    """Name, unit and samples of each figure."""
    yield from per_packet()
    yield from ternary.measure()
    with ExitStack() as stack:
        wires: dict[str, xdp_wires.Wire] = {
            "xdp": xdp_wires.P4Switch(),
            "bare": xdp_wires.BareRedirect(),
            "kernel": xdp_wires.Kernel(),
            "model": xdp_wires.ModelSwitch(),
        }
        if not bmv2.missing():
            wires["bmv2"] = bmv2.Bmv2Switch()
        for wire in wires.values():
            stack.enter_context(wire)
        yield from frames(wires)
        yield from tcp(wires)
    if reason := left_out():
        print(reason)


def per_packet() -> Rows:
    """One core, no interfaces: what the program itself takes."""
    sys.path.insert(0, str(XDP_TESTS))
    import measure_xdp as m

    packet = m.pk.ipv6(m.pk.udp(bytes(40)), m.CLIENT, m.SERVICES[2], 17)
    packet = m.padded(m.pk.ethernet(packet))
    edge = m.shipped("edge")
    yield "xdp.edge_ns", "ns/packet", [m.generated(edge, m.edge, packet) for _ in range(RUNS)]
    yield "xdp.edge_new_flow_ns", "ns/packet", [m.generated(edge, m.restless, packet) for _ in range(RUNS)]
    packet = m.pk.ipv6(m.pk.udp(bytes(40)), m.CLIENT, m.pk.address("2001:db8:7::1"), 17)
    packet = m.padded(m.pk.ethernet(packet))
    router = compile_file(XDP_TESTS / "router.p4")
    pairs = [(m.handwritten(packet), m.generated(router, m.router_routes, packet)) for _ in range(RUNS)]
    yield "xdp.handwritten_ns", "ns/packet", [by_hand for by_hand, _ in pairs]
    yield "xdp.router_ns", "ns/packet", [routed for _, routed in pairs]
    yield "xdp.router_vs_handwritten", "ratio", [by_hand / routed for by_hand, routed in pairs]


def frames(wires: dict[str, xdp_wires.Wire]) -> Rows:
    """64-octet frames per second; generator, switch and sink take turns on one core."""
    found: dict[str, list[float]] = {}
    shares: list[float] = []
    for _ in range(FRAME_RUNS):
        for name in (n for n in wires if n != "model"):
            rate, share = wires[name].frames_per_second(FRAMES)
            found.setdefault(name, []).append(rate)
            shares += [share] if name == "xdp" else []
    yield "xdp.pps", "packets/s", found["xdp"]
    yield "xdp.pps_delivered", "ratio", shares
    yield "xdp.bare_redirect_pps", "packets/s", found["bare"]
    yield "xdp.pps_vs_bare_redirect", "ratio", _ratios(found["xdp"], found["bare"])
    yield "kernel.pps", "packets/s", found["kernel"]
    yield "xdp.pps_vs_kernel", "ratio", _ratios(found["xdp"], found["kernel"])
    if "bmv2" in wires:
        yield "bmv2.pps", "packets/s", found["bmv2"]
        yield "xdp.pps_vs_bmv2", "ratio", _ratios(found["xdp"], found["bmv2"])


def tcp(wires: dict[str, xdp_wires.Wire]) -> Rows:
    """One TCP connection; the one that begins a round changes."""
    found: dict[str, list[float]] = {}
    for number in range(TCP_RUNS):
        for name in ("xdp", "bare") if number % 2 else ("bare", "xdp"):
            found.setdefault(name, []).append(wires[name].tcp_gbps(TCP_S))
        if number < 3:
            for name in ("kernel", "model"):
                found.setdefault(name, []).append(wires[name].tcp_gbps(TCP_S))
    yield "xdp.tcp_gbps", "Gbit/s", found["xdp"]
    yield "xdp.bare_redirect_tcp_gbps", "Gbit/s", found["bare"]
    yield "xdp.tcp_vs_bare_redirect", "ratio", _ratios(found["xdp"], found["bare"])
    yield "kernel.tcp_gbps", "Gbit/s", found["kernel"]
    yield "model.tcp_gbps", "Gbit/s", found["model"]


def _ratios(ours: list[float], limit: list[float]) -> list[float]:
    return [a / b for a, b in zip(ours, limit, strict=True)]


def left_out() -> str | None:
    """Why a figure is not measured, in a line."""
    if missing := bmv2.missing():
        return f"xdp.pps_vs_bmv2: left out, {missing} is not on PATH"
    return None
