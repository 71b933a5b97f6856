"""Entries and updates as P4Runtime messages, and a switch's errors as lines that people can read."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from finsy import (
    GRPCStatusCode,
    P4ClientError,
    P4CloneSessionEntry,
    P4Schema,
    P4TableAction,
    P4TableEntry,
    P4TableMatch,
)
from finsy.proto import p4r

from p4cats.controller.difference import Update
from p4cats.controller.entries import CLONE_SESSIONS, SECRET_TABLES, TERNARY_TABLES, Entry, entry

_KINDS = {"INSERT": p4r.Update.INSERT, "MODIFY": p4r.Update.MODIFY, "DELETE": p4r.Update.DELETE}
SHOWN = 5
"""Failed updates that a report names; the others are counted."""


def encode(update: Update, schema: P4Schema) -> p4r.Update:
    """Return an update as a message; ValueError names the table and field that the program lacks."""
    return p4r.Update(type=_KINDS[update.kind], entity=_entity(update, schema))


def _entity(update: Update, schema: P4Schema) -> p4r.Entity:
    item = update.entry
    if item.table == CLONE_SESSIONS:
        session = dict(item.match)["session"]
        assert isinstance(session, int)
        return P4CloneSessionEntry(session, replicas=[item.arg("port")]).encode(schema)
    action = None if update.kind == "DELETE" else P4TableAction(item.action, **dict(item.args))
    priority = 1 if item.table in TERNARY_TABLES else 0
    return P4TableEntry(item.table, match=P4TableMatch(item.match), action=action, priority=priority).encode(
        schema
    )


def decode(entity: p4r.Entity, schema: P4Schema) -> Entry:
    """Return an entry that a switch reported."""
    if entity.HasField("packet_replication_engine_entry"):
        session = P4CloneSessionEntry.decode(entity, schema)
        match session.replicas:
            case [int(port)]:
                pass
            case _:  # not as we write it: it will be written again
                port = 0
        return entry(CLONE_SESSIONS, {"session": session.session_id}, "clone", port=port)
    found = P4TableEntry.decode(entity, schema)
    action = found.action
    if isinstance(action, P4TableAction):
        return entry(found.table_id, found.match or {}, action.name, **action.args)
    return entry(found.table_id, found.match or {}, str(action or ""))


def tables_to_read(tables: Iterable[str], schema: P4Schema) -> list[p4r.Entity]:
    """Return what a read request asks for: all entries of the tables."""
    return [
        (P4CloneSessionEntry() if table == CLONE_SESSIONS else P4TableEntry(table)).encode(schema)
        for table in tables
    ]


def missing(tables: Iterable[str], schema: P4Schema) -> list[str]:
    """Return the tables that the program lacks."""
    return [table for table in tables if table != CLONE_SESSIONS and schema.tables.get(table) is None]


def explain(error: P4ClientError, schema: P4Schema) -> str:
    """Return what a switch found wrong, naming table, match and action of the updates that failed."""
    if not error.details:
        return f"{error.code.name}: {_first_line(error.message)}"
    lines = list(_failures(error, schema))
    more = [f"and {len(lines) - SHOWN} more"] if len(lines) > SHOWN else []
    return "; ".join(lines[:SHOWN] + more)


def _failures(error: P4ClientError, schema: P4Schema) -> Iterator[str]:
    for failed in error.details.values():
        update = failed.subvalue
        what = "update"
        if isinstance(update, p4r.Update) and update.entity.HasField("table_entry"):
            found = P4TableEntry.decode(update.entity, schema)
            what = f"{p4r.Update.Type.Name(update.type)} {found.table_id} {found.match_str(schema)}"
            if found.action is not None and found.table_id not in SECRET_TABLES:
                what += f" {found.action_str(schema)}"
        yield f"{what}: {failed.canonical_code.name}: {_first_line(failed.message)}"


def _first_line(text: str) -> str:
    return text.strip().splitlines()[0] if text.strip() else "no reason given"


def reason(error: P4ClientError, schema: P4Schema) -> str:
    """Return why a connection failed, without the noise of the transport's own message."""
    if error.code == GRPCStatusCode.DEADLINE_EXCEEDED:
        return "does not answer in time"
    if error.code != GRPCStatusCode.UNAVAILABLE:
        return explain(error, schema)
    text = error.message.lower()
    for sign, words in (
        ("connection refused", "cannot be reached: connection refused"),
        ("timed out", "cannot be reached: no answer"),
        ("dns", "cannot be reached: unknown host name"),
        ("unreachable", "cannot be reached: no route to it"),
    ):
        if sign in text:
            return words
    return f"connection lost: {_first_line(error.message)}"
