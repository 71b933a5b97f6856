"""Arbitration: P4Runtime section 5 (rules A1 to A8 of the project's checklist)."""

from __future__ import annotations

import pytest
from finsy.proto import p4r, stratum

from p4cats.switch.arbitration import Arbitration, Controller
from p4cats.switch.errors import Code, P4RuntimeError

OK, BACKUP, NOBODY = Code.OK, Code.ALREADY_EXISTS, Code.NOT_FOUND


class Stream(Controller):
    """A controller that remembers what it was sent."""

    def __init__(self, arbitration: Arbitration) -> None:
        self.heard: list[p4r.MasterArbitrationUpdate] = []
        super().__init__(lambda m: self.heard.append(m.arbitration))
        self.arbitration = arbitration

    def bid(self, election_id: int | None, device_id: int = 1, role: p4r.Role | None = None) -> Code:
        """Send an update; the code of the answer, or of the error that ends the stream."""
        message = p4r.MasterArbitrationUpdate(device_id=device_id, role=role)
        if election_id is not None:
            message.election_id.CopyFrom(p4r.Uint128(high=election_id >> 64, low=election_id & (1 << 64) - 1))
        try:
            self.arbitration.update(self, message)
        except P4RuntimeError as error:
            return error.code
        return self.last()

    def last(self) -> Code:
        return Code(self.heard[-1].status.code)

    def leave(self) -> None:
        self.arbitration.leave(self)


@pytest.fixture
def arbitration() -> Arbitration:
    return Arbitration(device_id=1, max_streams=3)


def role(name: str, config: stratum.P4RoleConfig | None = None) -> p4r.Role:
    message = p4r.Role(name=name)
    if config is not None:
        message.config.Pack(config)
    return message


def test_a2_first_update_with_unknown_device_is_not_found(arbitration: Arbitration) -> None:
    assert Stream(arbitration).bid(1, device_id=2) == Code.NOT_FOUND


def test_a2_election_id_of_another_live_controller_is_invalid(arbitration: Arbitration) -> None:
    one, two = Stream(arbitration), Stream(arbitration)
    one.bid(5)
    assert two.bid(5) == Code.INVALID_ARGUMENT
    one.leave()
    assert two.bid(5) == OK


def test_a2_too_many_streams_are_exhausted(arbitration: Arbitration) -> None:
    streams = [Stream(arbitration) for _ in range(4)]
    assert [s.bid(i) for i, s in enumerate(streams)][-1] == Code.RESOURCE_EXHAUSTED
    streams[0].leave()
    assert streams[3].bid(9) == OK


def test_a2_role_config_of_unknown_type_is_invalid(arbitration: Arbitration) -> None:
    strange = p4r.Role(name="r")
    strange.config.Pack(p4r.Uint128())
    assert Stream(arbitration).bid(1, role=strange) == Code.INVALID_ARGUMENT


def test_a3_device_and_role_cannot_change_on_a_stream(arbitration: Arbitration) -> None:
    stream = Stream(arbitration)
    stream.bid(1)
    assert stream.bid(2, device_id=2) == Code.FAILED_PRECONDITION
    assert stream.bid(2, role=role("other")) == Code.FAILED_PRECONDITION


def test_a4_highest_id_is_primary_and_its_predecessor_backup(arbitration: Arbitration) -> None:
    one, two = Stream(arbitration), Stream(arbitration)
    assert one.bid(1) == OK
    assert two.bid(2) == OK
    assert one.last() == BACKUP
    assert one.heard[-1].election_id.low == 2


def test_a4_ids_are_compared_as_128_bits(arbitration: Arbitration) -> None:
    one, two = Stream(arbitration), Stream(arbitration)
    one.bid(1 << 64)
    assert two.bid((1 << 64) - 1) == BACKUP


def test_a4_unset_id_is_never_primary_but_zero_can_be(arbitration: Arbitration) -> None:
    one, two = Stream(arbitration), Stream(arbitration)
    assert one.bid(None) == NOBODY
    assert not one.heard[-1].HasField("election_id")
    assert two.bid(0) == OK
    assert two.heard[-1].HasField("election_id")


def test_a4_primary_regains_its_place_with_the_same_id(arbitration: Arbitration) -> None:
    one = Stream(arbitration)
    one.bid(5)
    one.leave()
    assert Stream(arbitration).bid(4) == NOBODY
    assert Stream(arbitration).bid(5) == OK


