"""Commands, settings and interfaces inside network namespaces (entered as `p4cats.netns` does)."""

from __future__ import annotations

import ctypes
import fcntl
import json
import socket
import struct
import subprocess
import time
from collections.abc import Iterable, Mapping

from p4cats.netns import call_in

UP_TIMEOUT_S = 10.0
_SIOCETHTOOL = 0x8946
_ETHTOOL_SETTERS = {"tx": 0x17, "tso": 0x1F, "gso": 0x24, "gro": 0x2C}
"""ETHTOOL_STXCSUM, ETHTOOL_STSO, ETHTOOL_SGSO, ETHTOOL_SGRO of linux/ethtool.h; one less asks for it."""


class CommandError(Exception):
    """A system command failed; the message is one line with the command and what it said."""


def run(argv: list[str], stdin: str = "") -> None:
    """Run a short command; CommandError with its first line of complaint if it fails."""
    try:
        done = subprocess.run(argv, input=stdin, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        raise CommandError(f"{argv[0]}: not installed") from None
    if done.returncode:
        said = (done.stderr or done.stdout).strip().splitlines() or [f"exit code {done.returncode}"]
        raise CommandError(f"{' '.join(argv)}: {said[0]}")


def wait_until_up(netns: str, interfaces: Iterable[str]) -> None:
    """Wait until interfaces send what they are given; CommandError if one still does not after 10 s.

    A veth that is set up before its peer has the qdisc `noop` until the kernel's worker has noticed
    the carrier, and loses every frame in silence. On a busy machine that takes a while.
    """
    waiting = set(interfaces)
    deadline = time.monotonic() + UP_TIMEOUT_S
    argv = ["ip", "-j", "link", "show"]
    while True:
        links = json.loads(call_in(netns, lambda: subprocess.check_output(argv)))
        ready = {link["ifname"] for link in links if link["operstate"] == "UP" and link["qdisc"] != "noop"}
        waiting -= ready
        if not waiting:
            return
        if time.monotonic() > deadline:
            raise CommandError(f"interfaces do not come up: {', '.join(sorted(waiting))}")
        time.sleep(0.002)


def set_sysctls(values: Mapping[str, int]) -> None:
    """Write settings below net/ of the calling thread's namespace; a kernel without one is left alone.

    Names are paths such as `ipv6/conf/default/accept_ra`.
    """
    for name, value in values.items():
        try:
            with open(f"/proc/sys/net/{name}", "w", encoding="ascii") as file:
                file.write(str(value))
        except FileNotFoundError:
            continue


def set_offloads(interface: str, **settings: bool) -> None:
    """Switch tx (checksum), tso, gso or gro of an interface on or off, as `ethtool -K` would.

    Behind a switch that is no Linux bridge, a frame with an unfinished checksum is a broken frame.
    """
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as control:
        for name, on in settings.items():
            value = ctypes.create_string_buffer(struct.pack("=II", _ETHTOOL_SETTERS[name] - 1, 0))
            request = struct.pack("16sP", interface.encode(), ctypes.addressof(value))
            fcntl.ioctl(control, _SIOCETHTOOL, request)
            # Linux refuses to set what it has itself switched off for XDP, be it to the same.
            if bool(struct.unpack_from("=I", value.raw, 4)[0]) != on:
                ctypes.memmove(value, struct.pack("=II", _ETHTOOL_SETTERS[name], on), 8)
                fcntl.ioctl(control, _SIOCETHTOOL, request)
