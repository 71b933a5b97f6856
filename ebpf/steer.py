"""Load steer.bpf.c at the interface of a host that asks, and keep what it chooses from up to date.

Each host has maps of its own, pinned in a folder of its own: flows and loads outlive an agent that is
killed, and its programs go on until the next agent takes over. See steer.bpf.c for what they do.
"""

from __future__ import annotations

import contextlib
import errno
import socket
import struct
import time
import zlib
from collections.abc import Callable
from ipaddress import IPv6Address
from pathlib import Path
from typing import Any

from pyroute2 import IPRoute
from pyroute2.netlink.exceptions import NetlinkError

from p4cats import netns
from p4cats.ebpf import build, stamp
from p4cats.ebpf.btf import Layout
from p4cats.ebpf.errors import ConfigError, LibbpfError
from p4cats.ebpf.libbpf import Map, Object, TcHook
from p4cats.ebpf.stamp import STEER_PRIORITY, Attachment
from p4cats.ebpf.view import MetricKey, Reach, Service, View
from p4cats.errors import UserError
from p4cats.protocol import POLICIES

MAPS = ("services", "instances", "metric_keys", "loads", "flows", "service_flows", "counts", "stats")
"""Pinned, one set for each host."""
TOLD = ("metric_keys", "instances", "services")
"""Those that user space fills, in the order of additions: a candidate can be reached from the first on."""
OVERHEAD_BYTES = 64
"""Of the outer header with a segment routing header (RFC 8986, 5.2)."""
UNKNOWN_US = 0xFFFFFFFF
MIN_MTU = 1280 + OVERHEAD_BYTES
ROUTE_PROTOCOL = 0xCA
"""By which our routes are told from others (rtm_protocol; 128 to 255 are free for such use)."""
ROUTE_METRIC = 1
"""They are preferred to any other that leads to a service."""


