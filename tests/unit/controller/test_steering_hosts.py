"""What hosts that steer are told: what an ingress switch would hold, and keys before anybody uses them."""

from pathlib import Path

import p4cats.topologies
from p4cats.controller.controller import Controller
from p4cats.controller.desired import Desired, ServiceSettings, State
from p4cats.controller.keys import Key
from p4cats.controller.steering import SILENT_S, SteeringHosts
from p4cats.controller.switches import PipelineFiles
from p4cats.ebpf.view import View
from p4cats.topologies.addressing import Plan
from p4cats.topologies.schema import load

HOST_STEER = Path(p4cats.topologies.__file__).parent / "host-steer.yaml"
TEXT = HOST_STEER.read_text()
TOPOLOGY = load(HOST_STEER)
P4INFO = Path(__file__).resolve().parents[1] / "p4info"
PLAN = Plan(TOPOLOGY)
DESIRED = Desired(TOPOLOGY, PLAN)
KEY = Key(1, bytes(range(8)))
CLIENT = "clients1"


def told(state: State | None = None) -> SteeringHosts:
    hosts = SteeringHosts(DESIRED, now_s=0.0)
    hosts.tell(state or State())
    return hosts


def take(hosts: SteeringHosts, name: str = CLIENT, held: str = "", now_s: float = 0.1) -> dict | None:
    """Let a host report, and return what it is told."""
    hosts.hear(name, held, now_s)
    return hosts.news(name)


def view_of(state: State) -> View:
    news = take(told(state))
    assert news is not None
    news.pop("revision")
    return View(**news)


def test_a_view_is_what_the_tables_of_an_ingress_switch_hold():
    state = State(
        services={"chat": ServiceSettings("joint", 2, 3)},
        availability={1: "drained", 2: "down"},
        weights={3: 7},
        waits={3: 12_000},
        segments={("access1", 3): "edge2"},
        keys={"cloud": (KEY,)},
    )
    view = view_of(state)
    [service] = view.services
    assert (service.policy, service.compute_weight, service.network_weight) == ("least", 2, 3)
    [candidate] = service.candidates
    assert (candidate.instance, candidate.weight, candidate.fallback_wait_us) == (3, 7, 12_000)
    assert candidate.path_delay_us == DESIRED.delay_us(state, "access1", TOPOLOGY.instances[2])
    reached = {item.instance: item for item in view.instances}
    assert reached.keys() == {1, 3}, "flows may stay with a drained instance, not with one that is down"
    assert reached[3].via == PLAN.switches["edge2"].end_sid
    assert reached[1].via is None
    assert reached[1].sid == PLAN.dx6_sid(TOPOLOGY.instances[0])
    [key] = view.keys
    assert (key.instance, key.value.octets, key.source) == (3, KEY.octets, TOPOLOGY.services["chat"].address)


def test_without_authentication_addresses_are_believed():
    topology = TOPOLOGY.model_copy(update={"authentication": "none"})
    hosts = SteeringHosts(Desired(topology, Plan(topology)), now_s=0.0)
    hosts.tell(State())
    news = take(hosts)
    assert news is not None
    assert [(key["instance"], key["key_id"]) for key in news["keys"]] == [(1, 0), (2, 0), (3, 0)]


def test_each_host_counts_as_an_ingress_of_its_own(tmp_path: Path):
    """Also where two are at one switch."""
    path = tmp_path / "one-switch.yaml"
    path.write_text(TEXT.replace("clients2: {switch: access2", "clients2: {switch: access1"))
    one_switch = load(path)
    candidates = DESIRED.candidates(State(), "access1", "chat")
    assert DESIRED.spread_us(candidates) > 0
    assert Desired(one_switch, Plan(one_switch)).spread_us(candidates) == DESIRED.spread_us(candidates)


def test_a_view_is_told_until_it_is_held_and_again_when_it_changes():
    hosts = told()
    news = take(hosts)
    assert news is not None
    assert take(hosts) == news
    assert take(hosts, held=news["revision"]) is None
    hosts.tell(State())
    assert take(hosts, held=news["revision"]) is None
    hosts.tell(State(availability={1: "down"}))
    changed = take(hosts, held=news["revision"])
    assert changed is not None
    assert changed["revision"] != news["revision"]


def test_another_controllers_view_is_not_taken_for_this_ones():
    news = take(told())
    assert news is not None
    assert take(told(), held=news["revision"]) is not None


def test_a_key_is_held_when_all_hosts_hold_it_but_for_silent_ones():
    hosts = told(State(keys={"edge1": (KEY,)}))
    held = {name: take(hosts, name) for name in hosts.hosts}
    assert not hosts.hold(KEY, "edge1", 0.2)
    for name, news in held.items():
        assert news is not None
        assert not hosts.hold(KEY, "edge1", 0.2)
        take(hosts, name, news["revision"], 0.2)
    assert hosts.hold(KEY, "edge1", 0.3)
    assert not hosts.hold(Key(2, KEY.octets), "edge1", 0.3)
    hosts.tell(State())
    take(hosts, "clients2", "old", 5.0)
    assert not hosts.hold(KEY, "edge1", 5.1)
    assert hosts.hold(KEY, "edge1", 5.1 + SILENT_S), "who is silent is not waited for"


def test_unknown_hosts_are_told_nothing():
    assert told().hear("nobody", "", 0.1) is None


def test_keys_are_not_shown():
    hosts = told(State(keys={"edge1": (KEY,)}))
    assert KEY.octets.hex() not in repr(hosts.hosts)


def test_a_new_controller_tells_nothing_before_it_knows_which_keys_are_in_use():
    """Or a host that steers would forget keys that instances use."""
    infos = {role: P4INFO / f"{role}.p4info.txtpb" for role in ("edge", "transit")}
    files = {role: PipelineFiles(info, info) for role, info in infos.items()}
    addresses = dict.fromkeys(PLAN.switches, "127.0.0.1:1")
    controller = Controller(TOPOLOGY, PLAN, addresses, files)
    controller._tell(controller.state())
    assert controller.hear_steering(CLIENT, "", {}, {}, {}) is None
