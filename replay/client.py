"""An open-loop load generator: it sends each request of a schedule at its time, answered or not.

    python -m p4cats.replay.client --target 2001:db8:ca75::53 --port 8080 \\
        --schedule clients1.jsonl --timeout 2s --out clients1.json

Latency runs from the scheduled time, so a server (or a client) that stalls cannot hide the requests
that should have been sent meanwhile. The client's own part of it, sent minus scheduled, is
reported as lateness: distrust results where it is not small against the latencies.
The timeout runs from sending. UDP is not retransmitted: expect every lost datagram as a timeout.

Standard output is one JSON object a line: `start`, `progress` (every --interval), `end`. They are
dropped, never waited for, when a pipe is full. The results go to --out when all requests are over,
also after SIGTERM or SIGINT (`complete` is then false, requests in flight are errors), as one
JSON object: {"client": {what and how}, "requests": [{scheduled_s, sent_s, finished_s, protocol,
demand, status, instance, site, wait_us, service_us, detail}, ...]}; times in seconds from the start.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import select
import signal
import stat
import sys
import time
from collections import Counter, deque
from collections.abc import Sequence
from pathlib import Path

from p4cats.replay.errors import ReplayError
from p4cats.replay.exchange import FIRST_PORT, LAST_PORT, Exchange, Ports, Sender
from p4cats.replay.histogram import Histogram
from p4cats.replay.runtime import duration_s, end_loop, precise_loop, raise_file_limit
from p4cats.replay.schedule import Request, read_schedule

SCHEMA = "p4cats-client/1"


class LineWriter:
    """Writes lines to a descriptor and drops those that a pipe has no room for."""

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self._pipe = stat.S_ISFIFO(os.fstat(fd).st_mode)

    def write(self, record: dict[str, object]) -> None:
        """Write one record as a line of JSON, whole or not at all."""
        data = json.dumps(record, separators=(",", ":")).encode() + b"\n"
        if self._has_room(len(data)):
            with contextlib.suppress(OSError):
                os.write(self._fd, data)

    def _has_room(self, octets: int) -> bool:
        # A pipe that polls writable takes PIPE_BUF octets at once; more might block.
        return not self._pipe or (octets <= select.PIPE_BUF and bool(select.select([], [self._fd], [], 0)[1]))


class Client:
    """Sends one schedule and keeps what happened to it."""

    def __init__(
        self,
        name: str,
        requests: Sequence[Request],
        *,
        target: str,
        port: int,
        timeout_s: float,
        ports: Ports,
    ) -> None:
        self.name, self.timeout_s = name, timeout_s
        self.target, self.port = target, port
        self.exchanges = [Exchange(index, request) for index, request in enumerate(requests)]
        self.sent = self.over = 0
        self.statuses: Counter[str] = Counter()
        self.sites: Counter[str] = Counter()
        self.latencies = Histogram()
        self.late_max_s = 0.0
        self._loop = precise_loop()
        self._sender = Sender(self._loop, target, port, ports, self._done)
        self._in_flight: deque[Exchange] = deque()
        self._origin_s = 0.0

    def run(self, start_in_s: float, interval_s: float, out: LineWriter) -> bool:
        """Send everything, first request `start_in_s` from now; False if a signal ended it early."""
        loop = self._loop
        self._origin_s = loop.time() + start_in_s
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, loop.stop)

        def tick() -> None:
            out.write(self.progress("progress"))
            loop.call_later(interval_s, tick)

        out.write(self.progress("start"))
        loop.call_at(self._origin_s + interval_s, tick)
        if self.exchanges:
            self._plan_next()
            loop.run_forever()
        complete = self.over == len(self.exchanges)
        for exchange in self.exchanges[: self.sent]:
            if not exchange.status:
                self._sender.finish(exchange, "error", "interrupted")
        out.write(self.progress("end"))
        return complete  # the loop stays open: a second signal must not stop the writing of results

    def close(self) -> None:
        """Give up what is under way."""
        end_loop(self._loop)

    def _plan_next(self) -> None:
        if self.sent < len(self.exchanges):
            at_s = self._origin_s + self.exchanges[self.sent].request.at_s
            self._loop.call_at(at_s, self._send_due)

    def _send_due(self) -> None:
        now = self._loop.time() - self._origin_s
        while self.sent < len(self.exchanges) and self.exchanges[self.sent].request.at_s <= now:
            exchange = self.exchanges[self.sent]
            self.sent += 1
            if not self._in_flight:
                self._loop.call_later(self.timeout_s, self._expire)
            self._in_flight.append(exchange)
            self._sender.send(exchange)
            self.late_max_s = max(self.late_max_s, self._lateness_s(exchange))
        self._plan_next()

    def _expire(self) -> None:
        """Time out what is due. All have the same timeout, so the first sent is the first due."""
        due_s = self._loop.time() - self.timeout_s
        while self._in_flight:
            exchange = self._in_flight[0]
            if not exchange.status and exchange.sent_s > due_s:
                self._loop.call_at(exchange.sent_s + self.timeout_s, self._expire)
                return
            self._in_flight.popleft()
            if not exchange.status:
                self._sender.finish(exchange, "timeout")

    def _done(self, exchange: Exchange) -> None:
        self.over += 1
        self.statuses[exchange.status] += 1
        latency_s = exchange.finished_s - self._origin_s - exchange.request.at_s
        if exchange.answer is not None:
            self.sites[exchange.answer.site] += 1
        if exchange.status != "ok":
            latency_s = max(latency_s, self.timeout_s)
        self.latencies.add(latency_s * 1e3)
        if self.over == len(self.exchanges):
            self._loop.stop()

    def _lateness_s(self, exchange: Exchange) -> float:
        return exchange.sent_s - self._origin_s - exchange.request.at_s

    def progress(self, event: str) -> dict[str, object]:
        """Return a progress line: everything in it counts from the start of the run."""
        answered = self.statuses["ok"]
        p50, p99 = self.latencies.percentile_ms(50), self.latencies.percentile_ms(99)
        return {
            "event": event,
            "client": self.name,
            "t_s": round(max(0.0, self._loop.time() - self._origin_s), 3),
            "planned": len(self.exchanges),
            "sent": self.sent,
            "answered": answered,
            "errors": {kind: count for kind, count in self.statuses.items() if kind != "ok"},
            "p50_ms": p50 and round(p50, 2),
            "p99_ms": p99 and round(p99, 2),
            "share": {site: round(count / answered, 4) for site, count in self.sites.items()},
            "sites": self.sites,
            "late_max_ms": round(self.late_max_s * 1e3, 3),
            "histogram": self.latencies.counts,
        }

    def report(self, complete: bool) -> dict[str, object]:
        """Return what --out gets."""
        return {
            "client": {
                "schema": SCHEMA,
                "name": self.name,
                "target": self.target,
                "port": self.port,
                "timeout_s": self.timeout_s,
                "planned": len(self.exchanges),
                "complete": complete,
                "cpu_s": round(time.process_time(), 4),
            },
            "requests": [self._row(exchange) for exchange in self.exchanges[: self.sent]],
        }

    def _row(self, exchange: Exchange) -> dict[str, object]:
        answer = exchange.answer
        return {
            "scheduled_s": exchange.request.at_s,
            "sent_s": round(exchange.sent_s - self._origin_s, 6),
            "finished_s": round(exchange.finished_s - self._origin_s, 6),
            "protocol": exchange.request.protocol,
            "demand": exchange.request.demand,
            "status": exchange.status,
            "instance": answer and answer.instance,
            "site": answer and answer.site,
            "wait_us": answer and answer.wait_us,
            "service_us": answer and answer.service_us,
            "detail": exchange.detail,
        }


def _duration(text: str) -> float:
    try:
        return duration_s(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def _port_range(text: str) -> tuple[int, int]:
    first, _, last = text.partition("-")
    try:
        found = int(first), int(last)
    except ValueError:
        found = 0, 0
    if not 0 < found[0] <= found[1] < 65_536:
        raise argparse.ArgumentTypeError(f"{text!r} is no range of ports, write it like 20000-50999")
    return found


def parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    result = argparse.ArgumentParser(
        prog="python -m p4cats.replay.client",
        description="Send the requests of a schedule at their times and record what came back.",
        epilog="example: --target ::1 --port 8080 --schedule load.jsonl --timeout 2s --out seen.json",
    )
    result.add_argument("--target", required=True, help="address of the service")
    result.add_argument("--port", type=int, default=8080)
    result.add_argument("--schedule", required=True, type=Path, metavar="FILE", help="JSON lines")
    result.add_argument("--timeout", type=_duration, default=2.0, help="from sending (default 2s)")
    result.add_argument("--out", required=True, type=Path, metavar="FILE", help="where results go")
    result.add_argument("--name", help="of this client (default: name of the schedule)")
    result.add_argument("--start-at", type=float, metavar="UNIX_TIME", help="so that clients start together")
    result.add_argument("--interval", type=_duration, default=0.2, help="of progress lines (default 200ms)")
    result.add_argument(
        "--source-ports", type=_port_range, default=(FIRST_PORT, LAST_PORT), metavar="FIRST-LAST"
    )
    return result


def main(argv: list[str] | None = None) -> int:
    """Run the client: 0 when all requests are over (answered or not), 1 for bad input, 3 if interrupted."""
    args = parser().parse_args(argv)
    raise_file_limit()
    try:
        requests = read_schedule(args.schedule)
        ports = Ports(time.time(), *args.source_ports)
        name = args.name or args.schedule.stem
        client = Client(
            name, requests, target=args.target, port=args.port, timeout_s=args.timeout, ports=ports
        )
        start_in_s = max(0.0, args.start_at - time.time()) if args.start_at else 0.0
        complete = client.run(start_in_s, args.interval, LineWriter(1))
        partial = args.out.with_name(args.out.name + ".part")
        partial.write_text(json.dumps(client.report(complete)), encoding="utf-8")
        partial.replace(args.out)
        client.close()
    except (ReplayError, OSError) as error:
        print(f"client: {error}", file=sys.stderr)
        return 1
    return 0 if complete else 3


if __name__ == "__main__":
    sys.exit(main())
