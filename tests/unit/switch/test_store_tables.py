"""Rules of table entries: P4Runtime sections 9.1 and 8.3 (canonical codes where a rule is broken)."""

from __future__ import annotations

import pytest
from finsy.proto import p4r
from store_kit import DELETE, INSERT, MODIFY, Kit

from p4cats.switch import dataplane as dp
from p4cats.switch.errors import Code, P4RuntimeError

ROUTE = {1: 7, 2: (0x0A000000, 8)}


@pytest.fixture
def kit() -> Kit:
    return Kit()


# -- insert, modify, delete --------------------------------------------------------------------


def test_inserted_entry_reaches_the_data_plane_and_reads_back_as_written(kit: Kit) -> None:
    entry = kit.entry("routes", ROUTE, kit.action("rewrite", 0xAABBCCDDEEFF, 3), metadata=b"mine")
    entry.controller_metadata = 5
    kit.insert(entry)
    key = (dp.Exact(7), dp.Lpm(0x0A000000, 8))
    call = dp.ActionCall("I.rewrite", (0xAABBCCDDEEFF, 3))
    assert kit.dataplane.entries["I.routes", key, 0] == dp.TableEntry(key, 0, call)
    assert kit.entries(kit.entry("routes")) == [entry]


def test_insert_of_existing_entry_already_exists(kit: Kit) -> None:
    kit.insert(kit.station(1))
    assert kit.code(INSERT, table_entry=kit.station(1, port=2)) == Code.ALREADY_EXISTS


def test_full_table_is_resource_exhausted(kit: Kit) -> None:
    for address in range(4):
        kit.insert(kit.station(address))
    assert kit.code(INSERT, table_entry=kit.station(9)) == Code.RESOURCE_EXHAUSTED


@pytest.mark.parametrize("kind", [MODIFY, DELETE])
def test_update_of_missing_entry_is_not_found(kit: Kit, kind: p4r.Update.Type.ValueType) -> None:
    assert kit.code(kind, table_entry=kit.station(1)) == Code.NOT_FOUND


def test_delete_needs_only_the_key(kit: Kit) -> None:
    kit.insert(kit.station(1))
    kit.delete(kit.entry("stations", {1: 1}))
    assert not kit.dataplane.entries
    assert not kit.entries(kit.entry("stations"))


def test_modify_replaces_action_and_metadata(kit: Kit) -> None:
    kit.insert(kit.station(1))
    new = kit.entry("stations", {1: 1}, kit.action("flood", 9), metadata=b"new")
    kit.modify(new)
    assert kit.entries(kit.entry("stations")) == [new]


def test_modify_without_action_keeps_it(kit: Kit) -> None:
    kit.insert(kit.station(1))
    kit.modify(kit.entry("stations", {1: 1}, metadata=b"new"))
    [entry] = kit.entries(kit.entry("stations"))
    assert entry.action == kit.station(1).action
    assert entry.metadata == b"new"


def test_insert_without_action_is_invalid(kit: Kit) -> None:
    assert kit.code(INSERT, table_entry=kit.entry("stations", {1: 1})) == Code.INVALID_ARGUMENT


def test_refused_insert_changes_nothing(kit: Kit) -> None:
    assert kit.code(INSERT, table_entry=kit.station(1, port=1 << 9)) == Code.OUT_OF_RANGE
    assert not kit.dataplane.entries
    assert kit.code(INSERT, table_entry=kit.station(1)) == Code.OK


def test_table_id_zero_in_a_write_is_invalid_and_unknown_id_not_found(kit: Kit) -> None:
    entry = kit.station(1)
    entry.table_id = 0
    assert kit.code(INSERT, table_entry=entry) == Code.INVALID_ARGUMENT
    entry.table_id = 0x02FFFFFF
    assert kit.code(INSERT, table_entry=entry) == Code.NOT_FOUND


def test_update_without_type_or_entity_is_invalid(kit: Kit) -> None:
    assert kit.code(p4r.Update.UNSPECIFIED, table_entry=kit.station(1)) == Code.INVALID_ARGUMENT
    assert kit.code(INSERT) == Code.INVALID_ARGUMENT


# -- match fields ------------------------------------------------------------------------------


def acl(kit: Kit, match: dict[int, object], priority: int = 10) -> p4r.TableEntry:
    return kit.entry("acl", match, kit.action("drop"), priority=priority)


