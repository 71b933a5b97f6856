"""Constants of the wire formats, read from the header that P4 and C include."""

import re
import struct
from importlib import resources
from ipaddress import IPv6Address

_DEFINE = re.compile(r"^#define\s+(CATS_[A-Z0-9_]+)\s+(0[xX][0-9a-fA-F]+|\d+)\s*$", re.M)


def _read() -> dict[str, int]:
    header = resources.files("p4cats.p4src") / "include" / "cats_protocol.h"
    return {name: int(value, 0) for name, value in _DEFINE.findall(header.read_text())}


CONSTANTS = _read()

OPTION_TYPE = CONSTANTS["CATS_OPTION_TYPE"]
OPTION_LENGTH = CONSTANTS["CATS_OPTION_LENGTH"]
HBH_BYTES = CONSTANTS["CATS_HBH_BYTES"]
MAGIC = CONSTANTS["CATS_MAGIC"]
VERSION = CONSTANTS["CATS_VERSION"]
FLAG_DRAINING = CONSTANTS["CATS_FLAG_DRAINING"]
MAC_INPUT_BYTES = CONSTANTS["CATS_MAC_INPUT_BYTES"]
BEACON_PORT = CONSTANTS["CATS_BEACON_PORT"]
INT_PORT = CONSTANTS["CATS_INT_PORT"]
INT_DOMAIN = CONSTANTS["CATS_INT_DOMAIN"]
REPORT_PORT = CONSTANTS["CATS_REPORT_PORT"]
POLICIES = {
    "static": CONSTANTS["CATS_POLICY_STATIC"],
    "hash": CONSTANTS["CATS_POLICY_HASH"],
    "least": CONSTANTS["CATS_POLICY_LEAST"],
    "p2c": CONSTANTS["CATS_POLICY_P2C"],
}
SPREAD_TIME_US = CONSTANTS["CATS_SPREAD_TIME_US"]
SPREAD_WINDOW_US = CONSTANTS["CATS_SPREAD_WINDOW_US"]
SR_BLOCK = CONSTANTS["CATS_SR_BLOCK"]
INSTANCES = CONSTANTS["CATS_INSTANCES"]
CANDIDATES = CONSTANTS["CATS_CANDIDATES"]
FUNCTION_END = CONSTANTS["CATS_FUNCTION_END"]
FUNCTION_DX6 = CONSTANTS["CATS_FUNCTION_DX6"]

OPTION_DATA = struct.Struct("!HBB I BBBB BBH I I I Q")
"""Option data, 36 octets in network byte order: magic, version (4 bits) and flags (4 bits),
key id, instance, scores norm_fi, compute, communication, service, composed (0 to 10),
reserved, requests in flight, expected wait in microseconds, power in milliwatts,
sequence number, message authentication code (zero while the site has no key)."""


def metric_message(option_data: bytes, destination: IPv6Address) -> bytes:
    """Return what the MAC covers: the option data without the MAC, then the packet's destination."""
    return option_data[:-8] + destination.packed
