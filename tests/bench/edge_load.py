"""Table entries and packets for edge.p4 as an ingress forwarder in front of eight instances."""

from __future__ import annotations

from ipaddress import IPv6Address

from scapy.layers.inet import UDP
from scapy.layers.inet6 import IPv6
from scapy.layers.l2 import Ether

from p4cats import protocol
from p4cats.switch.dataplane import ActionCall, Exact, Lpm, TableEntry
from p4cats.topologies import addressing

SERVICE = IPv6Address("2001:db8:ca75::53")
CLIENT_MAC = addressing.host_mac(1)
CLIENT = "2001:db8:1:1::2"
INGRESS = addressing.router_address(1)
MAC = int(addressing.port_mac(1, 1).replace(":", ""), 16)
SECOND_US = 1_000_000


def entries() -> list[tuple[str, TableEntry]]:
    """One service under `least`, an instance behind each of eight egress switches."""
    least = protocol.POLICIES["least"]
    classify = ActionCall(
        "EdgeIngress.classify", (1, least, 1, 1, 8, SECOND_US // 2, SECOND_US // 10, 30 * SECOND_US, 0)
    )
    found = [("EdgeIngress.services", TableEntry((Exact(int(SERVICE)),), 0, classify))]
    for number in range(1, protocol.CANDIDATES + 1):
        key = (Exact(number),)
        selection = f"EdgeIngress.steering.selection.c{number - 1}"
        consider = ActionCall(f"{selection}.consider", (number, 1, 1000 * number, 20_000, 10_000))
        sid = int(addressing.sid(number + 1, protocol.FUNCTION_DX6 + number))
        locator = Lpm(int(addressing.locator(number + 1).network_address), 48)
        steer = ActionCall("EdgeIngress.steering.steer", (int(INGRESS), sid))
        forward = ActionCall("EdgeIngress.forwarding.forward", (2, MAC, MAC, 1600))
        found += [
            (f"{selection}.candidates", TableEntry((Exact(1),), 0, consider)),
            ("EdgeIngress.steering.living", TableEntry(key, 0, ActionCall("NoAction"))),
            ("EdgeIngress.steering.instances", TableEntry(key, 0, steer)),
            ("EdgeIngress.forwarding.routes", TableEntry((locator,), 0, forward)),
        ]
    return found


def packets(flows: int = 1000) -> list[tuple[int, bytes]]:
    """One request of each of `flows` flows, as (port, frame)."""
    network = Ether(src=CLIENT_MAC, dst=addressing.port_mac(1, 1)) / IPv6(src=CLIENT, dst=str(SERVICE))
    return [(1, bytes(network / UDP(sport=20_000 + n, dport=8080) / bytes(64))) for n in range(flows)]
