"""Report metrics to the controller: JSON over HTTP on a Unix socket, from a thread of its own.

A slow or absent controller must not delay the agent: only the newest report waits, older ones
are dropped, and an outage is logged once. The answer to a report may bring keys of instances, and what
hosts that steer are to choose from.
"""

from __future__ import annotations

import json
import logging
import socket
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from http import HTTPStatus
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from p4cats.ebpf.keys import Key
from p4cats.ebpf.meter import Metrics
from p4cats.ebpf.view import View

_log = logging.getLogger(__name__)
TIMEOUT_S = 1.0


@dataclass(frozen=True)
class Steered:
    """What a host that steers says of itself."""

    revision: str
    """Of the view that it holds; "": none yet."""
    counts: Mapping[int, Mapping[str, int]]
    """Packets steered to each instance, and flows placed there."""
    stats: Mapping[str, int]
    """Other packets and options by what became of them."""
    loads: Mapping[int, Mapping[str, int | None]] = field(default_factory=dict)
    """Wait and age of the load of each instance, in microseconds; None: unknown."""


@dataclass(frozen=True)
class Stamping:
    """What an agent's stamp programs did with packets."""

    agent: str
    """Its run directory, which no other agent has."""
    packets: Mapping[str, int]
    """So far, by result (struct p4cats_stats)."""


@dataclass(frozen=True)
class Told:
    """What the controller wants of an agent."""

    keys: Mapping[int, Key]
    """Of instances."""
    views: Mapping[str, tuple[str, View]]
    """Of hosts that steer, by name, with revisions."""


@dataclass(frozen=True)
class Report:
    """What an agent says at every report interval."""

    metrics: Sequence[Metrics]
    key_ids: Mapping[int, int] = field(default_factory=dict)
    """Key id that each authenticated instance stamps with, 0: none yet."""
    fresh: Sequence[int] = ()
    """Instances that need a key which was never used."""
    steering: Mapping[str, Steered] = field(default_factory=dict)
    """Hosts that steer, by name."""
    stamping: Stamping | None = None
    """Told from time to time."""

    def as_json(self) -> dict[str, Any]:
        """Return the form in which the controller takes it."""
        document: dict[str, Any] = {"instances": [m.as_report() for m in self.metrics]}
        if self.key_ids:
            document["key_ids"] = {str(instance): key_id for instance, key_id in self.key_ids.items()}
            document["fresh"] = list(self.fresh)
        if self.steering:
            document["steering"] = {name: asdict(item) for name, item in self.steering.items()}
        if self.stamping is not None:
            document["stamping"] = asdict(self.stamping)
        return document


class HttpReporter:
    """POSTs reports to /metrics; `take` gets what an answer brings, in the reporter's thread."""

    def __init__(self, uds: Path, take: Callable[[Told], None] = lambda told: None) -> None:
        self._uds = uds
        self._take_told = take
        self._newest: Report | None = None
        self._wake = threading.Condition()
        self._closed = False
        self._thread = threading.Thread(target=self._run, name="p4cats-report", daemon=True)
        self._thread.start()

    def __call__(self, report: Report) -> None:
        """Hand over a report; returns at once."""
        with self._wake:
            self._newest = report
            self._wake.notify()

    def close(self) -> None:
        """Stop the thread."""
        with self._wake:
            self._closed = True
            self._wake.notify()
        self._thread.join(timeout=3)

    def _run(self) -> None:
        reached = True
        connection = _UnixConnection(self._uds)
        while (report := self._take()) is not None:
            try:
                told = _told(connection.post("/metrics", json.dumps(report.as_json()).encode()))
            except (HTTPException, OSError, ValueError) as error:
                connection.close()
                if reached:
                    _log.warning("controller at %s: %s; retrying quietly", self._uds, error)
                reached = False
            else:
                if not reached:
                    _log.warning("controller at %s: reached again", self._uds)
                reached = True
                if told.keys or told.views:
                    self._take_told(told)
        connection.close()

    def _take(self) -> Report | None:
        with self._wake:
            self._wake.wait_for(lambda: self._closed or self._newest is not None)
            report, self._newest = self._newest, None
            return None if self._closed else report


class _UnixConnection(HTTPConnection):
    """HTTP over a Unix socket, kept open. The standard library's takes half the CPU time of others."""

    def __init__(self, path: Path) -> None:
        super().__init__("localhost", timeout=TIMEOUT_S)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(TIMEOUT_S)
        self.sock.connect(str(self._path))

    def post(self, path: str, content: bytes) -> bytes:
        """Post JSON, return the answer's content; HTTPException, OSError."""
        kept = self.sock is not None
        try:
            self.request("POST", path, content, {"Content-Type": "application/json"})
            answer = self.getresponse()
        except (ConnectionError, HTTPException):
            self.close()
            if not kept:
                raise
            return self.post(path, content)  # the listener had closed what was idle
        text = answer.read()
        if answer.status >= HTTPStatus.BAD_REQUEST:
            raise HTTPException(f"answer {answer.status} {answer.reason}")
        return text


def _told(answer: bytes) -> Told:
    """What an answer brings; ValueError, which never shows a key, if it makes no sense."""
    document = json.loads(answer) if answer else {}
    if not isinstance(document, dict):
        return Told({}, {})
    try:
        views = {name: (str(v.pop("revision")), View(**v)) for name, v in document.get("views", {}).items()}
    except (ValidationError, AttributeError, KeyError, TypeError):
        raise ValueError("its views are not understood") from None
    try:
        keys = {int(k["instance"]): Key.of(int(k["key_id"]), str(k["key"])) for k in document.get("keys", ())}
    except (KeyError, OverflowError, TypeError, ValueError):
        raise ValueError("its keys are not understood") from None
    return Told(keys, views)
