"""edge.p4 as an access switch with one service of two instances, and the packets that it meets."""

from __future__ import annotations

import struct
from functools import cache
from ipaddress import IPv6Address
from pathlib import Path

from scapy.layers.inet import UDP
from scapy.layers.inet6 import IPv6
from scapy.layers.l2 import Ether

from p4cats import protocol
from p4cats.halfsiphash import tag
from p4cats.switch.dataplane import ActionCall, DataPlane, Exact, Lpm, TableEntry
from p4cats.switch.pipeline import Program
from p4cats.switch.programs import compile_pipeline

ROOT = Path(__file__).parent.parent.parent
SERVICE, CLIENT, SERVER = "2001:db8:ca75::53", "2001:db8:1:1::2", "2001:db8:2:1::2"
HOST_MAC, PORT_MAC = "02:00:00:00:00:01", "02:00:00:00:01:01"
STEERING = "EdgeIngress.steering"
KEY = b"\xa1\xb2\xc3\xd4\xe5\xf6\x17\x28"


def number(text: str) -> int:
    is_mac = len(text) == 17 and text.count(":") == 5
    return int(text.replace(":", ""), 16) if is_mac else int(IPv6Address(text))


@cache
def edge() -> Program:
    """Compiled by its relative path: the tests run in the root of the checkout."""
    return compile_pipeline(Path("p4src/edge.p4"))


def entries(policy: str = "hash") -> list[tuple[str, TableEntry]]:
    classify = ActionCall(
        "EdgeIngress.classify", (1, protocol.POLICIES[policy], 1, 1, 2, 500_000, 100_000, 30_000_000, 0)
    )
    found = [("EdgeIngress.services", TableEntry((Exact(number(SERVICE)),), 0, classify))]
    macs = (number(PORT_MAC), number(HOST_MAC))
    for instance in (1, 2):
        selection = f"{STEERING}.selection.c{instance - 1}"
        consider = ActionCall(f"{selection}.consider", (instance, 1, 1000 * instance, 20_000, 10_000))
        steer = ActionCall(f"{STEERING}.steer", (number("5f00:0:1::1"), number(f"5f00:0:2:100{instance}::")))
        key = ActionCall(
            "EdgeIngress.learn_metric.authenticate", (*struct.unpack("<2I", KEY), number(SERVICE))
        )
        found += [
            ("EdgeIngress.learn_metric.metric_keys", TableEntry((Exact(instance), Exact(1)), 0, key)),
            (f"{selection}.candidates", TableEntry((Exact(1),), 0, consider)),
            (f"{STEERING}.living", TableEntry((Exact(instance),), 0, ActionCall("NoAction"))),
            (f"{STEERING}.instances", TableEntry((Exact(instance),), 0, steer)),
        ]
    forward = ActionCall("EdgeIngress.forwarding.forward", (2, *macs, 1600))
    deliver = ActionCall("EdgeIngress.forwarding.deliver", (1, *macs, 1500))
    routes = "EdgeIngress.forwarding.routes"
    found.append((routes, TableEntry((Lpm(number("5f00:0:2::"), 48),), 0, forward)))
    found.append((routes, TableEntry((Lpm(number("2001:db8:1:1::"), 64),), 0, deliver)))
    return found


def fill(plane: DataPlane, policy: str = "hash") -> None:
    for table, entry in entries(policy):
        plane.insert_entry(table, entry)


def frame(source: str, destination: str, payload: bytes, **udp: int) -> bytes:
    packet = Ether(src=HOST_MAC, dst=PORT_MAC) / IPv6(src=source, dst=destination)
    return bytes(packet / UDP(**udp) / payload)


def request() -> bytes:
    return frame(CLIENT, SERVICE, b"request", sport=40_000, dport=8080)


def response(sequence: int = 7) -> bytes:
    """A response of instance 1 that carries the metric option."""
    plain = frame(SERVICE, CLIENT, b"response", sport=8080, dport=40_000)
    data = protocol.OPTION_DATA.pack(
        protocol.MAGIC, protocol.VERSION << 4, 1, 1, 8, 7, 6, 5, 4, 0, 3, 1500, 42_000, sequence, 0
    )
    data = data[:-8] + tag(KEY, protocol.metric_message(data, IPv6Address(CLIENT)))
    option = bytes([17, protocol.HBH_BYTES // 8 - 1, protocol.OPTION_TYPE, protocol.OPTION_LENGTH]) + data
    length = len(plain) - 14 - 40 + len(option)
    header = plain[14:18] + length.to_bytes(2, "big") + b"\0" + plain[21:54]
    return plain[:14] + header + option + plain[54:]


def unroutable() -> bytes:
    return frame(CLIENT, "2001:db8:ffff::1", b"lost", sport=40_000, dport=9)
