"""An instance server: HTTP/1.1 over TCP and UDP requests on one port, served by a bounded pool of workers.

    python -m p4cats.replay.server --address 2001:db8:ca75::53 --port 8080 --instance 1 --name edge1 \\
        --workers 2 --service-time exponential:20ms --seed 7

It prints `ready` when it listens (with `--port 0` too; `status` then tells the port). Commands are
lines on standard input, each answered by one line of JSON on standard output:

    slow FACTOR     multiply the service time of requests that begin from now on (1 undoes it)
    status          counters, port, processor time so far

SIGTERM and SIGINT end it at once with exit code 0; so does the end of standard input under
`--until-eof`, for a parent that may die without a word.

Overload is a real server's. Requests wait in one queue, first come first served, until it is full:
then UDP requests vanish and HTTP requests get 503 at once. A waiting HTTP request whose client
closes its connection, or its sending half, is dropped from the queue (as nginx does, status 499).
A waiting UDP request is served even when nobody waits for it any more.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import functools
import json
import os
import signal
import socket
import stat
import sys
import time
from collections.abc import Callable

from p4cats.replay.connections import HttpConnection, Instance, UdpService
from p4cats.replay.runtime import end_loop, precise_loop, raise_file_limit
from p4cats.replay.service import QUEUE_PER_WORKER, ServiceTime, WorkerPool

BACKLOG = 1024
"""Connections the kernel holds until they are accepted."""
IDLE_S = 30.0
"""A connection without a request in progress is closed after this long, give or take a third."""


class Admin:
    """Commands on standard input, answers on standard output."""

    def __init__(self, instance: Instance, port: int, on_eof: Callable[[], object]) -> None:
        self._instance, self._port, self._on_eof = instance, port, on_eof
        self._buffer = b""

    def listen(self, loop: asyncio.AbstractEventLoop) -> None:
        """Watch standard input, if it is something that can be waited for."""
        with contextlib.suppress(OSError):
            mode = os.fstat(0).st_mode
            if stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode) or os.isatty(0):
                loop.add_reader(0, self._readable, loop)

    def _readable(self, loop: asyncio.AbstractEventLoop) -> None:
        data = os.read(0, 4096)
        if not data:
            loop.remove_reader(0)
            self._on_eof()
        *lines, self._buffer = (self._buffer + data).split(b"\n")
        for line in lines:
            print(json.dumps(self.command(line.decode(errors="replace"))), flush=True)

    def command(self, line: str) -> dict[str, object]:
        """Obey one command and return its answer."""
        pool = self._instance.pool
        match line.split():
            case ["slow", factor]:
                try:
                    value = float(factor)
                except ValueError:
                    value = -1.0
                if not 0 < value < float("inf"):
                    return {"error": f"slow takes a factor above 0, not {factor}"}
                pool.slow = value
                return {"slow": value}
            case ["status"]:
                return self._status()
        return {"error": f"unknown command {line!r}: there are `slow FACTOR` and `status`"}

    def _status(self) -> dict[str, object]:
        pool = self._instance.pool
        counters = ("workers", "busy", "queued", "served", "rejected", "abandoned", "slow")
        return {
            "instance": self._instance.number,
            "site": self._instance.site,
            "port": self._port,
            **{name: getattr(pool, name) for name in counters},
            "malformed": self._instance.malformed,
            "connections": len(self._instance.connections),
            "cpu_s": round(time.process_time(), 4),
        }


def bind(address: str, port: int) -> tuple[socket.socket, socket.socket]:
    """Return a TCP and a UDP socket on the same port of `address` (0: one that is free for both)."""
    for _ in range(100):
        tcp = _bind_one(address, port, socket.SOCK_STREAM)
        try:
            udp = _bind_one(address, tcp.getsockname()[1], socket.SOCK_DGRAM)
        except OSError:
            tcp.close()
            if port:
                raise
        else:
            return tcp, udp
    raise OSError("no port is free for both TCP and UDP")


def _bind_one(address: str, port: int, kind: socket.SocketKind) -> socket.socket:
    family, _, _, _, target = socket.getaddrinfo(address, port, type=kind, flags=socket.AI_NUMERICHOST)[0]
    sock = socket.socket(family, kind)
    try:
        if kind == socket.SOCK_STREAM:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind(target)
    except OSError:
        sock.close()
        raise
    return sock


async def _listen(instance: Instance, tcp: socket.socket, udp: socket.socket) -> asyncio.Server:
    loop = asyncio.get_running_loop()
    await loop.create_datagram_endpoint(lambda: UdpService(instance), sock=udp)
    server = await loop.create_server(lambda: HttpConnection(instance, loop.time), sock=tcp, backlog=BACKLOG)
    # A response within 40 ms acknowledges its request, no packet of its own need do it. Connections
    # inherit this from the listening socket; set on accepted ones it would come too late.
    tcp.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 0)
    return server


def serve(args: argparse.Namespace) -> None:
    """Serve until a signal, or the end of standard input under `--until-eof`."""
    raise_file_limit()
    tcp, udp = bind(args.address, args.port)
    loop = precise_loop()
    pool = WorkerPool(loop, args.workers, args.service_time, args.seed, args.queue)
    instance = Instance(args.instance, args.name, pool)
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, loop.stop)
    loop.run_until_complete(_listen(instance, tcp, udp))

    def sweep() -> None:
        instance.close_idle(loop.time() - IDLE_S)
        loop.call_later(IDLE_S / 3, sweep)

    sweep()
    Admin(instance, tcp.getsockname()[1], loop.stop if args.until_eof else lambda: None).listen(loop)
    print("ready", flush=True)
    loop.run_forever()
    end_loop(loop)


def _count(text: str, least: int = 0) -> int:
    value = int(text)
    if value < least:
        raise argparse.ArgumentTypeError(f"{value} is less than {least}")
    return value


def _service_time(text: str) -> ServiceTime:
    try:
        return ServiceTime.parse(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    result = argparse.ArgumentParser(
        prog="python -m p4cats.replay.server",
        description="Serve requests over HTTP and UDP with a bounded number of workers.",
        epilog="example: --address ::1 --port 8080 --workers 2 --service-time exponential:20ms",
    )
    at_least_one = functools.partial(_count, least=1)
    result.add_argument("--address", default="::1", help="address to listen on (default %(default)s)")
    result.add_argument("--port", type=_count, default=8080, help="TCP and UDP port, 0: any")
    result.add_argument("--instance", type=_count, default=1, help="instance identifier")
    result.add_argument("--name", default="local", help="name of the site, told in responses")
    result.add_argument("--workers", type=at_least_one, default=2)
    result.add_argument("--service-time", type=_service_time, default="exponential:20ms", metavar="KIND:MEAN")
    result.add_argument("--seed", type=int, default=0, help="of the service times")
    result.add_argument("--queue", type=_count, help=f"requests that may wait ({QUEUE_PER_WORKER} a worker)")
    result.add_argument("--until-eof", action="store_true", help="end when standard input ends")
    return result


def main(argv: list[str] | None = None) -> int:
    """Run the server; return its exit code."""
    args = parser().parse_args(argv)
    try:
        serve(args)
    except OSError as error:
        print(f"server {args.name}: cannot listen on [{args.address}]:{args.port}: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
