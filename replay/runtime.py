"""What server and client need of the process they run in: exact timers, and enough file descriptors.

asyncio sleeps in epoll_wait, whose timeout counts whole milliseconds, rounded up. A service time
of 2 ms would become 2 to 3 ms and a client would send late by half a millisecond on average.
"""

from __future__ import annotations

import asyncio
import re
import resource
import select
import selectors
import signal

_DURATION = re.compile(r"(\d+(?:\.\d+)?)(us|ms|s)")
_UNIT_S = {"us": 1e-6, "ms": 1e-3, "s": 1.0}


class PreciseSelector(selectors.EpollSelector):
    """epoll that sleeps to the microsecond.

    select(2) takes microseconds but few descriptors: it waits for one, that of the epoll set.
    """

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        """Wait for events, at most `timeout` seconds."""
        if timeout is not None and timeout > 0:
            select.select([self.fileno()], [], [], timeout)
            timeout = 0
        return super().select(timeout)


def precise_loop() -> asyncio.SelectorEventLoop:
    """Return a new event loop whose timers are late by tens of microseconds, not by a millisecond."""
    return asyncio.SelectorEventLoop(PreciseSelector())


def end_loop(loop: asyncio.AbstractEventLoop) -> None:
    """Cancel what a stopped loop still had to do, and close it.

    A loop that is left to the interpreter's last garbage collection may go after its own sockets, and then
    complains on stderr. From here on a signal ends the process.
    """
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.remove_signal_handler(number)
    tasks = asyncio.all_tasks(loop)
    for task in tasks:
        task.cancel()
    if tasks:
        loop.run_until_complete(asyncio.gather(*tasks, return_exceptions=True))
    loop.close()


def raise_file_limit() -> None:
    """Allow as many open files as the hard limit says: every connection is one."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def duration_s(text: str) -> float:
    """Return a duration such as `20ms`, `500us` or `2s` in seconds; ValueError if it is none."""
    match = _DURATION.fullmatch(text.strip())
    if match is None:
        raise ValueError(f"{text!r} is no duration, write it like 20ms, 500us or 2s")
    return float(match[1]) * _UNIT_S[match[2]]