def test_exact_field_cannot_be_left_out(kit: Kit) -> None:
    entry = kit.entry("routes", {2: (0x0A000000, 8)}, kit.action("drop"))
    assert kit.code(INSERT, table_entry=entry) == Code.INVALID_ARGUMENT


def test_left_out_fields_are_dont_care(kit: Kit) -> None:
    kit.insert(acl(kit, {}))
    [(_, key, priority)] = kit.dataplane.entries
    assert key == (dp.Ternary(0, 0), dp.Range(0, 0xFFFF), dp.Optional(None))
    assert priority == 10
    assert kit.entries(kit.entry("acl")) == [acl(kit, {})]


@pytest.mark.parametrize(
    ("match", "why"),
    [
        ({9: 1}, "unknown field"),
        ({1: 1}, "exact for a ternary field"),
        ({1: ("mask", 0, 0)}, "mask 0"),
        ({1: ("mask", 3, 2)}, "value outside mask"),
        ({2: ("range", 5, 4)}, "low above high"),
        ({2: ("range", 0, 0xFFFF)}, "full range"),
        ({3: (1, 8)}, "lpm for an optional field"),
    ],
)
def test_malformed_match_is_invalid(kit: Kit, match: dict[int, object], why: str) -> None:
    assert kit.code(INSERT, table_entry=acl(kit, match)) == Code.INVALID_ARGUMENT, why


@pytest.mark.parametrize("prefix", [(0, 0), (0x0A000000, 33), (0x0A000001, 8), (0x0A000000, -1)])
def test_malformed_prefix_is_invalid(kit: Kit, prefix: tuple[int, int]) -> None:
    entry = kit.entry("routes", {1: 1, 2: prefix}, kit.action("drop"))
    assert kit.code(INSERT, table_entry=entry) == Code.INVALID_ARGUMENT


def test_field_given_twice_is_invalid(kit: Kit) -> None:
    entry = kit.station(1)
    entry.match.append(entry.match[0])
    assert kit.code(INSERT, table_entry=entry) == Code.INVALID_ARGUMENT


@pytest.mark.parametrize("value", [b"", b"\x01\0\0\0\0\0\0"])
def test_value_that_is_empty_or_too_wide_is_out_of_range(kit: Kit, value: bytes) -> None:
    entry = kit.entry("stations", {1: value}, kit.action("forward", 1))
    assert kit.code(INSERT, table_entry=entry) == Code.OUT_OF_RANGE


def test_padded_values_are_accepted_and_answered_in_canonical_form(kit: Kit) -> None:
    kit.insert(kit.entry("stations", {1: bytes(20) + b"\x01"}, kit.action("forward", b"\0\0\0\x01")))
    assert kit.entries(kit.entry("stations")) == [kit.station(1)]
    assert kit.code(INSERT, table_entry=kit.station(1)) == Code.ALREADY_EXISTS


def test_error_names_table_field_and_value(kit: Kit) -> None:
    with pytest.raises(P4RuntimeError, match=r"table I\.acl, field src: 0x3 has bits set outside mask 0x2"):
        kit.insert(acl(kit, {1: ("mask", 3, 2)}))


# -- priority ----------------------------------------------------------------------------------


def test_priority_is_needed_where_keys_can_overlap_and_forbidden_elsewhere(kit: Kit) -> None:
    assert kit.code(INSERT, table_entry=acl(kit, {3: 6}, priority=0)) == Code.INVALID_ARGUMENT
    assert kit.code(INSERT, table_entry=acl(kit, {3: 6}, priority=-1)) == Code.INVALID_ARGUMENT
    station = kit.station(1)
    station.priority = 1
    assert kit.code(INSERT, table_entry=station) == Code.INVALID_ARGUMENT


def test_same_match_with_another_priority_is_another_entry(kit: Kit) -> None:
    kit.insert(acl(kit, {3: 6}, priority=1))
    kit.insert(acl(kit, {3: 6}, priority=2))
    assert len(kit.entries(kit.entry("acl"))) == 2


# -- actions -----------------------------------------------------------------------------------


def test_action_that_the_table_does_not_list_is_invalid(kit: Kit) -> None:
    entry = kit.entry("stations", {1: 1}, kit.action("rewrite", 1, 2))
    assert kit.code(INSERT, table_entry=entry) == Code.INVALID_ARGUMENT


@pytest.mark.parametrize("params", [[], [(1, 1), (1, 1)], [(2, 1)], [(1, 1), (2, 1)]])
def test_every_parameter_is_given_exactly_once(kit: Kit, params: list[tuple[int, int]]) -> None:
    entry = kit.entry("stations", {1: 1})
    entry.action.action.action_id = kit.id("forward")
    for id_, value in params:
        entry.action.action.params.add(param_id=id_, value=bytes([value]))
    assert kit.code(INSERT, table_entry=entry) == Code.INVALID_ARGUMENT


