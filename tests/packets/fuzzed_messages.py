"""What is read of packets outside the data plane, and what hosts and controller say to each other, broken."""

from __future__ import annotations

import asyncio
import io
import json
import re
import subprocess
from ipaddress import IPv6Address
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory
from typing import Any

import httpx
from fuzzed_switches import essence
from packet_corpus import ROUTER, Mutator
from rich.console import Console
from scapy.layers.l2 import Ether
from scapy.utils import RawPcapWriter

import p4cats.topologies
from p4cats import protocol
from p4cats.controller import api
from p4cats.controller.collector import MOST_PATHS, Findings, render
from p4cats.controller.controller import Controller
from p4cats.controller.exceptions import MIN_MTU, answer, checksum
from p4cats.controller.reports import Report, without_int
from p4cats.controller.switches import PipelineFiles
from p4cats.ebpf.reporter import _told
from p4cats.ebpf.view import Candidate, MetricKey, Reach, Service, View
from p4cats.packets.dissector import SCRIPT
from p4cats.packets.layers import IntMd, ReportGroup, metric_of
from p4cats.raw_metrics import DEFINITIONS
from p4cats.topologies.addressing import Plan
from p4cats.topologies.schema import load

TOPOLOGY = Path(p4cats.topologies.__file__).parent / "edge-cloud.yaml"
P4INFO = Path(__file__).resolve().parents[1] / "unit" / "p4info"
SECRET = "0011223344556677"
_LOOK_EVERY = 100


class FuzzedHandover:
    """Reports of hosts to the controller, which takes or refuses them; and its answers."""

    def __init__(self) -> None:
        topology = load(TOPOLOGY)
        plan = Plan(topology)
        addresses = dict.fromkeys(plan.switches, "127.0.0.1:1")
        files = {
            role: PipelineFiles(P4INFO / f"{role}.p4info.txtpb", TOPOLOGY) for role in ("edge", "transit")
        }
        controller = Controller(topology, plan, addresses, files)
        self._loop = asyncio.new_event_loop()
        transport = httpx.ASGITransport(api.build(controller), raise_app_exceptions=True)
        self._client = httpx.AsyncClient(transport=transport, base_url="http://localhost")
        self._instances = [item.id for item in topology.instances]
        self._asked = 0

    def close(self) -> None:
        self._loop.run_until_complete(self._client.aclose())
        self._loop.close()

    def attempt(self, mutator: Mutator) -> str:
        """A report, or an answer."""
        pick = mutator.random
        if pick.random() < 0.5:
            answer = {"keys": [_key(pick) for _ in range(pick.randrange(3))], "views": {"client": VIEW}}
            return self._answer(_broken(pick, answer))
        instances = [self._report(pick) for _ in range(pick.randrange(4))]
        known = [item["instance"] for item in instances]
        steering = {
            "client": {"revision": "x", "counts": {"1": {"steered": 1, "placed": 1}}, "stats": {"stale": 2}}
        }
        report = {
            "steering": steering,
            "instances": instances,
            "key_ids": {str(n): pick.randrange(256) for n in known},
            "fresh": known[:1],
        }
        answer = self._ask("POST", "/metrics", _broken(pick, report))
        assert answer.status_code in (200, 400, 422), f"{answer.status_code}: {answer.text}"
        self._asked += 1
        if self._asked % _LOOK_EVERY == 0:
            self.compare()
        return "taken" if answer.status_code == 200 else "refused"

    def compare(self) -> None:
        """Whatever was taken can be shown."""
        for path in ("/instances", "/services", "/status", "/metrics"):
            answer = self._ask("GET", path)
            assert answer.status_code == 200, f"{path}: {answer.status_code}"

    def _ask(self, method: str, path: str, content: bytes = b"") -> httpx.Response:
        head = {"Content-Type": "application/json"}
        return self._loop.run_until_complete(
            self._client.request(method, path, content=content, headers=head)
        )

    def _report(self, pick: Random) -> dict[str, Any]:
        return {
            "instance": pick.choice((*self._instances, 1023, 77)),
            "wait_us": pick.choice((0, 1500, 2**32 - 1, 10**18)),
            "in_flight": pick.randrange(100),
            "scores": {"norm_fi": pick.randrange(11)},
            "raw": {pick.choice([*DEFINITIONS, "other"]): pick.choice((None, 0, 1.5, 1e300, _odd(pick)))},
            "seq": pick.getrandbits(32),
        }

    @staticmethod
    def _answer(content: bytes) -> str:
        """What an agent makes of an answer: keys, or ValueError without any."""
        shown = ""
        try:
            found = _told(content)
        except ValueError as error:
            found, shown = None, str(error)
        assert SECRET[:8] not in shown, "an error shows a key"
        if found is None:
            return "not understood"
        for instance, key in found.keys.items():
            assert isinstance(instance, int)
            assert 0 < key.key_id < 256
            assert len(key.octets) == 8
        assert SECRET not in repr(found), "a key is shown"
        return "understood"


