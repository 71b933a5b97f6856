"""The other ends of veth pairs, wherever they are (rtnetlink: IFLA_LINK, IFLA_LINK_NETNSID)."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from pyroute2 import IPRoute
from pyroute2.netlink.exceptions import NetlinkError


@dataclass(frozen=True)
class Peer:
    """A veth's other end; `netns` None: in the same namespace."""

    ifindex: int
    netns: Path | None


def veth_peer(ifindex: int) -> Peer | None:
    """The peer of a veth of the calling thread's namespace.

    None where the interface is no veth; LookupError where its peer is in a namespace that no name or process
    leads to.
    """
    with IPRoute() as route:
        link = route.get_links(ifindex)[0]
        info = link.get_attr("IFLA_LINKINFO")
        if info is None or info.get_attr("IFLA_INFO_KIND") != "veth":
            return None
        peer = link.get_attr("IFLA_LINK")
        if peer is None:
            raise LookupError(f"interface {ifindex}: its peer is not known")
        nsid = link.get_attr("IFLA_LINK_NETNSID")
        if nsid is None:
            return Peer(peer, None)
        for path in _namespaces():
            if _nsid(route, path) == nsid:
                return Peer(peer, path)
    raise LookupError(f"interface {ifindex}: its peer is in a namespace that cannot be entered")


def _nsid(route: IPRoute, path: Path) -> int | None:
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        found = route.get_netnsid(fd=fd)
        return int(found["nsid"]) if found else None
    except (NetlinkError, KeyError, TypeError, OSError):
        return None
    finally:
        os.close(fd)


def _namespaces() -> Iterator[Path]:
    """Every network namespace that can be found, each once."""
    seen: set[int] = set()
    named = Path("/run/netns")
    candidates = sorted(named.iterdir()) if named.is_dir() else []
    for process in Path("/proc").iterdir():
        if process.name.isdigit():
            candidates.append(process / "ns" / "net")
    for path in candidates:
        with contextlib.suppress(OSError):
            number = path.stat().st_ino
            if number not in seen:
                seen.add(number)
                yield path


__all__ = ["Peer", "veth_peer"]