def test_default_only_action_in_an_entry_is_denied(kit: Kit) -> None:
    entry = kit.entry("stations", {1: 1}, kit.action("drop"))
    assert kit.code(INSERT, table_entry=entry) == Code.PERMISSION_DENIED


def test_table_only_action_as_default_is_denied(kit: Kit) -> None:
    entry = kit.entry("stations", action=kit.action("to_controller"), is_default_action=True)
    assert kit.code(MODIFY, table_entry=entry) == Code.PERMISSION_DENIED


def test_member_in_a_direct_table_is_invalid(kit: Kit) -> None:
    entry = kit.entry("stations", {1: 1})
    entry.action.action_profile_member_id = 1
    assert kit.code(INSERT, table_entry=entry) == Code.INVALID_ARGUMENT


def test_action_in_an_indirect_table_is_invalid(kit: Kit) -> None:
    entry = kit.entry("profiled", {1: 1}, kit.action("set_class", 1))
    assert kit.code(INSERT, table_entry=entry) == Code.INVALID_ARGUMENT


# -- default entries ---------------------------------------------------------------------------


def default(kit: Kit, table: str, action: p4r.Action | None = None, **fields: object) -> p4r.TableEntry:
    return kit.entry(table, action=action, is_default_action=True, **fields)


@pytest.mark.parametrize("kind", [INSERT, DELETE])
def test_default_entry_can_only_be_modified(kit: Kit, kind: p4r.Update.Type.ValueType) -> None:
    assert kit.code(kind, table_entry=default(kit, "stations")) == Code.INVALID_ARGUMENT


def test_default_entry_takes_no_match_priority_or_idle_timeout(kit: Kit) -> None:
    drop = kit.action("drop")
    with_match = kit.station(1)
    with_match.is_default_action = True
    assert kit.code(MODIFY, table_entry=with_match) == Code.INVALID_ARGUMENT
    assert kit.code(MODIFY, table_entry=default(kit, "routes", drop, priority=1)) == Code.INVALID_ARGUMENT
    idle = default(kit, "learned", kit.action("NoAction"), idle_timeout_ns=1)
    assert kit.code(MODIFY, table_entry=idle) == Code.INVALID_ARGUMENT


def test_modified_default_reads_back_and_resets_without_action(kit: Kit) -> None:
    changed = default(kit, "stations", kit.action("flood", 3), metadata=b"m")
    kit.modify(changed)
    assert kit.dataplane.defaults["I.stations"] == dp.ActionCall("I.flood", (3,))
    assert kit.entries(default(kit, "stations")) == [changed]
    kit.modify(default(kit, "stations"))
    assert kit.dataplane.defaults["I.stations"] is None
    assert kit.entries(default(kit, "stations")) == [default(kit, "stations", kit.action("drop"))]


def test_default_entry_written_without_meter_is_green_again() -> None:
    kit = Kit()
    entry = kit.entry("acl", is_default_action=True, meter_config=p4r.MeterConfig(cir=1, pir=2))
    kit.modify(entry)
    assert kit.dataplane.direct_meters["I.acl", None, 0] is not None
    kit.modify(kit.entry("acl", is_default_action=True))
    assert kit.dataplane.direct_meters["I.acl", None, 0] is None
    assert not kit.entries(entry)[0].HasField("meter_config")


def test_const_default_action_cannot_be_changed(kit: Kit) -> None:
    assert kit.code(MODIFY, table_entry=default(kit, "acl", kit.action("drop"))) == Code.PERMISSION_DENIED


def test_default_of_an_indirect_table_cannot_be_changed(kit: Kit) -> None:
    entry = default(kit, "profiled", kit.action("NoAction"))
    assert kit.code(MODIFY, table_entry=entry) == Code.PERMISSION_DENIED


def test_table_without_key_has_only_its_default_entry(kit: Kit) -> None:
    entry = kit.entry("always", action=kit.action("flood", 1))
    assert kit.code(INSERT, table_entry=entry) == Code.INVALID_ARGUMENT
    assert kit.code(MODIFY, table_entry=default(kit, "always", kit.action("flood", 1))) == Code.OK


# -- const tables and entries of the program ---------------------------------------------------


