"""Keys of the metrics' MAC: drawn, given to forwarders, handed to hosts, rotated (docs/protocol.md, 4.1).

A site has one key, and two while it changes them; their ids follow each other. Rotation, a step at a
time, each taken when `advance` finds that it may:

    draw     the next key goes to the ingress forwarders, beside the current one
    offer    all forwarders have it: hosts get it in the answers to their reports
    retire   all hosts say that they use it, or `RETIRE_S` has passed: the old one is removed

Keys are nowhere but in this process, in the forwarders' tables and at the hosts. A restarted controller takes
over what it reads in the forwarders (`adopt`), so that stamps stay valid and no key lies on a disk.
Nothing here reads a clock: callers pass the time.
"""

from __future__ import annotations

import secrets
import struct
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

from p4cats.halfsiphash import KEY_BYTES

LAST_ID = 255
GRACE_S = 1.0
"""An old key stays that long after the new one was offered: for packets under way."""
RETIRE_S = 10.0
"""And no longer than that, whatever hosts say."""


@dataclass(frozen=True)
class Key:
    """A key and its id (1 to 255). Its octets are never shown."""

    id: int
    octets: bytes = field(repr=False)

    @property
    def words(self) -> tuple[int, int]:
        """The key as the data plane takes it: two words, least significant octet first."""
        first, second = struct.unpack("<2I", self.octets)
        return first, second

    @classmethod
    def of_words(cls, number: int, words: tuple[int, int]) -> Key:
        """Return the key that has these words."""
        return cls(number, struct.pack("<2I", *words))


def successor(number: int) -> int:
    """Return the id after an id: 1, 2, … 255, 1; the first for 0, none."""
    return number % LAST_ID + 1


@dataclass
class _Site:
    keys: list[Key] = field(default_factory=list)
    """The current key and, while they change, the next."""
    offered: bool = False
    """Hosts get the last of `keys`."""
    since_s: float = 0.0
    """When the last of `keys` was drawn or, later, offered."""
    used: dict[int, int] = field(default_factory=dict)
    """Key id that each instance says it uses; 0: none yet."""
    had: set[int] = field(default_factory=set)
    """Instances that may have stamped under the last of `keys`."""
    wanted: bool = False
    """A host needs another key than the last one."""


class KeyStore:
    """The keys of all sites. `sites` names the site of every instance."""

    def __init__(self, sites: Mapping[int, str], lifetime_s: float):
        """Keys are changed after `lifetime_s`."""
        self._site_of = dict(sites)
        self._lifetime_s = lifetime_s
        self._sites = {name: _Site() for name in sites.values()}

    def valid(self) -> dict[str, tuple[Key, ...]]:
        """Return the keys that forwarders should hold, by site, oldest first."""
        return {name: tuple(site.keys) for name, site in self._sites.items() if site.keys}

    def used(self, instance: int) -> int | None:
        """Return the id of the key that an instance says it uses; None: none yet, or it says nothing."""
        site = self._sites.get(self._site_of.get(instance, ""))
        return site.used.get(instance) or None if site else None

    def adopt(self, found: Iterable[tuple[int, Key]], now_s: float) -> bool:
        """Take over keys (each with its instance) that a forwarder held; True if any was not known."""
        news = False
        for instance, key in found:
            site = self._sites.get(self._site_of.get(instance, ""))
            if site is None or len(site.keys) > 1 or any(known.id == key.id for known in site.keys):
                continue
            if not site.keys or successor(site.keys[0].id) == key.id:
                site.keys.append(key)
                site.offered, site.since_s = False, now_s
                site.had = set(self._site_of)  # who has stamped under it is not known
            elif successor(key.id) == site.keys[0].id:
                site.keys.insert(0, key)
            else:
                continue
            news = True
        return news

    def report(self, key_ids: Mapping[int, int], fresh: Iterable[int]) -> dict[int, Key]:
        """Take in which keys instances use; return the keys that they are to use from now on.

        `fresh` are instances without a sequence number: they never get a key again that they have had.
        """
        lost = set(fresh)
        answer: dict[int, Key] = {}
        for instance, used in key_ids.items():
            site = self._sites.get(self._site_of.get(instance, ""))
            if site is None:
                continue
            site.used[instance] = used
            if not site.offered:
                continue
            if instance in lost and instance in site.had:
                site.wanted = True
            elif used != site.keys[-1].id or instance in lost:
                site.had.add(instance)
                answer[instance] = site.keys[-1]
        return answer

    def advance(self, now_s: float, holds: Callable[[str, Key], bool], *, complete: bool) -> None:
        """Take the steps that are due; forwarders are to be told where `valid` is another after it.

        `holds` tells whether all forwarders that can be reached hold a key; `complete`, whether all can be:
        else nothing is drawn for its age alone.
        """
        for name, site in self._sites.items():
            if site.keys and not site.offered:
                if holds(name, site.keys[-1]):
                    site.offered, site.since_s = True, now_s
            elif len(site.keys) > 1:
                everybody = all(used == site.keys[-1].id for used in site.used.values())
                if now_s - site.since_s >= (GRACE_S if everybody else RETIRE_S):
                    del site.keys[0]
            elif site.used:
                aged = complete and now_s - site.since_s >= self._lifetime_s
                if not site.keys or site.wanted or aged:
                    self._draw(site)
                    site.since_s = now_s

    @staticmethod
    def _draw(site: _Site) -> None:
        last = site.keys[-1].id if site.keys else max(site.used.values())
        site.keys.append(Key(successor(last), secrets.token_bytes(KEY_BYTES)))
        site.offered, site.wanted, site.had = False, False, set()
