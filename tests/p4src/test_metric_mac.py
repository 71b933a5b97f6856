"""The MAC of both targets against the reference, on random keys, metrics and destinations."""

from __future__ import annotations

import random
from ipaddress import IPv6Address

from ingress import CLIENT, SERVICE, Ingress, ipv6, option, udp, words

from p4cats.halfsiphash import tag
from p4cats.protocol import metric_message
from p4cats.switch.dataplane import Exact

KEYS_TRIED = 40
METRICS_PER_KEY = 50
KEY_ID = 77


def random_metric(source: random.Random, sequence: int) -> bytes:
    """Option data without its MAC: everything that no test of 3.3 looks at is random."""
    flags = source.randrange(16) & ~1
    head = bytes([0xCA, 0x75, 0x10 | flags, KEY_ID]) + (1).to_bytes(4, "big")
    return head + source.randbytes(16) + sequence.to_bytes(4, "big")


def test_a_right_mac_is_learned_and_any_other_is_forged(ingress: Ingress) -> None:
    source = random.Random(1)
    table, match = "learn_metric.metric_keys", (Exact(1), Exact(KEY_ID))
    prefix = int(CLIENT) & -1 << 64
    sequence = right = wrong = 0
    for _ in range(KEYS_TRIED):
        key = source.randbytes(8)
        ingress.insert(table, match, "learn_metric.authenticate", **words(key), source=SERVICE)
        for _ in range(METRICS_PER_KEY):
            sequence += source.randrange(1, 1 << 20)
            data = random_metric(source, sequence)
            destination = IPv6Address(prefix | source.getrandbits(64))
            mac = tag(key, metric_message(data + bytes(8), destination))
            other = (int.from_bytes(mac, "big") ^ 1 << source.randrange(64)).to_bytes(8, "big")
            ingress.send(ipv6(option(data + other) + udp(), SERVICE, destination, 0))
            ingress.send(ipv6(option(data + mac) + udp(), SERVICE, destination, 0))
            wrong, right = wrong + 1, right + 1
        assert ingress.results() == {"learned": right, "forged": wrong}
        ingress.delete(table, match)