def test_entries_of_the_program_read_back_as_const_with_falling_priorities(kit: Kit) -> None:
    entries = kit.entries(kit.entry("classes"))
    assert [(e.priority, e.is_const) for e in entries] == [(2, True), (1, True)]
    assert entries[0].match[0].ternary == p4r.FieldMatch.Ternary(value=b"\x2c", mask=b"\xfc")
    assert not entries[1].match


def test_const_table_takes_no_entries_and_loses_none(kit: Kit) -> None:
    entry = kit.entry("classes", {1: ("mask", 1, 1)}, kit.action("set_class", 1), priority=5)
    assert kit.code(INSERT, table_entry=entry) == Code.PERMISSION_DENIED
    [first, _] = kit.entries(kit.entry("classes"))
    first.is_const = False
    assert kit.code(MODIFY, table_entry=first) == Code.PERMISSION_DENIED
    assert kit.code(DELETE, table_entry=first) == Code.PERMISSION_DENIED


def test_is_const_in_a_write_is_invalid(kit: Kit) -> None:
    entry = kit.station(1)
    entry.is_const = True
    assert kit.code(INSERT, table_entry=entry) == Code.INVALID_ARGUMENT


def test_const_entry_of_a_preset_table_stays_and_the_others_can_go(kit: Kit) -> None:
    assert [e.is_const for e in kit.entries(kit.entry("presets"))] == [True, False]
    assert kit.code(DELETE, table_entry=kit.entry("presets", {1: 1})) == Code.PERMISSION_DENIED
    key = (dp.Exact(2),)
    kit.dataplane.entries["I.presets", key, 0] = dp.TableEntry(key, 0, dp.ActionCall("NoAction"))
    assert kit.code(DELETE, table_entry=kit.entry("presets", {1: 2})) == Code.OK


# -- idle timeout ------------------------------------------------------------------------------


def test_idle_timeout_needs_support_by_the_table(kit: Kit) -> None:
    station = kit.station(1)
    station.idle_timeout_ns = 5
    assert kit.code(INSERT, table_entry=station) == Code.INVALID_ARGUMENT
    kit.insert(kit.entry("learned", {1: 1}, kit.action("NoAction"), idle_timeout_ns=5))
    assert kit.entries(kit.entry("learned"))[0].idle_timeout_ns == 5


def test_time_since_last_hit_is_read_on_request_only_and_never_written(kit: Kit) -> None:
    entry = kit.entry("learned", {1: 1}, kit.action("NoAction"), idle_timeout_ns=5)
    kit.insert(entry)
    assert not kit.entries(kit.entry("learned"))[0].HasField("time_since_last_hit")
    request = kit.entry("learned")
    request.time_since_last_hit.SetInParent()
    assert kit.entries(request)[0].time_since_last_hit.elapsed_ns == 7
    entry.time_since_last_hit.SetInParent()
    assert kit.code(MODIFY, table_entry=entry) == Code.INVALID_ARGUMENT
    other = kit.entry("stations")
    other.time_since_last_hit.SetInParent()
    assert kit.read_code(table_entry=other) == Code.INVALID_ARGUMENT


def test_idle_notification_shows_key_and_metadata_without_action(kit: Kit) -> None:
    kit.insert(kit.entry("learned", {1: 1}, kit.action("NoAction"), idle_timeout_ns=5, metadata=b"m"))
    gone = (dp.Exact(9),)
    shown = kit.store.idle("I.learned", [((dp.Exact(1),), 0), (gone, 0)])
    assert shown == [kit.entry("learned", {1: 1}, idle_timeout_ns=5, metadata=b"m")]


# -- direct resources --------------------------------------------------------------------------


def test_direct_counter_is_read_on_request_and_kept_by_modify(kit: Kit) -> None:
    entry = kit.entry("routes", ROUTE, kit.action("drop"))
    entry.counter_data.packet_count = 4
    kit.insert(entry)
    assert not kit.entries(kit.entry("routes"))[0].HasField("counter_data")
    request = kit.entry("routes")
    request.counter_data.SetInParent()
    assert kit.entries(request)[0].counter_data.packet_count == 4
    kit.modify(kit.entry("routes", ROUTE, kit.action("forward", 1)))
    assert kit.entries(request)[0].counter_data.packet_count == 4


def test_counter_or_meter_where_the_table_has_none_is_invalid(kit: Kit) -> None:
    entry = kit.station(1)
    entry.counter_data.packet_count = 1
    assert kit.code(INSERT, table_entry=entry) == Code.INVALID_ARGUMENT
    entry = kit.station(1)
    entry.meter_config.cir = 1
    assert kit.code(INSERT, table_entry=entry) == Code.INVALID_ARGUMENT


