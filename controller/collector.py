"""The collector of telemetry reports: what they say of paths, decisions and delays (C-NMA, RFC 10053, 3.4).

`Findings` takes datagrams and reads no clock; `collect` has the socket, the file, the table on the screen and
the way to the controller. Reports go to a file as JSON, one a line: a crash loses at most the last second,
and the file can be read while it grows; `parquet` makes a Parquet file of it.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import signal
import socket
import struct
import sys
import time
from collections import OrderedDict, deque
from dataclasses import dataclass, field
from ipaddress import IPv6Address
from pathlib import Path
from typing import IO, Any

from rich.console import Console, Group
from rich.live import Live
from rich.table import Table

from p4cats import protocol
from p4cats.controller import client
from p4cats.controller.reports import Decision, Hop, Report, ReportError, decode
from p4cats.errors import UserError

MOST_PATHS = 256
"""Paths that are remembered; the one not seen for longest goes."""
SAMPLES = 512
"""Values of which percentiles are taken."""
SMOOTHING = 1 / 8
"""Weight of a new delay in the smoothed one."""
LONGEST_DELAY_US = 10_000_000
"""Greater differences are clocks that do not agree."""
DELAY_LIFETIME_S = 10.0
"""A delay is forgotten when no report has told it for so long."""
CHANGE_US, CHANGE_RATIO = 500, 0.1
"""Smallest change of a delay that the controller is told: both must be reached."""
TELL_INTERVAL_S = 1.0
BUFFER_BYTES = 32 << 20
"""Of the socket: bursts that come while the collector has other work, at some 2,000 octets a report."""
_UDP_NO_CHECK6_RX = 102
_SO_RCVBUFFORCE, _SO_MEMINFO, _MEMINFO_DROPS = 33, 55, 8
_MEMINFO = struct.Struct("=9I")
_AT_ONCE = 256
"""Reports taken before other work has its turn."""
_LONGEST = 65_535
_SEQUENCES = 1 << 22


@dataclass
class PathFindings:
    """What packets found on one way."""

    packets: int = 0
    delays_us: deque[int] = field(default_factory=lambda: deque(maxlen=SAMPLES))
    latencies_us: list[deque[int]] = field(default_factory=list)
    """By hop."""
    longest_queue: int = 0


@dataclass
class Delay:
    """A measured one-way delay between two switches."""

    smoothed_us: float
    at_s: float
    told_us: float | None = None


class Findings:
    """What the reports said, in bounded memory."""

    def __init__(self) -> None:
        self.received = self.malformed = 0
        self.overflow = 0
        """Datagrams that came faster than they were read; `lost` has them once a later report has come."""
        self.lost: dict[int, int] = {}
        """Reports missing, by sink."""
        self.paths: OrderedDict[tuple[int, ...], PathFindings] = OrderedDict()
        self.decisions: dict[tuple[int, int], int] = {}
        """Requests by instance and policy code."""
        self.ages_us: deque[int] = deque(maxlen=SAMPLES)
        """Age of the load at a decision that placed a flow."""
        self.delays: dict[tuple[int, int], Delay] = {}
        self._next: dict[int, int] = {}

    def add(self, datagram: bytes, now_s: float) -> Report | None:
        """Take a datagram in; None if it is no report."""
        try:
            report = decode(datagram)
        except ReportError:
            self.malformed += 1
            return None
        self.received += 1
        self._count_lost(report)
        self._path(report, now_s)
        if (decision := report.decision) is not None:
            key = decision.instance, decision.policy
            if key in self.decisions or len(self.decisions) < 4 * protocol.INSTANCES:
                self.decisions[key] = self.decisions.get(key, 0) + 1
            if decision.placed and decision.age_us is not None:
                self.ages_us.append(decision.age_us)
        return report

    def _count_lost(self, report: Report) -> None:
        expected = self._next.get(report.sink)
        if expected is None and len(self._next) >= MOST_PATHS:
            return
        ahead = 0 if expected is None else (report.sequence - expected) % _SEQUENCES
        if ahead < _SEQUENCES // 2:
            self.lost[report.sink] = self.lost.get(report.sink, 0) + ahead
            self._next[report.sink] = (report.sequence + 1) % _SEQUENCES
        else:  # overtaken by a later one, or the switch has started again
            self.lost[report.sink] = max(self.lost[report.sink] - 1, 0)

    def _path(self, report: Report, now_s: float) -> None:
        nodes = tuple(hop.node for hop in report.hops if hop.node is not None)
        if not nodes or len(nodes) < len(report.hops):
            return
        path = self.paths.setdefault(nodes, PathFindings())
        self.paths.move_to_end(nodes)
        if len(self.paths) > MOST_PATHS:
            self.paths.popitem(last=False)
        path.packets += 1
        if not path.latencies_us:
            path.latencies_us = [deque(maxlen=SAMPLES) for _ in nodes]
        for hop, latencies in zip(report.hops, path.latencies_us, strict=True):
            if hop.latency_us is not None:
                latencies.append(hop.latency_us)
            path.longest_queue = max(path.longest_queue, hop.queue or 0)
        first, last = report.hops[0], report.hops[-1]
        if report.exceeded or report.mtu_exceeded or first is last or first.egress_us is None:
            return
        if last.ingress_us is not None and 0 <= last.ingress_us - first.egress_us < LONGEST_DELAY_US:
            path.delays_us.append(last.ingress_us - first.egress_us)
            self._delay((nodes[0], nodes[-1]), path.delays_us[-1], now_s)

    def _delay(self, ends: tuple[int, int], delay_us: int, now_s: float) -> None:
        known = self.delays.get(ends)
        if known is not None:
            known.smoothed_us += SMOOTHING * (delay_us - known.smoothed_us)
            known.at_s = now_s
        elif len(self.delays) < MOST_PATHS * MOST_PATHS:
            self.delays[ends] = Delay(delay_us, now_s)

    def news(self, now_s: float) -> dict[tuple[int, int], int | None]:
        """Return delays between switches that the controller does not know, None: to be forgotten."""
        found: dict[tuple[int, int], int | None] = {}
        for ends, delay in list(self.delays.items()):
            if now_s - delay.at_s > DELAY_LIFETIME_S:
                del self.delays[ends]
                if delay.told_us is not None:
                    found[ends] = None
                continue
            change = abs(delay.smoothed_us - (delay.told_us or 0))
            if delay.told_us is None or (change >= CHANGE_US and change >= CHANGE_RATIO * delay.told_us):
                delay.told_us = delay.smoothed_us
                found[ends] = round(delay.smoothed_us)
        return found


def percentile(values: deque[int], share: float) -> int | None:
    """Return the value that a share of the values do not exceed; None of none."""
    ordered = sorted(values)
    return ordered[min(int(share * len(ordered)), len(ordered) - 1)] if ordered else None


def _table(*columns: str) -> Table:
    return Table(*columns, box=None, pad_edge=False, collapse_padding=True, header_style="bold")


def render(findings: Findings, names: dict[int, str]) -> Group:
    """Return what is shown: paths, decisions, lost reports."""
    paths = _table("path", "packets", "one way p50", "hop latencies p50", "queue")
    for nodes, path in sorted(findings.paths.items(), key=lambda item: -item[1].packets)[:20]:
        way = " > ".join(names.get(node, str(node)) for node in nodes)
        hops = ", ".join(_us(percentile(values, 0.5)) for values in path.latencies_us)
        delay = _us(percentile(path.delays_us, 0.5))
        paths.add_row(way, str(path.packets), delay, hops, str(path.longest_queue))
    policies = {code: name for name, code in protocol.POLICIES.items()}
    decisions = _table("instance", "policy", "packets")
    for (instance, policy), count in sorted(findings.decisions.items()):
        decisions.add_row(str(instance), policies.get(policy, str(policy)), str(count))
    ages = [_us(percentile(findings.ages_us, share)) for share in (0.5, 0.99)]
    return Group(
        paths, "", decisions, "",
        f"age of the load when a flow was placed: p50 {ages[0]}, p99 {ages[1]}",
        f"reports: {findings.received}, lost {sum(findings.lost.values())}, malformed {findings.malformed}, "
        f"came too fast for this collector {findings.overflow}",
    )  # fmt: skip


def _us(value: int | None) -> str:
    return "-" if value is None else f"{value / 1000:.1f} ms" if value >= 1000 else f"{value} us"


def parse_listen(text: str) -> tuple[IPv6Address, int]:
    """Return address and port of `[ADDR]:PORT`; UserError if it is none."""
    address, _, port = text.rpartition(":")
    with contextlib.suppress(ValueError):
        if 0 < int(port) < 65536:
            return IPv6Address(address.strip("[]") or "::"), int(port)
    raise UserError(f"--listen {text}: write it as [2001:db8::1]:51831")


def listen_socket(address: IPv6Address, port: int) -> socket.socket:
    """Return a socket for reports, whose checksum is 0; UserError if it cannot be had."""
    sock = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
    try:
        sock.setsockopt(socket.IPPROTO_UDP, _UDP_NO_CHECK6_RX, 1)
        try:
            sock.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, BUFFER_BYTES)
        except PermissionError:  # as much as net.core.rmem_max lets anybody have
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, BUFFER_BYTES)
        sock.bind((str(address), port))
        sock.setblocking(False)
    except OSError as error:
        sock.close()
        raise UserError(f"[{address}]:{port}: {error.strerror}; give another address with --listen") from None
    return sock


def as_line(report: Report, received_s: float) -> str:
    """Return a report as a line of JSON; `received_s` is Unix time."""
    return _JSON.encode(_plain(report) | {"received_s": received_s}) + "\n"


def _plain(value: object) -> Any:
    if isinstance(value, (Report, Hop, Decision)):
        return {name: getattr(value, name) for name in value.__slots__}
    return str(value)


_JSON = json.JSONEncoder(default=_plain)


class Receiver:
    """Reads reports from a socket, into findings and a file."""

    def __init__(self, sock: socket.socket, findings: Findings, file: IO[str] | None):
        self._sock, self._findings, self._file = sock, findings, file

    def drain(self) -> None:
        """Take what has come, but not for ever."""
        for _ in range(_AT_ONCE):
            try:
                data = self._sock.recv(_LONGEST)
            except BlockingIOError:
                break
            report = self._findings.add(data, time.monotonic())
            if report is not None and self._file is not None:
                self._file.write(as_line(report, time.time()))

    def count_overflow(self) -> None:
        """Note how many datagrams the kernel dropped as they were not read in time."""
        counted = self._sock.getsockopt(socket.SOL_SOCKET, _SO_MEMINFO, _MEMINFO.size)
        self._findings.overflow = _MEMINFO.unpack(counted)[_MEMINFO_DROPS]


async def collect(address: IPv6Address, port: int, json_file: Path | None, controller: Path | None) -> None:
    """Collect until SIGINT or SIGTERM. With a controller, switches have names and it learns their delays."""
    findings = Findings()
    ended = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, ended.set)
    with contextlib.ExitStack() as stack:
        sock = stack.enter_context(listen_socket(address, port))
        try:
            file = stack.enter_context(json_file.open("a", encoding="utf-8")) if json_file else None
        except OSError as error:
            raise UserError(f"{json_file}: cannot be written: {error.strerror}") from None
        receiver = Receiver(sock, findings, file)
        loop.add_reader(sock, receiver.drain)
        stack.callback(loop.remove_reader, sock)
        print("collector ready", file=sys.stderr, flush=True)
        console = Console()
        names: dict[int, str] = {}
        live = None
        if console.is_terminal:
            live = stack.enter_context(Live(render(findings, names), console=console, auto_refresh=False))
        while not ended.is_set():
            with contextlib.suppress(TimeoutError, asyncio.TimeoutError):
                await asyncio.wait_for(ended.wait(), TELL_INTERVAL_S)
            receiver.count_overflow()
            if file is not None:
                file.flush()
            if controller is not None:
                names = await asyncio.to_thread(_tell, controller, findings.news(time.monotonic()), names)
            if live is not None:
                live.update(render(findings, names), refresh=True)
        if live is None:
            console.print(render(findings, names))


def _tell(path: Path, news: dict[tuple[int, int], int | None], names: dict[int, str]) -> dict[int, str]:
    """Tell the controller delays; return the names of the switches by number."""
    try:
        with client.ControllerClient(path) as controller:
            if not names:
                names = {item["device_id"]: item["name"] for item in controller.status()["switches"]}
            for (first, last), delay_us in news.items():
                if first in names and last in names:
                    controller.set_delay(names[first], names[last], delay_us)
    except UserError:
        pass  # it is gone, or not there yet: the next delays will be told
    return names
