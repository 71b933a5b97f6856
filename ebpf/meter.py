"""Turn kernel counters into the metrics of an instance.

Readings of the node itself (CPU, run queue, network) and per-instance state (measured service
time, utilisation, power). Averages are exponential, over about `SMOOTHING` readings.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import IO, Any, NamedTuple

from p4cats.ebpf import normalise, power
from p4cats.ebpf.config import HostConfig, InstanceConfig

_CHUNK = 1 << 14
"""Octets read at once: of a hundred interfaces."""
SMOOTHING = 10
READING_S = 0.1
"""Time of a reading: one that covers more or less counts as more or less than one."""


@dataclass(frozen=True)
class Metrics:
    """What one instance reports: raw values (L0) with units, scores (L1, L2), number of stamps made."""

    instance: int
    in_flight: int
    wait_us: int
    run_queue_us: int
    power_mw: int
    scores: normalise.Scores
    seq: int
    service_time_us: int
    raw: Mapping[str, float | None] = field(default_factory=dict)
    """By the names of p4cats.raw_metrics."""

    def as_report(self) -> dict[str, Any]:
        """Return the form in which the controller takes it."""
        return {
            "instance": self.instance,
            "in_flight": self.in_flight,
            "wait_us": self.wait_us,
            "run_queue_us": self.run_queue_us,
            "power_mw": None if self.power_mw == normalise.UNKNOWN_U32 else self.power_mw,
            "scores": self.scores.as_dict(),
            "seq": self.seq,
            "raw": dict(self.raw),
        }


class Average:
    """An exponential moving average; one reading weighs 1/SMOOTHING."""

    def __init__(self, value: float | None = None) -> None:
        self.value = value or 0.0
        self._empty = value is None

    def add(self, reading: float, times: float = 1) -> float:
        """Take a reading in, as if it came `times` in a row; return the average."""
        keep = 0.0 if self._empty else (1 - 1 / SMOOTHING) ** times
        self.value = keep * self.value + (1 - keep) * reading
        self._empty = False
        return self.value


class NetworkUse(NamedTuple):
    """Use of the link 0..1 (0 if its rate is not known), and share of packets lost 0..1."""

    link_use: float = 0.0
    loss: float = 0.0
    received_bps: float = 0.0
    sent_bps: float = 0.0
    """Bits per second."""


class Network:
    """Traffic of a host's interface, from /proc/net/dev.

    The file must be opened inside the host's network namespace; it stays bound to it.
    """

    def __init__(self, host: HostConfig, stream: IO[bytes]) -> None:
        self.host = host
        self._stream = stream
        self._readings: deque[tuple[int, int, int, int, float]] = deque()

    def read(self, now: float) -> NetworkUse:
        """Return what passed in the last `READING_S`, or since an older reading; `now` in seconds."""
        counts = self._counts()
        if counts is None:
            self._readings.clear()
            return NetworkUse(loss=1.0)  # no interface: nothing gets through
        readings = self._readings
        while len(readings) > 1 and readings[1][4] <= now - READING_S:
            readings.popleft()
        readings.append((*counts, now))
        received, sent, packets, lost, seconds = (
            new - old for new, old in zip(readings[-1], readings[0], strict=True)
        )
        received_bps, sent_bps = (8 * octets / seconds if seconds > 0 else 0.0 for octets in (received, sent))
        use = max(received_bps, sent_bps) / (self.host.link_mbps * 1e6) if self.host.link_mbps else 0.0
        loss = lost / (packets + lost) if lost > 0 else 0.0
        return NetworkUse(min(1.0, use), loss, received_bps, sent_bps)

    def close(self) -> None:
        """Close the file."""
        self._stream.close()

    def _counts(self) -> tuple[int, int, int, int] | None:
        """Octets received and sent, packets of both, and errors and drops of both."""
        head, text = f"\n{self.host.interface:>6}:".encode(), b""
        while (at := text.find(head)) < 0 or b"\n" not in text[at + 1 :]:
            more = os.pread(self._stream.fileno(), _CHUNK, len(text))
            if not more:
                return None
            text += more
        line = text[at + 1 : text.index(b"\n", at + 1)]
        f = [int(field) for field in line.partition(b":")[2].split()]
        return f[0], f[8], f[1] + f[9], f[2] + f[3] + f[10] + f[11]


class NodeUse(NamedTuple):
    """The node: share of CPU time in use 0..1, mean wait for a CPU, watts where they are measured."""

    cpu_use: float
    run_queue_us: float
    measured_w: float | None = None


class InstanceMeter:
    """The state of one instance between readings."""

    def __init__(self, config: InstanceConfig) -> None:
        self.config = config
        self._counters: Mapping[str, Any] = {}
        self._busy = Average()
        self._learned_s: float | None = None
        self._requests = 0
        self._requests_per_s = Average(0.0)
        self._cpu_cores = Average()
        self._cpu_known = False
        self.accept_backlog: int | None = None
        self.tcp_in_flight = 0
        self.in_flight = 0
        """Requests; the same as p4cats_in_flight in host_maps.h."""

    @property
    def service_time_us(self) -> int:
        """The service time of one request on one worker: measured, or else as configured."""
        measured: int = self._counters["service_time_ns"]
        if not measured or not self.config.measure_service_time:
            return self.config.service_time_us
        return max(1, min(measured // 1000, normalise.UNKNOWN_U32 - 1))

    def learn(self, counters: Mapping[str, Any], now_s: float) -> None:
        """Take in what the programs count: how many workers are busy, how many requests have come."""
        self._counters = counters
        self.tcp_in_flight = max(0, counters["tcp_opened"] - counters["tcp_closed"])
        udp: int = counters["udp_requests"] - counters["udp_responses"] - counters["udp_aged"]
        self.in_flight = self.tcp_in_flight + max(0, udp)
        passed_s = READING_S if self._learned_s is None else now_s - self._learned_s
        self._learned_s = now_s
        self._busy.add(min(1.0, self.in_flight / self.config.workers), passed_s / READING_S)
        requests = counters["tcp_opened"] + counters["udp_requests"]
        if passed_s > 0:
            self._requests_per_s.add((requests - self._requests) / passed_s, passed_s / READING_S)
        self._requests = requests

    def learn_cpu(self, spent_s: float | None, passed_s: float) -> None:
        """Take in the CPU time that the service's processes have spent; None: no process is known."""
        self._cpu_known = spent_s is not None
        if spent_s is not None and passed_s > 0:
            self._cpu_cores.add(spent_s / passed_s, passed_s / READING_S)

    def power_mw(self, measured_w: float | None) -> int:
        """Return power in milliwatts: measured, or modelled on the share of busy workers."""
        watts = measured_w
        if watts is None:
            if not self.config.peak_w:
                return normalise.UNKNOWN_U32
            watts = power.model_w(self.config.idle_w, self.config.peak_w, self._busy.value)
        return min(round(watts * 1000), normalise.UNKNOWN_U32 - 1)

    @property
    def expected_wait_us(self) -> int:
        """How long one more request would wait for a worker."""
        return normalise.expected_wait_us(self.in_flight, self.config.workers, self.service_time_us)

    def scores(self, node: NodeUse, network: NetworkUse) -> normalise.Scores:
        """Return the scores as of the last counters and readings."""
        by = self.config.normalisation
        return normalise.scores(
            normalise.compute(node.cpu_use, node.run_queue_us, by),
            normalise.communication(network.link_use, network.loss, by),
            normalise.service(self.expected_wait_us, self.service_time_us, by),
            by,
        )

    def metrics(self, node: NodeUse, network: NetworkUse) -> Metrics:
        """Return the metrics as of the last counters and readings."""
        wait_us, power_mw = self.expected_wait_us, self.power_mw(node.measured_w)
        raw = {
            "cpu_use": node.cpu_use,
            "run_queue_us": node.run_queue_us,
            "cpu_cores": self._cpu_cores.value if self._cpu_known else None,
            "power_mw": None if power_mw == normalise.UNKNOWN_U32 else power_mw,
            "link_use": network.link_use,
            "loss": network.loss,
            "received_bps": network.received_bps,
            "sent_bps": network.sent_bps,
            "in_flight": self.in_flight,
            "requests_per_s": self._requests_per_s.value,
            "service_time_us": self.service_time_us,
            "expected_wait_us": None if wait_us == normalise.UNKNOWN_U32 else wait_us,
            "accept_backlog": self.accept_backlog,
            "workers": self.config.workers,
        }
        return Metrics(
            instance=self.config.instance,
            in_flight=self.in_flight,
            wait_us=wait_us,
            run_queue_us=round(node.run_queue_us),
            power_mw=power_mw,
            scores=self.scores(node, network),
            seq=self._counters["stamped"] & 0xFFFFFFFF,
            service_time_us=self.service_time_us,
            raw=raw,
        )