def test_direct_meter_is_default_unless_configured(kit: Kit) -> None:
    entry = acl(kit, {3: 6})
    entry.meter_config.cir = entry.meter_config.pir = 10
    kit.insert(entry)
    request = kit.entry("acl")
    request.meter_config.SetInParent()
    assert kit.entries(request) == [entry]
    kit.modify(acl(kit, {3: 6}))
    assert not kit.entries(request)[0].HasField("meter_config")
    assert list(kit.dataplane.direct_meters.values()) == [None]


def test_meter_counter_data_can_only_be_written_as_zeros(kit: Kit) -> None:
    entry = acl(kit, {3: 6})
    entry.meter_counter_data.green.packet_count = 1
    assert kit.code(INSERT, table_entry=entry) == Code.INVALID_ARGUMENT
    entry.meter_counter_data.green.packet_count = 0
    assert kit.code(INSERT, table_entry=entry) == Code.OK


# -- reads -------------------------------------------------------------------------------------


def test_table_id_zero_reads_all_entries_but_no_defaults(kit: Kit) -> None:
    kit.insert(kit.station(1))
    found = kit.entries(p4r.TableEntry())
    assert len(found) == 1 + 2 + 2
    assert not any(e.is_default_action for e in found)


def test_read_of_one_entry_by_its_match(kit: Kit) -> None:
    kit.insert(kit.station(1))
    kit.insert(kit.station(2))
    assert kit.entries(kit.entry("stations", {1: 2})) == [kit.station(2)]
    assert kit.entries(kit.entry("stations", {1: 3})) == []


def test_read_filters_by_priority_action_and_metadata(kit: Kit) -> None:
    kit.insert(acl(kit, {3: 6}, priority=1))
    kit.insert(acl(kit, {3: 17}, priority=2))
    marked = kit.entry("acl", {3: 6}, kit.action("mark"), priority=3, metadata=b"m")
    kit.insert(marked)
    assert [e.priority for e in kit.entries(kit.entry("acl", priority=2))] == [2]
    assert [e.priority for e in kit.entries(kit.entry("acl", {3: 6}))] == [1, 3]
    assert kit.entries(kit.entry("acl", action=kit.action("mark"))) == [marked]
    assert kit.entries(kit.entry("acl", metadata=b"m")) == [marked]
    assert kit.entries(kit.entry("acl", controller_metadata=8)) == []


def test_read_of_an_unknown_table_is_not_found(kit: Kit) -> None:
    assert kit.read_code(table_entry=p4r.TableEntry(table_id=0x02FFFFFF)) == Code.NOT_FOUND


# -- translated types --------------------------------------------------------------------------


def test_translated_width_is_the_controllers(kit: Kit) -> None:
    entry = kit.entry("routes", {1: 0x10000, 2: (0x0A000000, 8)}, kit.action("drop"))
    assert kit.code(INSERT, table_entry=entry) == Code.OUT_OF_RANGE


def test_translated_strings_get_numbers_and_read_back(kit: Kit) -> None:
    entry = kit.entry("presets", {1: 5}, kit.action("set_port", b"eth0"))
    kit.insert(entry)
    assert entry in kit.entries(kit.entry("presets"))
    [call] = [e.target for (t, *_), e in kit.dataplane.entries.items() if t == "I.presets"]
    assert isinstance(call, dp.ActionCall)
    assert call.data == (0,)


def test_strings_never_get_numbers_that_the_program_uses(kit: Kit) -> None:
    """Section 18: the program's own entry with port 1 is another port than any that a controller names."""
    names = [f"eth{n}".encode() for n in range(3)]
    for n, name in enumerate(names):
        kit.insert(kit.entry("presets", {1: 5 + n}, kit.action("set_port", name)))
    numbers = [
        e.target.data[0]
        for e in kit.dataplane.entries.values()
        if isinstance(e.target, dp.ActionCall) and e.target.action == "I.set_port"
    ]
    assert numbers == [0, 2, 3]
    [preset] = [e for e in kit.entries(kit.entry("presets")) if e.is_const]
    assert preset.action.action.params[0].value == b"1"
    kit.insert(kit.entry("presets", {1: 9}, kit.action("set_port", b"1")))
    key = (dp.Exact(9),)
    assert kit.dataplane.entries["I.presets", key, 0].target == dp.ActionCall("I.set_port", (1,))
