"""The host hooks under mutated packets, in the kernel by BPF_PROG_TEST_RUN: nothing is broken.

stamp      a packet is left as it was, or gets an option that is right to the last bit of its MAC
requests   changes nothing
steer      a tunnel around the same packet, or none
metrics    blanks options, ends beacons

What was done is counted.
"""

from __future__ import annotations

import os
import struct
import time
from collections import Counter
from ipaddress import IPv6Address
from pathlib import Path
from typing import Any

from fuzzed_switches import essence
from packet_corpus import (
    KEYS,
    OPTION_AT,
    SERVICES,
    SIDS,
    UNKEYED,
    Mutator,
    blanked,
    has_option,
    service_of,
)

from p4cats import netns, protocol
from p4cats.ebpf import stamp, system
from p4cats.ebpf.stamp import Stamp
from p4cats.ebpf.steer import Steering
from p4cats.ebpf.view import Candidate, MetricKey, Reach, Service, View
from p4cats.halfsiphash import tag

PINS = Path(f"/sys/fs/bpf/p4cats-fuzz-{os.getpid()}")
HEADEND = IPv6Address("::1")
"""An address that every namespace has."""
UNSPECIFIED, SHOT = 0xFFFFFFFF, 2
PATH_MTU = 1500
MANY_WAITING = (1 << 13) - 1
"""Of an entry's word, how many requests wait (stamp.bpf.c)."""
_SHORTEST = 54
"""The kernel refuses to run tc programs on less than the headers of Ethernet and IPv6."""


class FuzzedStamp:
    """stamp and requests, with an instance for each service address."""

    def __init__(self) -> None:
        system.ensure_bpffs(PINS / "stamp")
        self._stamp = Stamp(PINS / "stamp")
        self._programs = self._stamp._load(netns.inode(None)).programs
        self._keys = {}
        for number, address in enumerate(SERVICES, 1):
            fields = {
                "instance": number, "service_time_us": 10_000, "workers": 2, "port": 53 * (number % 2),
                "exchanges": number % 2,
                "path_mtu": PATH_MTU, "valid_until_ns": time.monotonic_ns() + 10**14,
            }  # fmt: skip
            where = stamp.service_key(netns.inode(None), IPv6Address(address))
            self._stamp.instances.update(where, self._stamp.instances.value_layout.encode(fields))
            key = self._keys[IPv6Address(address).packed] = number, bytes([number] * 8)
            value = {"key_id": number, "key": key[1], "sequence": 0}
            self._stamp.keys.update(struct.pack("=I", number), self._stamp.keys.value_layout.encode(value))
        self._before = self._stamp.stats()
        self._fates: Counter[str] = Counter()

    def close(self) -> None:
        self._stamp.close()

    def attempt(self, mutator: Mutator) -> str:
        """Let a packet out, or in."""
        frame = mutator.draw()[1].ljust(_SHORTEST, b"\0")
        if mutator.random.random() < 0.3:
            found = self._programs["requests"].test_run(frame)
            assert (found.retval, found.data) == (UNSPECIFIED, frame), "a packet was changed on its way in"
            return "in"
        found = self._programs["stamp"].test_run(frame)
        assert found.retval == UNSPECIFIED, "a packet was stopped"
        fate = "left"
        if found.data != frame:
            self._is_stamped(frame, found.data)
            fate = "stamped"
        self._fates[fate] += 1
        return fate

    def _is_stamped(self, frame: bytes, left: bytes) -> None:
        """One option behind the IPv6 header, everything else as it was but for what says so."""
        length = int.from_bytes(frame[18:20], "big") + protocol.HBH_BYTES
        head = frame[:18] + struct.pack("!HB", length, 0) + frame[21:54]
        assert left[:54] == head, "the IPv6 header is wrong"
        assert left[54 + protocol.HBH_BYTES :] == frame[54:], "what follows was changed"
        assert left[54] == frame[20], "the next header is wrong"
        assert frame[20] in (6, 17), "that cannot be stamped"
        assert 40 + length <= PATH_MTU, "the packet became too big"
        number, key = self._keys[frame[22:38]]
        data = left[58:94]
        assert struct.unpack_from("!HBBI", data) == (protocol.MAGIC, protocol.VERSION << 4, number, number)
        assert data[-8:] == tag(key, protocol.metric_message(data, IPv6Address(frame[38:54]))), (
            "the MAC is wrong"
        )

    def compare(self) -> None:
        """Every packet has been counted under one reason; in flight is what the table of flows holds."""
        now = self._stamp.stats()
        counted = {name: now[name] - self._before[name] for name in now if name != "untracked"}
        assert counted["stamped"] == self._fates["stamped"]
        assert sum(counted.values()) == self._fates.total(), counted
        sets = self._stamp._objects[0].maps["flows"].items_batch()
        words = (word for _, found in sets for word, _ in struct.iter_unpack("=QQ", found))
        assert sum(word & MANY_WAITING for word in words) == sum(
            self._in_flight(number) for number, _ in self._keys.values()
        )

    def _in_flight(self, number: int) -> int:
        raw = self._stamp.counters.lookup(struct.pack("=I", number))
        assert raw is not None
        c: dict[str, Any] = self._stamp.counters.value_layout.decode(raw)
        asked, answered = c["tcp_opened"] + c["udp_requests"], c["tcp_closed"] + c["udp_responses"]
        assert asked >= answered + c["udp_aged"]
        return int(asked - answered - c["udp_aged"])


