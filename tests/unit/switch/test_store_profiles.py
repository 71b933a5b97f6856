"""Action profiles and selectors: P4Runtime section 9.2."""

from __future__ import annotations

import pytest
from finsy.proto import p4r
from store_kit import DELETE, INSERT, MODIFY, Kit

from p4cats.switch import dataplane as dp
from p4cats.switch.errors import Code


@pytest.fixture
def kit() -> Kit:
    return Kit()


def member(kit: Kit, id_: int, port: int = 1, profile: str = "ways") -> p4r.ActionProfileMember:
    action = kit.action("forward", port) if profile == "ways" else kit.action("set_class", port)
    return p4r.ActionProfileMember(action_profile_id=kit.id(profile), member_id=id_, action=action)


def group(kit: Kit, id_: int, *members: tuple[int, int], max_size: int = 4) -> p4r.ActionProfileGroup:
    message = p4r.ActionProfileGroup(action_profile_id=kit.id("ways"), group_id=id_, max_size=max_size)
    for member_id, weight in members:
        message.members.add(member_id=member_id, weight=weight)
    return message


def balanced(kit: Kit, **action: object) -> p4r.TableEntry:
    entry = kit.entry("balanced", {1: (0x0A000000, 8)})
    entry.action.CopyFrom(p4r.TableAction(**action))
    return entry


def one_shot(kit: Kit, *actions: tuple[int, int]) -> p4r.ActionProfileActionSet:
    message = p4r.ActionProfileActionSet()
    for port, weight in actions:
        message.action_profile_actions.add(action=kit.action("forward", port), weight=weight)
    return message


@pytest.fixture
def with_members(kit: Kit) -> Kit:
    for id_ in (1, 2, 3):
        kit.write(INSERT, action_profile_member=member(kit, id_, port=id_))
    return kit


# -- members -----------------------------------------------------------------------------------


def test_member_reads_back_and_changes_by_modify(kit: Kit) -> None:
    kit.write(INSERT, action_profile_member=member(kit, 1))
    kit.write(MODIFY, action_profile_member=member(kit, 1, port=2))
    wanted = p4r.ActionProfileMember(action_profile_id=kit.id("ways"))
    assert [e.action_profile_member for e in kit.read(action_profile_member=wanted)] == [
        member(kit, 1, port=2)
    ]
    assert kit.dataplane.members["I.ways", 1] == dp.ActionCall("I.forward", (2,))


def test_member_errors_have_their_codes(kit: Kit) -> None:
    kit.write(INSERT, action_profile_member=member(kit, 1))
    assert kit.code(INSERT, action_profile_member=member(kit, 1)) == Code.ALREADY_EXISTS
    assert kit.code(INSERT, action_profile_member=member(kit, 0)) == Code.INVALID_ARGUMENT
    assert kit.code(MODIFY, action_profile_member=member(kit, 2)) == Code.NOT_FOUND
    assert kit.code(DELETE, action_profile_member=member(kit, 2)) == Code.NOT_FOUND
    without = member(kit, 3)
    without.ClearField("action")
    assert kit.code(INSERT, action_profile_member=without) == Code.INVALID_ARGUMENT


def test_full_profile_is_resource_exhausted(kit: Kit) -> None:
    for id_ in range(1, 9):
        kit.write(INSERT, action_profile_member=member(kit, id_, profile="shared"))
    assert kit.code(INSERT, action_profile_member=member(kit, 9, profile="shared")) == Code.RESOURCE_EXHAUSTED


def test_member_in_use_cannot_be_deleted(with_members: Kit) -> None:
    kit = with_members
    kit.write(INSERT, action_profile_group=group(kit, 1, (1, 1)))
    kit.insert(balanced(kit, action_profile_member_id=2))
    for id_, code in ((1, Code.FAILED_PRECONDITION), (2, Code.FAILED_PRECONDITION), (3, Code.OK)):
        assert kit.code(DELETE, action_profile_member=member(kit, id_)) == code
    kit.delete(balanced(kit))
    assert kit.code(DELETE, action_profile_member=member(kit, 2)) == Code.OK
    kit.write(DELETE, action_profile_group=group(kit, 1))
    assert kit.code(DELETE, action_profile_member=member(kit, 1)) == Code.OK


# -- groups ------------------------------------------------------------------------------------


def test_group_spreads_its_members_by_weight_and_reads_back(with_members: Kit) -> None:
    kit = with_members
    kit.write(INSERT, action_profile_group=group(kit, 7, (1, 3), (2, 1)))
    assert kit.dataplane.groups["I.ways", 7] == [1, 1, 1, 2]
    request = p4r.ActionProfileGroup()
    assert [e.action_profile_group for e in kit.read(action_profile_group=request)] == [
        group(kit, 7, (1, 3), (2, 1))
    ]


@pytest.mark.parametrize(
    ("members", "max_size", "code"),
    [
        (((9, 1),), 4, Code.NOT_FOUND),
        (((1, 0),), 4, Code.INVALID_ARGUMENT),
        (((1, -1),), 4, Code.INVALID_ARGUMENT),
        (((1, 1), (1, 1)), 4, Code.INVALID_ARGUMENT),
        (((1, 5),), 4, Code.INVALID_ARGUMENT),
        (((1, 3),), 2, Code.INVALID_ARGUMENT),
        (((1, 1),), 5, Code.INVALID_ARGUMENT),
        (((1, 1),), 0, Code.INVALID_ARGUMENT),
    ],
)
def test_malformed_group_is_refused(
    with_members: Kit, members: tuple[tuple[int, int], ...], max_size: int, code: Code
) -> None:
    kit = with_members
    assert kit.code(INSERT, action_profile_group=group(kit, 1, *members, max_size=max_size)) == code