_HOSTS = View(
    services=(Service(address="2001:db8:ca75::53", id=1, candidates=(Candidate(instance=1),)),),
    instances=(Reach(instance=1, sid="5f00:0:2:1001::"),),
    keys=(MetricKey(instance=1, source="2001:db8:ca75::53"),),
)
VIEW = {"revision": "x", **_HOSTS.model_dump(mode="json")}


def _key(pick: Random) -> dict[str, Any]:
    return {"instance": pick.randrange(1, 1024), "key_id": pick.randrange(1, 256), "key": SECRET}


_LEAVES = (
    None, True, 0, -1, 1.5, 2**31, 2**64, 10**30, 1e400, float("nan"), "", "x", "1", "0011", "77" * 16,
    [], {}, [[]],
)  # fmt: skip


def _odd(pick: Random) -> float:
    """Rarely, what JSON has no text for."""
    return pick.choice((float("nan"), float("inf"))) if pick.random() < 0.1 else 2.5


def _broken(pick: Random, document: Any) -> bytes:
    """The JSON text of a document, with values exchanged, names lost, or octets flipped."""
    for _ in range(pick.choice((0, 0, 1, 1, 2, 3))):
        document = _exchanged(pick, document)
    text = bytearray(json.dumps(document).encode())
    if pick.random() < 0.2:
        for _ in range(pick.randrange(1, 4)):
            text[pick.randrange(len(text))] = pick.randrange(256)
    if pick.random() < 0.05:
        del text[pick.randrange(len(text)) :]
    return bytes(text)


def _exchanged(pick: Random, value: Any) -> Any:
    if isinstance(value, dict) and value and pick.random() < 0.8:
        name = pick.choice(list(value))
        changed = {**value, name: _exchanged(pick, value[name])}
        return {n: v for n, v in changed.items() if n != name} if pick.random() < 0.1 else changed
    if isinstance(value, list) and value and pick.random() < 0.8:
        at = pick.randrange(len(value))
        return [*value[:at], _exchanged(pick, value[at]), *value[at:][pick.randrange(2) :]]
    return pick.choice(_LEAVES)


