"""Report metrics to the controller: JSON over HTTP on a Unix socket, from a thread of its own.

A slow or absent controller must not delay the agent: only the newest report waits, older ones
are dropped, and an outage is logged once.
"""

import logging
import threading
from collections.abc import Sequence
from pathlib import Path

import httpx

from p4cats.ebpf.meter import Metrics

_log = logging.getLogger(__name__)
URL = "http://localhost/metrics"


class HttpReporter:
    """A report callback that POSTs {"instances": [...]} to URL."""

    def __init__(self, uds: Path) -> None:
        self._uds = uds
        self._newest: Sequence[Metrics] | None = None
        self._wake = threading.Condition()
        self._closed = False
        self._thread = threading.Thread(target=self._run, name="p4cats-report", daemon=True)
        self._thread.start()

    def __call__(self, metrics: Sequence[Metrics]) -> None:
        """Hand over a report; returns at once."""
        with self._wake:
            self._newest = metrics
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
            while (metrics := self._take()) is not None:
                try:
                    client.post(URL, json={"instances": [m.as_report() for m in metrics]}).raise_for_status()
                except httpx.HTTPError as error:
                    if reached:
                        _log.warning("controller at %s: %s; retrying quietly", self._uds, error)
                    reached = False
                else:
                    if not reached:
                        _log.warning("controller at %s: reached again", self._uds)
                    reached = True

    def _take(self) -> Sequence[Metrics] | None:
        with self._wake:
            self._wake.wait_for(lambda: self._closed or self._newest is not None)
            metrics, self._newest = self._newest, None
            return None if self._closed else metrics