def test_max_size_of_a_group_cannot_change(with_members: Kit) -> None:
    kit = with_members
    kit.write(INSERT, action_profile_group=group(kit, 1, (1, 1)))
    assert kit.code(MODIFY, action_profile_group=group(kit, 1, (1, 1), max_size=3)) == Code.INVALID_ARGUMENT
    assert kit.code(MODIFY, action_profile_group=group(kit, 1, (2, 1))) == Code.OK
    assert kit.code(DELETE, action_profile_member=member(kit, 1)) == Code.OK


def test_group_in_use_cannot_be_deleted_even_after_modify(with_members: Kit) -> None:
    kit = with_members
    kit.write(INSERT, action_profile_group=group(kit, 1, (1, 1)))
    kit.insert(balanced(kit, action_profile_group_id=1))
    kit.write(MODIFY, action_profile_group=group(kit, 1, (2, 1)))
    assert kit.code(DELETE, action_profile_group=group(kit, 1)) == Code.FAILED_PRECONDITION
    kit.delete(balanced(kit))
    assert kit.code(DELETE, action_profile_group=group(kit, 1)) == Code.OK


def test_profile_without_selector_has_no_groups(kit: Kit) -> None:
    message = p4r.ActionProfileGroup(action_profile_id=kit.id("shared"), group_id=1)
    assert kit.code(INSERT, action_profile_group=message) == Code.INVALID_ARGUMENT


def test_entry_that_refers_to_nothing_is_not_found(kit: Kit) -> None:
    assert kit.code(INSERT, table_entry=balanced(kit, action_profile_member_id=1)) == Code.NOT_FOUND
    assert kit.code(INSERT, table_entry=balanced(kit, action_profile_group_id=1)) == Code.NOT_FOUND


def test_member_behind_a_dead_port_is_left_out_until_it_is_back(with_members: Kit) -> None:
    kit = with_members
    message = group(kit, 1, (1, 1), (2, 1))
    message.members[0].watch_port = b"\x05"
    kit.write(INSERT, action_profile_group=message)
    kit.ports.down.add(5)
    kit.store.port_changed(5)
    assert kit.dataplane.groups["I.ways", 1] == [2]
    [shown] = kit.read(action_profile_group=p4r.ActionProfileGroup())
    assert shown.action_profile_group == message
    kit.ports.down.clear()
    kit.store.port_changed(5)
    assert kit.dataplane.groups["I.ways", 1] == [1, 2]


def test_watch_port_that_does_not_exist_is_invalid(with_members: Kit) -> None:
    message = group(with_members, 1, (1, 1))
    message.members[0].watch_port = b"\x50"
    assert with_members.code(INSERT, action_profile_group=message) == Code.INVALID_ARGUMENT


# -- one-shot ----------------------------------------------------------------------------------


def test_action_set_reads_back_as_it_was_written(kit: Kit) -> None:
    entry = balanced(kit, action_profile_action_set=one_shot(kit, (1, 1), (1, 2)))
    kit.insert(entry)
    assert kit.entries(kit.entry("balanced")) == [entry]
    [members] = kit.dataplane.groups.values()
    assert len(members) == 3
    assert len(set(members)) == 2


def test_replaced_and_deleted_action_sets_leave_nothing_behind(kit: Kit) -> None:
    kit.insert(balanced(kit, action_profile_action_set=one_shot(kit, (1, 1))))
    kit.modify(balanced(kit, action_profile_action_set=one_shot(kit, (2, 2))))
    assert [len(g) for g in kit.dataplane.groups.values()] == [2]
    kit.delete(balanced(kit))
    assert not kit.dataplane.groups
    assert not kit.dataplane.members


@pytest.mark.parametrize("weights", [(0,), (3, 2), (-1,)])
def test_malformed_weights_in_an_action_set_are_invalid(kit: Kit, weights: tuple[int, ...]) -> None:
    actions = one_shot(kit, *((1, w) for w in weights))
    code = kit.code(INSERT, table_entry=balanced(kit, action_profile_action_set=actions))
    assert code == Code.INVALID_ARGUMENT
    assert not kit.dataplane.members


def test_action_sets_and_members_do_not_mix_in_one_selector(kit: Kit) -> None:
    kit.insert(balanced(kit, action_profile_action_set=one_shot(kit, (1, 1))))
    assert kit.code(INSERT, action_profile_member=member(kit, 1)) == Code.INVALID_ARGUMENT
    other = Kit()
    other.write(INSERT, action_profile_member=member(other, 1))
    entry = balanced(other, action_profile_action_set=one_shot(other, (1, 1)))
    assert other.code(INSERT, table_entry=entry) == Code.INVALID_ARGUMENT


def test_selector_full_of_action_sets_is_resource_exhausted(kit: Kit) -> None:
    for network in range(4):
        entry = balanced(kit, action_profile_action_set=one_shot(kit, (1, 4)))
        entry.match[0].lpm.value = bytes([10 + network, 0, 0, 0])
        kit.insert(entry)
    entry.match[0].lpm.value = bytes([99, 0, 0, 0])
    assert kit.code(INSERT, table_entry=entry) == Code.RESOURCE_EXHAUSTED


def test_random_selection_is_not_implemented(kit: Kit) -> None:
    actions = one_shot(kit, (1, 1))
    actions.action_selection_mode = p4r.ActionProfileActionSet.RANDOM
    assert (
        kit.code(INSERT, table_entry=balanced(kit, action_profile_action_set=actions)) == Code.UNIMPLEMENTED
    )
