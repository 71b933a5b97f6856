"""The life of the metrics' keys: docs/protocol.md, 4.1."""

from pathlib import Path

import pytest

import p4cats.topologies
from p4cats.controller.desired import Desired, State, keys_held
from p4cats.controller.entries import by_key
from p4cats.controller.keys import GRACE_S, RETIRE_S, Key, KeyStore, successor
from p4cats.topologies.addressing import Plan
from p4cats.topologies.schema import load

LIFETIME_S = 600.0


@pytest.fixture(scope="module")
def edge_cloud():
    return load(Path(p4cats.topologies.__file__).parent / "edge-cloud.yaml")


class Site:
    """A store of one site with instances 1 and 2, its clock, and forwarders that hold what they are told."""

    def __init__(self):
        self.store = KeyStore({1: "edge1", 2: "edge1"}, LIFETIME_S)
        self.now_s = 1000.0
        self.reach = True

    @property
    def ids(self):
        return [key.id for key in self.store.valid().get("edge1", ())]

    def advance(self, seconds=0.0, complete=True):
        self.now_s += seconds
        self.store.advance(self.now_s, lambda _site, _key: self.reach, complete=complete)

    def report(self, one=0, two=0, fresh=()):
        return {i: key.id for i, key in self.store.report({1: one, 2: two}, fresh).items()}

    def settle(self, key_id):
        """Let both hosts take the key that is offered."""
        self.advance()
        self.advance()
        assert set(self.report().values()) == {key_id}
        self.report(key_id, key_id)
        self.advance(GRACE_S)
        assert self.ids == [key_id]


@pytest.fixture
def site():
    return Site()


@pytest.fixture
def settled(site):
    site.report()
    site.settle(1)
    return site


def test_no_key_is_drawn_for_hosts_that_never_ask(site):
    site.advance(LIFETIME_S)
    assert site.ids == []


def test_hosts_get_a_key_only_when_all_forwarders_hold_it(site):
    site.reach = False
    assert site.report() == {}
    site.advance()
    assert site.ids == [1]
    site.advance()
    assert site.report() == {}
    site.reach = True
    site.advance()
    assert site.report() == {1: 1, 2: 1}


def test_rotation_keeps_the_old_key_until_all_hosts_use_the_new_one(settled):
    settled.advance(LIFETIME_S)
    assert settled.ids == [1, 2]
    assert settled.report(1, 1) == {}
    settled.advance()
    assert settled.report(1, 1) == {1: 2, 2: 2}
    settled.report(2, 1)
    settled.advance(GRACE_S)
    assert settled.ids == [1, 2]
    settled.report(2, 2)
    settled.advance()
    assert settled.ids == [2]


def test_a_host_that_says_nothing_cannot_keep_an_old_key_alive(settled):
    settled.advance(LIFETIME_S)
    settled.advance()
    settled.report(2, 1)
    settled.advance(RETIRE_S)
    assert settled.ids == [2]


def test_keys_are_not_changed_for_their_age_while_a_forwarder_is_away(settled):
    settled.advance(LIFETIME_S, complete=False)
    assert settled.ids == [1]


def test_a_host_without_a_sequence_gets_a_key_that_it_has_never_had(settled):
    assert settled.report(0, 1, fresh=[1]) == {}
    settled.advance()
    settled.advance()
    assert settled.ids == [1, 2]
    assert settled.report(0, 1, fresh=[1]) == {1: 2, 2: 2}


def test_a_new_host_without_a_sequence_takes_the_present_key(site):
    site.store.report({1: 0}, [1])
    site.advance()
    site.advance()
    assert site.store.report({1: 0}, [1])[1].id == 1
    site.store.report({1: 1}, [])
    assert site.store.report({2: 0}, [2])[2].id == 1
    site.advance()
    assert site.ids == [1]


def test_hosts_that_lose_their_sequences_one_after_the_other_never_see_three_keys(settled):
    for _ in range(5):
        settled.report(0, 0, fresh=[1, 2])
        settled.advance(0.1)
        assert len(settled.ids) <= 2
        ids = settled.ids
        assert len(ids) == 1 or ids[1] == successor(ids[0])


def test_an_unknown_instance_gets_nothing(settled):
    assert settled.store.report({77: 0}, [77]) == {}


def test_ids_come_round_without_0(site):
    assert [successor(number) for number in (0, 1, 254, 255)] == [1, 2, 255, 1]


def test_a_restarted_controller_takes_over_what_forwarders_hold(settled):
    [key] = settled.store.valid()["edge1"]
    again = Site()
    again.store.adopt([(1, key), (2, key)], again.now_s)
    assert again.store.valid() == settled.store.valid()
    again.report(1, 1)
    again.advance()
    assert again.ids == [1]
    assert again.report(1, 1) == {}
    assert again.report(0, 1, fresh=[1]) == {}, "who had the key is not known"
    again.advance()
    assert again.ids == [1, 2]


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
def test_a_rotation_is_taken_over_in_its_midst(order):
    keys = Key(255, bytes(8)), Key(1, bytes(range(8)))
    site = Site()
    site.store.adopt([(1, keys[i]) for i in order], site.now_s)
    assert site.ids == [255, 1]
    site.report(255, 1)
    site.advance()
    assert site.report(255, 1) == {1: 1}


def test_keys_drawn_anew_differ(site):
    others = [Site() for _ in range(8)]
    for other in others:
        other.report()
        other.advance()
    assert len({other.store.valid()["edge1"][0].octets for other in others}) == 8


def test_a_key_is_never_shown(edge_cloud):
    key = Key(7, bytes.fromhex("0123456789abcdef"))
    state = State(keys={"edge1": (key,)})
    held = Desired(edge_cloud, Plan(edge_cloud)).entries(state)["access1"]
    shown = f"{key!r} {state!r} {held!r}"
    for number in (*key.words, int.from_bytes(key.octets, "big"), int.from_bytes(key.octets, "little")):
        assert str(number) not in shown
        assert f"{number:x}" not in shown


def test_entries_let_a_site_speak_for_its_own_instances_only(edge_cloud):
    keys = {"edge1": (Key(1, b"11111111"), Key(2, b"22222222")), "cloud": (Key(9, b"33333333"),)}
    desired = Desired(edge_cloud, Plan(edge_cloud))
    for name, entries in desired.entries(State(keys=keys)).items():
        held = sorted((i, key.id, key.octets) for i, key in keys_held(entries))
        wanted = [(1, 1, b"11111111"), (1, 2, b"22222222"), (3, 9, b"33333333")]
        assert held == (wanted if desired.plan.switches[name].role == "edge" else [])


def test_an_edge_removes_options_only_where_that_is_asked_for(edge_cloud):
    access1 = edge_cloud.switches["access1"].model_copy(update={"metric_option": "remove"})
    changed = edge_cloud.model_copy(update={"switches": edge_cloud.switches | {"access1": access1}})
    for name, entries in Desired(changed, Plan(changed)).entries(State()).items():
        found = [item.action for item in by_key(entries.values()).values() if item.table == "metric_options"]
        assert found == (["remove"] if name == "access1" else [])
