"""Load stamp.bpf.c and attach it to the interfaces of hosts.

One set of maps, pinned, serves every host of this kernel; each host gets its own copy
of the programs, which know their network namespace. See stamp.bpf.c for what they do.
"""

import contextlib
import os
import socket
import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from ipaddress import IPv6Address
from pathlib import Path

from p4cats import netns
from p4cats.ebpf import build
from p4cats.ebpf.errors import ConfigError, LibbpfError
from p4cats.ebpf.libbpf import Map, Object, TcHook
from p4cats.errors import UserError

SHARED_MAPS = (
    *("instances", "keys", "counters", "tcp_sockets", "flows", "path_mtus", "sched", "changes", "stats"),
)
SET = 4
"""P4CATS_SET of host_maps.h."""
PRIORITY = 0xCA75
"""Of our tc filters, so that they are found again and disturb nobody's."""
STEER_PRIORITY = PRIORITY + 1
"""Of those of steer, which sees what stamp has stamped."""


@dataclass(frozen=True)
class Attachment:
    """Where stamp is attached: enough to detach it later, from another process too."""

    netns: str | None
    inode: int
    interface: str
    ifindex: int
    made_qdisc: bool


class Stamp:
    """The programs and maps of one kernel. `close` unpins the maps; detach first."""

    def __init__(self, pin_dir: Path, flows: int = 8192, tcp_connections: int = 131_072) -> None:
        """Make and pin the maps; so many flows and connections have room in them, powers of two."""
        self._pin_dir = pin_dir
        self._flow_sets = flows // SET
        self.tcp_sets = tcp_connections // SET
        self._path = build.compile_bpf(build.sources() / "stamp.bpf.c", [build.protocol_include()])
        self._objects: list[Object] = []
        self._flow_keys = os.urandom(40)
        first = self._load(0)
        self.instances = first.maps["instances"]
        self.keys = first.maps["keys"]
        self.counters = first.maps["counters"]
        self._age = first.programs["age"]
        self.changes = first.maps["changes"]
        self._stats = first.maps["stats"]

    def _load(self, inode: int) -> Object:
        loaded = Object.open(self._path)
        self._objects.append(loaded)
        share(loaded, self._pin_dir, self.tcp_sets)
        if inode:
            loaded.programs["age"].skip()  # one is enough, and it is not attached
        loaded.set_global("netns", inode)
        loaded.set_global("flow_keys", self._flow_keys)
        loaded.set_global("flow_sets", self._flow_sets)
        loaded.maps["flows"].set_max_entries(self._flow_sets)
        loaded.load()
        return loaded

    def key(self, inode: int, address: IPv6Address) -> bytes:
        """Return the key of a service at a host."""
        return service_key(inode, address)

    def attach(
        self,
        namespace: Path | None,
        interface: str,
        made_qdisc: Callable[[int, int], bool] = lambda inode, ifindex: False,
    ) -> Attachment:
        """Attach to both directions of an interface; all or nothing.

        `made_qdisc` tells, by namespace and interface index, whether the clsact qdisc there is ours already.
        """
        inode = netns.inode(namespace)
        programs = self._load(inode).programs
        with netns.entered(namespace):
            try:
                ifindex = socket.if_nametoindex(interface)
            except OSError as error:
                where = namespace or "this network namespace"
                raise ConfigError(f"no interface {interface} in {where}") from error
            made = TcHook(ifindex, "both").create() or made_qdisc(inode, ifindex)
            done = Attachment(str(namespace) if namespace else None, inode, interface, ifindex, made)
            try:
                TcHook(ifindex, "egress").attach(programs["stamp"], priority=PRIORITY)
                TcHook(ifindex, "ingress").attach(programs["requests"], priority=PRIORITY)
            except LibbpfError:
                detach(done)
                raise
        return done

    def give_up_before(self, when_ns: int) -> None:
        """Count datagrams and exchanges no longer as in flight whose flows were silent since before a time.

        In nanoseconds of CLOCK_MONOTONIC.
        """
        self._age.test_run(bytes(14) + struct.pack("=Q", max(0, when_ns)))

    def stats(self) -> dict[str, int]:
        """Return what became of packets, on all hosts, by reason (struct p4cats_stats)."""
        rows = [self._stats.value_layout.decode(v) for v in self._stats.lookup_per_cpu(bytes(4))]
        return {name: sum(int(row[name]) for row in rows) for name in rows[0]}

    def close(self) -> None:
        """Unpin the maps and let go of the programs."""
        unpin(self._pin_dir)
        for loaded in reversed(self._objects):
            loaded.close()
        self._objects.clear()


def service_key(inode: int, address: IPv6Address) -> bytes:
    """Return a struct p4cats_service."""
    return struct.pack("=I16s", inode, address.packed)


def share(loaded: Object, pin_dir: Path, tcp_sets: int) -> None:
    """Let an opened object use the pinned maps, or make and pin them."""
    for name in loaded.maps.keys() & set(SHARED_MAPS):
        loaded.maps[name].set_pin_path(pin_dir / name)
    loaded.maps["tcp_sockets"].set_max_entries(tcp_sets)


def unpin(pin_dir: Path) -> None:
    """Remove our pins, and the directories above that are empty then."""
    for name in SHARED_MAPS:
        (pin_dir / name).unlink(missing_ok=True)
    with contextlib.suppress(OSError):  # not empty, or where the file system is mounted
        for directory in (pin_dir, *pin_dir.parents):
            directory.rmdir()


def detach(attachment: Attachment, priority: int = PRIORITY) -> None:
    """Undo an attachment; nothing to do when the namespace or the interface is gone."""
    with still_there(attachment) as there:
        if not there:
            return
        hooks = [TcHook(attachment.ifindex, point) for point in ("egress", "ingress")]
        for hook in hooks:
            hook.detach(priority=priority)
        shared = any(hook.query(priority=other) for hook in hooks for other in (PRIORITY, STEER_PRIORITY))
        if attachment.made_qdisc and not shared:
            TcHook(attachment.ifindex, "both").destroy()


@contextlib.contextmanager
def still_there(attachment: Attachment) -> Iterator[bool]:
    """Enter the namespace of an attachment; False, outside of it, if that is gone or the interface is."""
    path = Path(attachment.netns) if attachment.netns else None
    try:
        same = netns.inode(path) == attachment.inode
    except UserError:
        same = False
    with netns.entered(path if same else None):
        if same:
            try:
                same = socket.if_nametoindex(attachment.interface) == attachment.ifindex
            except OSError:
                same = False
        yield same


@contextlib.contextmanager
def pinned_map(pin_dir: Path, name: str) -> Iterator[Map | None]:
    """Open a map that an agent left pinned, or None."""
    path = pin_dir / name
    if not path.exists():
        yield None
        return
    found = Map.pinned(path)
    try:
        yield found
    finally:
        found.close()