class FuzzedReports:
    """The collector: what it accepts of broken reports is what the scapy layers read there too."""

    def __init__(self) -> None:
        self._findings = Findings()
        self._now_s = 0.0

    def close(self) -> None:
        """Nothing to be done."""

    def attempt(self, mutator: Mutator) -> str:
        """Collect a report."""
        frame = mutator.draw(kind="report")[1]
        datagram = frame[62:]
        self._now_s += 0.01
        report = self._findings.add(datagram, self._now_s)
        if report is None:
            return "malformed"
        found = ReportGroup(datagram)
        assert (report.sink, report.sequence) == (found.node_id, found.sequence)
        md = found.getlayer(IntMd)
        if md is not None and len(md.stack) == 4 * md.underlayer.length - md.HEADER_BYTES:
            self._agree(report, md)
        return "collected"

    @staticmethod
    def _agree(report: Report, md: IntMd) -> None:
        """Unless the length of a packet lies: then the layers stop where it says."""
        assert [hop.node for hop in report.hops] == [hop.get("node_id") for hop in md.hops()[::-1]]
        found, decision = report.decision, md.decision()
        if found is not None and decision is not None:
            assert (found.instance, found.policy) == (decision.instance, decision.policy)

    def compare(self) -> None:
        """What was found can be told and shown, and is not more than was agreed."""
        found = self._findings
        found.news(self._now_s)
        Console(file=io.StringIO()).print(render(found, {}))
        assert len(found.paths) <= MOST_PATHS
        assert len(found.decisions) <= 4 * protocol.INSTANCES


class FuzzedErrors:
    """What the controller answers to packets that a switch has given to it: as RFC 4443 says, or nothing."""

    def close(self) -> None:
        """Nothing to be done."""

    def compare(self) -> None:
        """Nothing is left."""

    def attempt(self, mutator: Mutator) -> str:
        """Answer a packet."""
        frame, pick = mutator.draw()[1], mutator.random
        quoted = without_int(frame)
        assert essence(quoted) == essence(frame), "more than the telemetry was taken out"
        error = answer(
            quoted, pick.choice((1, 2, 3)), pick.choice((0, 1280, 1400, 65535)), IPv6Address(ROUTER)
        )
        if error is None:
            return "not answered"
        assert len(error) <= MIN_MTU
        assert error[8:24] == IPv6Address(ROUTER).packed
        assert error[24] != 0xFF
        assert checksum(error[8:24], error[24:40], error[40:]) == 0, "the checksum is wrong"
        assert frame.find(error[24:40]) >= 0, "an answer to nobody who has asked"
        return "answered"


class FuzzedLayers:
    """The scapy layers: they take everything apart, and put the same together again."""

    def close(self) -> None:
        """Nothing to be done."""

    def compare(self) -> None:
        """Nothing is left."""

    def attempt(self, mutator: Mutator) -> str:
        """Take a packet apart."""
        frame = mutator.draw()[1]
        found = Ether(frame)
        metric_of(found)
        layer = found.getlayer(IntMd)
        if layer is None:
            return "without telemetry"
        layer.hops()
        layer.decision()
        return "telemetry"


class FuzzedDissector:
    """tshark with packets/cats.lua: reads captures to their end without an error of the script."""

    BATCH = 2000
    SECONDS = 120

    def __init__(self) -> None:
        self._frames: list[bytes] = []

    def close(self) -> None:
        """Nothing is left."""

    def attempt(self, mutator: Mutator) -> str:
        """Put a packet into the capture that is read next."""
        self._frames.append(mutator.draw()[1])
        if len(self._frames) >= self.BATCH:
            self.compare()
        return "read"

    def compare(self) -> None:
        """Read what was gathered."""
        if not self._frames:
            return
        with TemporaryDirectory() as directory:
            capture = Path(directory) / "packets.pcap"
            with RawPcapWriter(str(capture), linktype=1) as writer:
                for frame in self._frames:
                    writer.write(frame)
            command = ["tshark", "-X", f"lua_script:{SCRIPT}", "-r", str(capture), "-V"]
            done = subprocess.run(command, capture_output=True, timeout=self.SECONDS, check=True)
        text = done.stdout.decode(errors="replace")
        assert "Lua" not in done.stderr.decode(errors="replace"), done.stderr
        assert "Lua Error" not in text, text[text.index("Lua Error") :][:500]
        # Fragments that were put together are shown in their own frames: none is lost.
        assert len(re.findall(r"^Frame \d+:", text, re.M)) == len(self._frames)
        self._frames.clear()