def test_a5_nobody_is_promoted_when_the_primary_leaves(arbitration: Arbitration) -> None:
    one, two = Stream(arbitration), Stream(arbitration)
    one.bid(5)
    two.bid(4)
    one.leave()
    assert two.last() == NOBODY
    assert two.heard[-1].election_id.low == 5
    assert two.bid(4) == NOBODY
    assert two.bid(6) == OK


def test_a5_primary_demotes_itself_with_a_lower_id(arbitration: Arbitration) -> None:
    one, two = Stream(arbitration), Stream(arbitration)
    one.bid(5)
    two.bid(3)
    assert one.bid(2) == NOBODY
    assert two.last() == NOBODY


def test_a6_others_hear_of_a_new_primary_before_it_does(arbitration: Arbitration) -> None:
    order: list[str] = []
    one = Controller(lambda _: order.append("old"))
    two = Controller(lambda _: order.append("new"))
    for controller, low in ((one, 1), (two, 2)):
        message = p4r.MasterArbitrationUpdate(device_id=1, election_id=p4r.Uint128(low=low))
        arbitration.update(controller, message)
    assert order == ["old", "old", "new"]


def test_a7_new_backup_disturbs_nobody_else(arbitration: Arbitration) -> None:
    one, two = Stream(arbitration), Stream(arbitration)
    one.bid(5)
    two.bid(1)
    assert len(one.heard) == 1
    assert len(two.heard) == 1


def test_a7_repeated_bid_of_the_primary_is_answered_to_it_alone(arbitration: Arbitration) -> None:
    one, two = Stream(arbitration), Stream(arbitration)
    one.bid(5)
    two.bid(1)
    assert one.bid(5) == OK
    assert len(two.heard) == 1


def test_a7_role_config_of_the_primary_is_told_to_all(arbitration: Arbitration) -> None:
    one, two = Stream(arbitration), Stream(arbitration)
    one.bid(5, role=role("r"))
    two.bid(1, role=role("r"))
    one.bid(5, role=role("r", stratum.P4RoleConfig(can_push_pipeline=True)))
    assert two.heard[-1].role.HasField("config")
    assert two.heard[-1].role.name == "r"


def test_6_4_what_a_role_has_for_itself_no_other_role_has(arbitration: Arbitration) -> None:
    one, two, three = Stream(arbitration), Stream(arbitration), Stream(arbitration)
    assert one.bid(5, role=role("r", stratum.P4RoleConfig(exclusive_p4_ids=[7], shared_p4_ids=[8]))) == OK
    wanted = [{"exclusive_p4_ids": [7]}, {"shared_p4_ids": [7]}, {"exclusive_p4_ids": [8]}]
    for config in wanted:
        assert two.bid(5, role=role("s", stratum.P4RoleConfig(**config))) == Code.INVALID_ARGUMENT
    assert two.bid(5, role=role("s", stratum.P4RoleConfig(shared_p4_ids=[8]))) == OK
    one.leave()
    assert three.bid(5, role=role("t", stratum.P4RoleConfig(exclusive_p4_ids=[7]))) == OK


def test_roles_elect_their_primaries_separately(arbitration: Arbitration) -> None:
    one, two = Stream(arbitration), Stream(arbitration)
    assert one.bid(5) == OK
    assert two.bid(5, role=role("r")) == OK
    assert len(arbitration.primaries()) == 2


def code(arbitration: Arbitration, name: str, election_id: int | None) -> Code:
    try:
        arbitration.check_primary(name, None if election_id is None else p4r.Uint128(low=election_id))
    except P4RuntimeError as error:
        return error.code
    return Code.OK


def test_only_the_connected_primary_writes(arbitration: Arbitration) -> None:
    one, two = Stream(arbitration), Stream(arbitration)
    assert code(arbitration, "", 5) == Code.PERMISSION_DENIED
    one.bid(5)
    two.bid(4)
    assert code(arbitration, "", 5) == Code.OK
    assert code(arbitration, "", 4) == Code.PERMISSION_DENIED
    assert code(arbitration, "", None) == Code.PERMISSION_DENIED
    assert code(arbitration, "unheard of", 5) == Code.NOT_FOUND
    one.leave()
    assert code(arbitration, "", 5) == Code.PERMISSION_DENIED
