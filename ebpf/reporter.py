"""Report metrics to the controller: JSON over HTTP on a Unix socket, from a thread of its own.

A slow or absent controller must not delay the agent: only the newest report waits, older ones
are dropped, and an outage is logged once. The answer to a report may bring keys.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

from p4cats.ebpf.keys import Key
from p4cats.ebpf.meter import Metrics

_log = logging.getLogger(__name__)
URL = "http://localhost/metrics"


@dataclass(frozen=True)
class Report:
    """What an agent says at every report interval."""

    metrics: Sequence[Metrics]
    key_ids: Mapping[int, int] = field(default_factory=dict)
    """Key id that each authenticated instance stamps with, 0: none yet."""
    fresh: Sequence[int] = ()
    """Instances that need a key which was never used."""

    def as_json(self) -> dict[str, Any]:
        """Return the form in which the controller takes it."""
        document: dict[str, Any] = {"instances": [m.as_report() for m in self.metrics]}
        if self.key_ids:
            document["key_ids"] = {str(instance): key_id for instance, key_id in self.key_ids.items()}
            document["fresh"] = list(self.fresh)
        return document


class HttpReporter:
    """POSTs reports to URL; `take_keys` gets what an answer brings, in the reporter's thread."""

    def __init__(self, uds: Path, take_keys: Callable[[dict[int, Key]], None] = lambda keys: None) -> None:
        self._uds = uds
        self._take_keys = take_keys
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
        with httpx.Client(transport=httpx.HTTPTransport(uds=str(self._uds)), timeout=1.0) as client:
            while (report := self._take()) is not None:
                try:
                    answer = client.post(URL, json=report.as_json()).raise_for_status()
                    keys = dict(_keys(answer))
                except (httpx.HTTPError, ValueError) as error:
                    if reached:
                        _log.warning("controller at %s: %s; retrying quietly", self._uds, error)
                    reached = False
                else:
                    if not reached:
                        _log.warning("controller at %s: reached again", self._uds)
                    reached = True
                    if keys:
                        self._take_keys(keys)

    def _take(self) -> Report | None:
        with self._wake:
            self._wake.wait_for(lambda: self._closed or self._newest is not None)
            report, self._newest = self._newest, None
            return None if self._closed else report


def _keys(answer: httpx.Response) -> Iterator[tuple[int, Key]]:
    """The keys in an answer, by instance; ValueError, which never shows one, if they make no sense."""
    if not answer.content:
        return
    document = answer.json()
    for item in document.get("keys", ()) if isinstance(document, dict) else ():
        try:
            found = int(item["instance"]), Key.of(int(item["key_id"]), str(item["key"]))
        except (KeyError, TypeError, ValueError):
            raise ValueError("its keys are not understood") from None
        yield found
