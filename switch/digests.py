"""Digests: buffering, acknowledgement and suppression of repeats (P4Runtime sections 9.10 and 16.2)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Protocol

from finsy.proto import p4i, p4r

from p4cats.switch.errors import exists, invalid, not_found
from p4cats.switch.p4data import Codec

_MAX_IN_FLIGHT = 65536
"""Messages remembered while un-acknowledged; the oldest lists are forgotten beyond it."""


class Timer(Protocol):
    """A pending call."""

    def cancel(self) -> None:
        """Never make the call."""


class Clock(Protocol):
    """Time and timers; the event loop in a switch, a fake in tests."""

    def now_ns(self) -> int:
        """Nanoseconds since the epoch."""

    def call_later(self, delay_s: float, callback: Callable[[], None]) -> Timer:
        """Call back after a delay."""


class DigestStore:
    """One digest: its configuration, the list being filled, and the lists under way."""

    def __init__(
        self, info: p4i.Digest, codec: Codec, clock: Clock, send: Callable[[p4r.DigestList], None]
    ) -> None:
        self.id = info.preamble.id
        self.name = info.preamble.name
        self._what = f"digest {self.name}"
        self._codec = codec
        self._clock = clock
        self._send = send
        self._config: p4r.DigestEntry.Config | None = None
        self._buffer: dict[object, None] = {}
        self._timer: Timer | None = None
        self._in_flight: dict[int, tuple[int, list[object]]] = {}
        """List id to (time sent, its messages)."""
        self._sent: dict[object, int] = {}
        """Un-acknowledged message to the time until which it is suppressed."""
        self._next_list = 1

    def write(self, kind: p4r.Update.Type.ValueType, entry: p4r.DigestEntry) -> None:
        """INSERT enables, MODIFY changes, DELETE disables."""
        if kind == p4r.Update.INSERT and self._config is not None:
            raise exists(f"{self._what} is enabled already")
        if kind != p4r.Update.INSERT and self._config is None:
            raise not_found(f"{self._what} is not enabled")
        if kind == p4r.Update.DELETE:
            self.close()
            return
        for name in ("max_timeout_ns", "max_list_size", "ack_timeout_ns"):
            if getattr(entry.config, name) < 0:
                raise invalid(f"{self._what}: {name} is negative")
        config = p4r.DigestEntry.Config()
        config.CopyFrom(entry.config)
        self._config = config
        self._flush()

    def read(self) -> Iterator[p4r.Entity]:
        """The configuration, if enabled."""
        if self._config is not None:
            reply = p4r.Entity()
            reply.digest_entry.digest_id = self.id
            reply.digest_entry.config.CopyFrom(self._config)
            yield reply

    def add(self, values: object) -> None:
        """The data plane made a digest message."""
        config = self._config
        if config is None or values in self._buffer:
            return
        now = self._clock.now_ns()
        if config.ack_timeout_ns and self._sent.get(values, 0) > now:
            return
        self._buffer[values] = None
        if not config.max_timeout_ns or (config.max_list_size and len(self._buffer) >= config.max_list_size):
            self._flush()
        elif self._timer is None:
            self._timer = self._clock.call_later(config.max_timeout_ns / 1e9, self._timed_out)

    def acknowledge(self, list_id: int) -> None:
        """A controller has a list: its messages may be sent again. Unknown lists are ignored."""
        _, messages = self._in_flight.pop(list_id, (0, []))
        for message in messages:
            self._sent.pop(message, None)

    def close(self) -> None:
        """Disable; what was buffered is lost."""
        self._config = None
        self._buffer.clear()
        self._in_flight.clear()
        self._sent.clear()
        self._stop_timer()

    def _timed_out(self) -> None:
        self._timer = None
        self._flush()

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _flush(self) -> None:
        self._stop_timer()
        if not self._buffer or self._config is None:
            return
        messages = list(self._buffer)
        self._buffer.clear()
        now = self._clock.now_ns()
        list_id, self._next_list = self._next_list, self._next_list + 1
        if self._config.ack_timeout_ns:
            self._remember(list_id, messages, now)
        self._send(
            p4r.DigestList(
                digest_id=self.id,
                list_id=list_id,
                data=[self._codec.encode(m) for m in messages],
                timestamp=now,
            )
        )

    def _remember(self, list_id: int, messages: list[object], now: int) -> None:
        timeout = self._config.ack_timeout_ns if self._config is not None else 0
        while self._in_flight:
            oldest = next(iter(self._in_flight))
            if self._in_flight[oldest][0] + timeout > now and len(self._sent) < _MAX_IN_FLIGHT:
                break
            self.acknowledge(oldest)
        self._in_flight[list_id] = (now, messages)
        self._sent.update(dict.fromkeys(messages, now + timeout))


__all__ = ["Clock", "DigestStore", "Timer"]