class Steering:
    """The programs and maps of one host that steers; `headend` is its address.

    All that a killed agent left of them is taken over. `close` removes them, and the routes.
    """

    def __init__(self, namespace: Path | None, interface: str, headend: IPv6Address, pin_dir: Path) -> None:
        self._namespace = namespace
        self._interface = interface
        self._inode = netns.inode(namespace)
        self.pins = pin_dir / f"steer-{self._inode}-{interface}"
        self.attachment: Attachment | None = None
        self.revision = ""
        """Of what the controller told, and holds; "": nothing yet."""
        self.complaint = ""
        """Why what it told last cannot be used."""
        self._object: Object | None = None
        self._maps: dict[str, Map] = {}
        self._held: dict[str, dict[bytes, bytes]] = {}
        self._addresses: tuple[IPv6Address, ...] = ()
        self._refused = 0
        self.load(headend)

    def load(self, headend: IPv6Address) -> None:
        """Load the programs, anew for another address: the maps stay. ConfigError if it is not the host's."""
        self.check(self._namespace, headend)
        self.headend = headend
        try:
            loaded = self._open()
        except LibbpfError as error:
            if error.errno != errno.EINVAL or not self.pins.exists():
                raise
            unpin(self.pins)  # of another version: other sizes
            loaded = self._open()
        if self._object is not None:
            self._object.close()
        self._object, self._maps = loaded, {name: loaded.maps[name] for name in MAPS}
        self._candidate = loaded.btf.layout(loaded.btf.find("steer_candidate"))
        self._held = {name: dict(self._maps[name].items()) for name in TOLD}

    def _open(self) -> Object:
        path = build.compile_bpf(build.sources() / "steer.bpf.c", [build.protocol_include()])
        self.pins.mkdir(parents=True, exist_ok=True)
        loaded = Object.open(path)
        try:
            for name in MAPS:
                loaded.maps[name].set_pin_path(self.pins / name)
            loaded.set_global("headend", self.headend.packed)
            loaded.set_global("crc_table", _crc_table())
            loaded.load()
        except BaseException:
            loaded.close()
            raise
        return loaded

    @staticmethod
    def check(namespace: Path | None, headend: IPv6Address) -> None:
        """Raise ConfigError if a host has no such address."""
        where = namespace or "this network namespace"
        with netns.entered(namespace), socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as probe:
            try:
                probe.bind((str(headend), 0))
            except OSError as error:
                raise ConfigError(f"steer: {headend} is not an address of {where}") from error

    def attach(self, made_qdisc: Callable[[int, int], bool]) -> Attachment:
        """Attach to both directions, in the place of what a killed agent left there.

        `made_qdisc` tells, by namespace and interface index, whether the clsact qdisc there is ours already.
        """
        assert self._object is not None
        with netns.entered(self._namespace):
            try:
                ifindex = socket.if_nametoindex(self._interface)
            except OSError as error:
                where = self._namespace or "this network namespace"
                raise ConfigError(f"no interface {self._interface} in {where}") from error
            made = TcHook(ifindex, "both").create() or made_qdisc(self._inode, ifindex)
            path = str(self._namespace) if self._namespace else None
            self.attachment = Attachment(path, self._inode, self._interface, ifindex, made)
            for point, name in (("ingress", "metrics"), ("egress", "steer")):
                program = self._object.programs[name]
                TcHook(ifindex, point).attach(program, priority=STEER_PRIORITY, replace=True)
        self._set_routes()
        return self.attachment

    def apply(self, view: View) -> int:
        """Let the programs choose from this from now on; return how many entries were written or removed.

        Only what differs is written; an entry is replaced whole.
        """
        wanted = {
            "metric_keys": dict(self._key(item) for item in view.keys),
            "instances": dict(self._instance(item) for item in view.instances),
            "services": dict(self._service(item) for item in view.services),
        }
        changes = 0
        for name in TOLD:
            for key, value in wanted[name].items():
                if self._held[name].get(key) != value:
                    self._maps[name].update(key, value)
                    self._held[name][key] = value
                    changes += 1
        for name in reversed(TOLD):
            for key in self._held[name].keys() - wanted[name].keys():
                self._maps[name].delete(key)
                del self._held[name][key]
                changes += 1
        addresses = tuple(item.address for item in view.services)
        if addresses != self._addresses:
            self._addresses = addresses
            self._set_routes()
        return changes

    def _key(self, item: MetricKey) -> tuple[bytes, bytes]:
        key = self._maps["metric_keys"].key_layout.encode({"instance": item.instance, "key_id": item.key_id})
        fields: dict[str, int | bytes] = {"key": item.value.octets, "source": item.source.packed}
        return key, self._maps["metric_keys"].value_layout.encode(fields)

    def _instance(self, item: Reach) -> tuple[bytes, bytes]:
        fields: dict[str, int | bytes] = {"sid": item.sid.packed, "living": int(item.living)}
        if item.via is not None:
            fields |= {"via": item.via.packed, "has_via": 1}
        return _number(item.instance), self._maps["instances"].value_layout.encode(fields)

    def _service(self, item: Service) -> tuple[bytes, bytes]:
        fields = item.model_dump(exclude={"address", "policy", "candidates"})
        fields["policy"] = POLICIES[item.policy]
        fields["total_weight"] = sum(c.weight for c in item.candidates)
        fields["candidates"] = len(item.candidates)
        listed = b"".join(self._candidate.encode(c.model_dump()) for c in item.candidates)
        layout = self._maps["services"].value_layout
        fields["candidate"] = listed.ljust(_size(layout, "candidate"), b"\0")
        return item.address.packed, layout.encode(fields)

    def _set_routes(self) -> None:
        """Give each service a route whose MTU leaves room for the outer header; remove those of others."""
        if self.attachment is None:
            return
        index, wanted = self.attachment.ifindex, {str(address) for address in self._addresses}
        with netns.entered(self._namespace), IPRoute() as routes:
            mtu = int(routes.get_links(index)[0].get_attr("IFLA_MTU"))
            if mtu < MIN_MTU:
                raise ConfigError(
                    f"steer: the MTU of {self._interface} is {mtu}: {MIN_MTU} are needed for IPv6 in a tunnel"
                )
            for route in _ours(routes, index):
                if route.get_attr("RTA_DST") not in wanted:
                    _delete(routes, route)
            for address in sorted(wanted):
                _route(routes, address, index, str(self.headend), mtu - OVERHEAD_BYTES)

    def look(self) -> None:
        """Set the routes again if packets have become too large: a link that was down has lost them."""
        refused = self.stats()["not_grown"]
        if refused != self._refused:
            self._refused = refused
            with contextlib.suppress(UserError):  # the count says enough
                self._set_routes()

    def stats(self) -> dict[str, int]:
        """Return what became of packets and options, by reason (struct steer_stats)."""
        return _sums(self._maps["stats"], 0)

    def counts(self) -> dict[int, dict[str, int]]:
        """Return packets steered to each instance that is known, and flows placed there."""
        numbers = (struct.unpack("=I", key)[0] for key in self._held["instances"])
        return {number: _sums(self._maps["counts"], number) for number in sorted(numbers)}

    def loads(self) -> dict[int, dict[str, int | None]]:
        """Return wait and age (microseconds) of the load of each instance that is known; None: unknown."""
        return {struct.unpack("=I", key)[0]: self._load(key) for key in sorted(self._held["instances"])}

    def _load(self, number: bytes) -> dict[str, int | None]:
        raw = self._maps["loads"].lookup(number)
        row = self._maps["loads"].value_layout.decode(raw) if raw else {"wait_us": 0, "learned_us": 0}
        if not row["learned_us"]:
            return {"wait_us": None, "age_us": None}
        age_us = max(0, time.monotonic_ns() // 1000 - int(row["learned_us"]))
        return {"wait_us": None if row["wait_us"] == UNKNOWN_US else int(row["wait_us"]), "age_us": age_us}

    def release(self) -> None:
        """Let go of programs and maps; what is attached and pinned goes on."""
        if self._object is not None:
            self._object.close()
            self._object = None

    def close(self) -> None:
        """Detach, unpin, remove the routes."""
        if self.attachment is not None:
            remove(self.attachment, self.pins)
            self.attachment = None
        else:
            unpin(self.pins)
        self.release()


def remove(attachment: Attachment, pins: Path) -> None:
    """Undo the work of a `Steering`, also of a killed agent's."""
    stamp.detach(attachment, STEER_PRIORITY)
    unpin(pins)
    with stamp.still_there(attachment) as there:
        if there:
            with IPRoute() as routes:
                for route in _ours(routes, attachment.ifindex):
                    _delete(routes, route)


def unpin(pins: Path) -> None:
    """Remove a host's pins and their folder."""
    for name in MAPS:
        (pins / name).unlink(missing_ok=True)
    with contextlib.suppress(OSError):
        pins.rmdir()


def _route(routes: IPRoute, address: str, index: int, headend: str, mtu: int) -> None:
    """Send a service's packets where they would go anyway, in packets of at most `mtu` octets."""
    try:
        [found] = routes.route("get", dst=address, oif=index)
        where = {"oif": index, "prefsrc": headend, "metrics": {"mtu": mtu}, "proto": ROUTE_PROTOCOL}
        where["priority"] = ROUTE_METRIC
        gateway = found.get_attr("RTA_GATEWAY")
        if gateway:
            where["gateway"] = gateway
        routes.route("replace", family=socket.AF_INET6, dst=f"{address}/128", **where)
    except NetlinkError as error:
        raise ConfigError(f"steer: no route to {address}: give the host a default route") from error


def _ours(routes: IPRoute, index: int) -> list[Any]:
    found = routes.get_routes(family=socket.AF_INET6, proto=ROUTE_PROTOCOL)
    return [route for route in found if route.get_attr("RTA_OIF") == index]


def _delete(routes: IPRoute, route: Any) -> None:
    where = {"dst": f"{route.get_attr('RTA_DST')}/128", "oif": route.get_attr("RTA_OIF")}
    where["priority"] = ROUTE_METRIC
    with contextlib.suppress(NetlinkError):  # gone meanwhile
        routes.route("del", family=socket.AF_INET6, proto=ROUTE_PROTOCOL, **where)


def _crc_table() -> bytes:
    """Return what CRC-32 makes of each octet alone, and with one to three zeros behind it."""
    inverted = 0xFFFFFFFF  # zlib inverts before and after; the table's rows begin from zero
    rows = ([zlib.crc32(bytes([i]) + bytes(n), inverted) ^ inverted for i in range(256)] for n in range(4))
    return b"".join(struct.pack("=256I", *row) for row in rows)


def _number(instance: int) -> bytes:
    return struct.pack("=I", instance)


def _size(layout: Layout, name: str) -> int:
    return next(f.size for f in layout.fields if f.name == name)


def _sums(per_cpu: Map, number: int) -> dict[str, int]:
    rows = [per_cpu.value_layout.decode(value) for value in per_cpu.lookup_per_cpu(_number(number))]
    return {name: sum(int(row[name]) for row in rows) for name in rows[0]}
