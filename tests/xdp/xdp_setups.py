"""Entries that make the shipped programs do everything they can."""

from __future__ import annotations

from typing import Any

from xdp_packets import address

from p4cats.switch.dataplane import ActionCall, Exact, Lpm, TableEntry

SERVICE = address("2001:db8:ca75::53")
SERVICES = [SERVICE + i for i in range(4)]
OWN = address("2001:db8::1")
CLIENT = address("2001:db8:1::10")
HEADEND = OWN
SIDS = [address(f"2001:db8:e{i}::1000") for i in range(8)]
END = address("2001:db8:f::1")
DX6 = address("2001:db8:f::1001")


def route(
    plane: Any, prefix: int, length: int, port: int, *, action: str = "forwarding.forward", mtu: int = 1500
) -> None:
    table, call = _names(plane, "routes", action)
    data = (port, 0x020000AA0000 + port, 0x020000BB0000 + port, mtu)
    plane.insert_entry(table, TableEntry((Lpm(prefix, length),), 0, ActionCall(call, data)))


def _names(plane: Any, table: str, action: str) -> tuple[str, str]:
    found = next(t for t in plane.program.tables if t.name.endswith("." + table) or t.name == table)
    last = action.rpartition(".")[2]
    return found.name, next(r.action.name for r in found.actions if r.action.name.rpartition(".")[2] == last)


def insert(plane: Any, table: str, key: tuple[Any, ...], action: str, data: tuple[int, ...] = ()) -> None:
    name, call = _names(plane, table, action)
    plane.insert_entry(name, TableEntry(key, 0, ActionCall(call, data)))


def routes(plane: Any) -> None:
    """Routes for clients, tunnels and a default that is short of MTU."""
    route(plane, address("2001:db8:1::"), 48, 1, action="deliver")
    route(plane, address("2001:db8:e0::"), 44, 2)
    for i in range(1, 8):
        route(plane, address(f"2001:db8:e{i}::"), 48, 2 + i)
    route(plane, address("2001:db8:e1::"), 64, 20)
    route(plane, address("2001:db8:5::"), 48, 5, mtu=200)
    insert(plane, "local_sids", (Exact(END),), "end")
    insert(plane, "local_sids", (Exact(DX6),), "end_dx6", (7, 0x0200000000AA, 0x0200000000BB))


def edge(plane: Any) -> None:
    """Four services with one policy each, eight instances."""
    routes(plane)
    for policy, service in enumerate(SERVICES):
        data = (policy + 1, policy, 1, 2, 80, 2_000_000, 100_000, 5_000_000, 50)
        insert(plane, "services", (Exact(service),), "classify", data)
    insert(plane, "services", (Exact(OWN),), "own_address")
    insert(plane, "addresses", (Exact(3), Exact(OWN)), "advertise", (0x020000000300,))
    for instance in range(1, 9):
        insert(plane, "living", (Exact(instance),), "NoAction")
        if instance == 3:
            data: tuple[int, ...] = (9, 0x0200000000C1, 0x0200000000C2)
            insert(plane, "instances", (Exact(instance),), "steer_local", data)
        elif instance == 4:
            insert(plane, "instances", (Exact(instance),), "steer_via", (HEADEND, SIDS[5], SIDS[3]))
        else:
            insert(plane, "instances", (Exact(instance),), "steer", (HEADEND, SIDS[instance - 1]))
    for slot in range(8):
        table = next(t.name for t in plane.program.tables if t.name.endswith(f"c{slot}.candidates"))
        action = next(t for t in plane.program.tables if t.name == table).actions[0].action.name
        for service_id in range(1, len(SERVICES) + 1):
            call = ActionCall(action, (slot + 1, 10, 100 * slot, 1000, 50))
            plane.insert_entry(table, TableEntry((Exact(service_id),), 0, call))


def restless(plane: Any) -> None:
    """`edge` without a table entry for any living flow: every packet is placed anew."""
    edge(plane)
    living = next(t for t in plane.tables.values() if t.layout.name.endswith("living"))
    for key, priority in list(living.rows):
        living.delete(key, priority)