class FuzzedSteer:
    """steer and metrics, with a service for each policy."""

    def __init__(self) -> None:
        system.ensure_bpffs(PINS)
        self._steering = Steering(None, "lo", HEADEND, PINS)
        self._steering.apply(_view())
        assert self._steering._object is not None
        self._programs = self._steering._object.programs
        self._results = 0

    def close(self) -> None:
        self._steering.close()
        PINS.rmdir()

    def attempt(self, mutator: Mutator) -> str:
        """Let a packet out, or in."""
        frame = mutator.draw()[1].ljust(_SHORTEST, b"\0")
        if mutator.random.random() < 0.5:
            return self._in(frame)
        found = self._programs["steer"].test_run(frame)
        steered = len(frame) >= 54 and frame[12:14] == b"\x86\xdd" and frame[38:54] in _SERVED
        if not steered:
            assert (found.retval, found.data) == (UNSPECIFIED, frame), "a packet to another was touched"
            return "out"
        if found.retval == SHOT:
            return "dropped"
        assert found.retval == UNSPECIFIED
        assert len(found.data) - len(frame) in (40, 64), "a packet to a service goes out without a tunnel"
        assert found.data[22:38] == HEADEND.packed
        assert essence(found.data) == essence(frame), "a packet was changed"
        return "steered"

    def _in(self, frame: bytes) -> str:
        found = self._programs["metrics"].test_run(frame)
        if not has_option(frame):
            assert (found.retval, found.data) == (UNSPECIFIED, frame), "what is no option was touched"
            return "in"
        self._results += any(frame[OPTION_AT + 4 : OPTION_AT + protocol.HBH_BYTES])
        if found.retval == SHOT:
            udp = frame[94:98]
            assert frame[54] == 17, "a packet that is no beacon ended"
            assert udp[2:] == protocol.BEACON_PORT.to_bytes(2, "big"), "a packet that is no beacon ended"
            assert frame[38:54] == HEADEND.packed, "another's beacon ended"
            return "beacon"
        assert (found.retval, found.data) == (UNSPECIFIED, blanked(frame)), "more than the option was changed"
        return "blanked"

    def compare(self) -> None:
        """Every option has been counted under one result."""
        counted = self._steering.stats()
        others = ("no_instance", "not_grown")
        assert sum(count for name, count in counted.items() if name not in others) == self._results, counted


_SERVED = {IPv6Address(address).packed for address in SERVICES}


def _view() -> View:
    candidates = tuple(
        Candidate(instance=n, weight=n, path_delay_us=100 * n, wait_step_us=1000) for n in SIDS
    )
    return View(
        services=tuple(
            Service(address=address, id=code + 1, policy=policy, candidates=candidates, spread_us=50)
            for address, (policy, code) in zip(SERVICES, protocol.POLICIES.items(), strict=True)
        ),
        instances=tuple(
            Reach(instance=n, sid=sid, living=n != 2, via="5f00:0:9:1::" if n == 4 else None)
            for n, sid in SIDS.items()
        ),
        keys=(
            *(
                MetricKey(instance=instance, key_id=key_id, key=key.hex(), source=service_of(instance))
                for (instance, key_id), key in KEYS.items()
            ),
            MetricKey(instance=UNKEYED, key_id=0, source=service_of(UNKEYED)),
        ),
    )
