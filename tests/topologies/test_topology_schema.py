"""The topology file: what is read from a good one, and the exact line for every mistake."""

import re
from ipaddress import IPv6Address
from pathlib import Path

import pytest
from pydantic import ValidationError

from p4cats.topologies import units
from p4cats.topologies.schema import Topology, TopologyError, load

GOOD = """\
name: small
switches:
  a: {role: edge}
  t: {role: transit}
  b: {role: edge}
hosts:
  client: {switch: a}
  server: {switch: b, delay: 500us}
  other: {switch: b}
links:
  - {ends: [a, t], delay: 1ms}
  - {ends: [t, b], delay: 2ms, loss: 0.5%, rate: 100mbit, mtu: 9000}
services:
  web:
    address: "2001:db8:ca75::80"
    port: 80
instances:
  - {host: server, service: web, service_time: {distribution: constant, mean: 20ms}}
"""


def errors(tmp_path: Path, text: str) -> list[str]:
    """Return the lines of complaint about a file with this text, without its directory."""
    file = tmp_path / "net.yaml"
    file.write_text(text)
    with pytest.raises(TopologyError) as caught:
        load(file)
    assert str(caught.value).splitlines() == caught.value.lines
    return [line.replace(f"{tmp_path}/", "") for line in caught.value.lines]


def test_values_are_read_with_their_units(tmp_path):
    (tmp_path / "net.yaml").write_text(GOOD)
    topology = load(tmp_path / "net.yaml")
    link = topology.links[1]
    assert (link.delay_us, link.loss_ppm, link.rate_bps, link.mtu) == (2000, 5000, 100_000_000, 9000)
    assert not link.is_plain
    assert topology.hosts["client"].is_plain
    assert topology.hosts["server"].delay_us == 500
    service = topology.services["web"]
    assert service.address == IPv6Address("2001:db8:ca75::80")
    assert (service.policy, service.affinity_timeout_us, service.load_ttl_us) == (
        "least",
        30_000_000,
        500_000,
    )
    assert topology.instances[0].service_time.mean_us == 20_000


def test_the_example_is_valid_and_its_sites_are_the_switches_of_its_servers():
    topology = load(Path(__file__).parents[2] / "topologies" / "edge-cloud.yaml")
    assert {site: [item.id for item in items] for site, items in topology.sites.items()} == {
        "edge1": [1],
        "edge2": [2],
        "cloud": [3],
    }
    assert topology.clients == ("clients1", "clients2")
    assert [topology.site_of(item) for item in topology.instances_of("chat")] == ["edge1", "edge2", "cloud"]


def test_identifiers_that_are_not_given_are_counted_around_those_that_are(tmp_path):
    instance = "  - {host: server, service: web, service_time: {distribution: constant, mean: 20ms}}\n"
    second = instance.replace("server", "other").replace("}}", "}, id: 1}")
    (tmp_path / "net.yaml").write_text(GOOD + second)
    assert [item.id for item in load(tmp_path / "net.yaml").instances] == [2, 1]


def test_a_topology_cannot_be_changed(tmp_path):
    (tmp_path / "net.yaml").write_text(GOOD)
    topology = load(tmp_path / "net.yaml")
    with pytest.raises(ValidationError, match="frozen"):
        topology.name = "other"


@pytest.mark.parametrize(
    ("old", "new", "line"),
    [
        ("delay: 2ms", "dely: 2ms", "12: links[1].dely: unknown key; did you mean delay?"),
        ("{role: transit}", "{role: transit, x: 1}",
         "4: switches.t.x: unknown key; known keys: role, program, metric_option"),
        ("name: small", "nme: small", "1: nme: unknown key; did you mean name?"),
        ("delay: 2ms", "delay: -1ms", "12: links[1].delay: must not be negative (got -1ms)"),
        ("delay: 2ms", "delay: 2",
         "12: links[1].delay: needs a unit, one of us, ms, s, min, such as 20ms (got 2)"),
        ("delay: 2ms", "delay: soon", "12: links[1].delay: must be a duration such as 20ms (got soon)"),
        ("loss: 0.5%", "loss: 101%", "12: links[1].loss: must not exceed 100% (got 101%)"),
        ("loss: 0.5%", "loss: -1", "12: links[1].loss: must not be negative (got -1)"),
        ("rate: 100mbit", "rate: 100mbps",
         "12: links[1].rate: needs a unit, one of bit, kbit, mbit, gbit, such as 100mbit (got 100mbps)"),
        ("rate: 100mbit", "rate: 0",
         "12: links[1].rate: must be more than zero (got 0); leave it out for a link without a limit"),
        ("mtu: 9000", "mtu: 1000", "12: links[1].mtu: must be at least 1280 (got 1000)"),
        ("mtu: 9000", "mtu: big", "12: links[1].mtu: must be a whole number (got big)"),
        ("[t, b]", "[t, bb]", "12: links[1].ends[1]: no switch is named bb; did you mean b?"),
        ("[t, b]", "[t, server]",
         "12: links[1].ends[1]: server is a host: its access link is described by hosts.server"),
        ("[t, b]", "[t, t]", "12: links[1].ends: joins t to itself"),
        ("[t, b]", "[t]", "12: links[1].ends[1]: is missing"),
        ("[t, b], ", "[t, b], }\n  - {ends: [b, t], ",
         "13: links[2].ends: duplicate of links[1]: b and t are joined already"),
        ("  - {ends: [t, b], delay: 2ms, loss: 0.5%, rate: 100mbit, mtu: 9000}\n", "",
         "5: switches.b: no path of links joins b to a"),
        ("client: {switch: a}", "client: {switch: t}",
         "7: hosts.client.switch: t is a transit switch: only hosts that steer (steer: true) can be there"),
        ("client: {switch: a}", "client: {switch: a, steer: true}",
         "7: hosts.client.steer: a is an edge switch, which steers: attach the host to a transit switch"),
        ("client: {switch: a}", "client: {switch: t, steer: true, mtu: 1300}",
         "7: hosts.client.mtu: a host that steers needs an MTU of 1344, for IPv6 in a tunnel"),
        ("client: {switch: a}", "client: {switch: nowhere}",
         "7: hosts.client.switch: no switch is named nowhere"),
        ("client: {switch: a}", "b: {switch: a}", "7: hosts.b: b is already the name of a switch"),
        ("client: {switch: a}", "client: {}", "7: hosts.client.switch: is missing"),
        ("client: {switch: a}", "client: a", "7: hosts.client: must be a mapping of keys to values (got a)"),
        ("client:", "my client:",
         "7: hosts.my "
         "client: must be a name of letters, digits, - and _ that begins with a letter (got my client)"),
        ("{switch: a}", "{switch: a, address: '2001:db8:3:1::2'}",
         "7: hosts.client.address: duplicate address 2001:db8:3:1::2 (also of hosts.server)"),
        ("{switch: a}", "{switch: a, address: '2001:db8:3:1::3'}",
         "7: hosts.client.address: "
         "2001:db8:3:1::3 is in the /64 of hosts.server: each access link has one of its own"),
        ("{switch: a}", "{switch: a, address: '5f00:0:1::9'}",
         "7: hosts.client.address: 5f00:0:1::9 is inside 5f00::/16, which holds the SRv6 SIDs (RFC 9602)"),
        ("{switch: a}", "{switch: a, address: 'fe80::9'}",
         "7: hosts.client.address: fe80::9 cannot be routed: give a global unicast address"),
        ("{switch: a}", "{switch: a, address: 10.0.0.1}",
         "7: hosts.client.address: must be an IPv6 address such as 2001:db8::1 (got 10.0.0.1)"),
        ("2001:db8:ca75::80", "2001:db8:3:1::2",
         "15: services.web.address: duplicate address 2001:db8:3:1::2 (also of hosts.server)"),
        ("port: 80", "port: 70000", "16: services.web.port: must be at most 65535 (got 70000)"),
        ("port: 80", "port: true", "16: services.web.port: must be a whole number (got True)"),
        ("port: 80", "port: 80\n    policy: random",
         "17: services.web.policy: must be static, hash, least, nearest, p2c or joint (got random)"),
        ("host: server", "host: sever",
         "18: instances[0].host: no host is named sever; did you mean server?"),
        ("service: web", "service: wob",
         "18: instances[0].service: no service is named wob; did you mean web?"),
        ("distribution: constant", "distribution: flat",
         "18: instances[0].service_time.distribution: must be constant, exponential or lognormal (got flat)"),
        ("mean: 20ms", "mean: 20ms, men: 1",
         "18: instances[0].service_time.men: unknown key; did you mean mean?"),
        ("service: web,", "service: web, workers: 0,",
         "18: instances[0].workers: must be at least 1 (got 0)"),
        ("service: web,", "service: web, idle_power_w: 9, peak_power_w: 5,",
         "18: instances[0].peak_power_w: must be at least idle_power_w (9)"),
        ("switches:\n", "switches:\n  averylongname: {role: edge}\n", None),
        ("a: {role: edge}", "a: {role: edgy}", "3: switches.a.role: must be edge or transit (got edgy)"),
        ("links:\n", "links: {}\nlunks:\n", None),
    ],
)  # fmt: skip
def test_a_mistake_is_named_by_line_and_field(tmp_path, old, new, line):
    assert GOOD.count(old) >= 1
    lines = errors(tmp_path, GOOD.replace(old, new, 1))
    assert lines
    assert all(re.match(r"net\.yaml:\d+: .+?: .", item) for item in lines)
    if line is not None:
        assert lines == [f"net.yaml:{line}"]


def test_every_mistake_is_reported_in_the_order_of_the_file(tmp_path):
    text = (
        GOOD.replace("role: transit", "role: x").replace("delay: 1ms", "delay: -1ms").replace("port: 80", "")
    )
    assert errors(tmp_path, text) == [
        "net.yaml:4: switches.t.role: must be edge or transit (got x)",
        "net.yaml:11: links[0].delay: must not be negative (got -1ms)",
        "net.yaml:14: services.web.port: is missing",
    ]


def test_a_long_name_of_a_switch_is_refused_because_its_ports_could_not_be_named(tmp_path):
    long = "averylongname"
    text = (
        GOOD.replace("  b: {", f"  {long}: {{")
        .replace("switch: b", f"switch: {long}")
        .replace("t, b]", f"t, {long}]")
    )
    assert errors(tmp_path, text) == [
        f"net.yaml:5: switches.{long}: interface name {long}-eth3 exceeds Linux's 15 characters: "
        "shorten the name"
    ]


def test_more_instances_than_a_service_has_candidates_are_refused(tmp_path):
    hosts = "".join(f"  h{number}: {{switch: a}}\n" for number in range(8))
    instance = "  - {host: server, service: web, service_time: {distribution: constant, mean: 20ms}}\n"
    text = GOOD.replace("links:\n", hosts + "links:\n")
    text += "".join(instance.replace("server", f"h{number}") for number in range(8))
    assert errors(tmp_path, text) == [
        "net.yaml:34: instances[8]: a service takes at most 8 instances, web has more"
    ]


def test_two_instances_of_a_service_on_one_host_are_refused(tmp_path):
    instance = "  - {host: server, service: web, id: 1, service_time: {distribution: constant, mean: 20ms}}\n"
    text = GOOD.replace("service: web,", "service: web, id: 1,") + instance
    assert errors(tmp_path, text) == [
        "net.yaml:19: instances[1].host: server runs web already (instances[0])",
        "net.yaml:19: instances[1].id: duplicate identifier 1 (also of instances[0])",
    ]


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("a: [", "1: invalid YAML: expected the node content, but found '<stream end>'"),
        (
            "name: x\nname: y\n",
            '2: invalid YAML: found duplicate key "name" with value "y" (original value: "x")',
        ),
        ("name: x\n  y: z\n", "2: invalid YAML: mapping values are not allowed here"),
        ("", "1: must be a mapping of keys to values (got nothing)"),
        ("- 1\n", "1: must be a mapping of keys to values (got a list)"),
        ("name: x\nswitches: {}\n", "2: switches: must not be empty"),
    ],
)
def test_a_file_that_holds_no_topology_is_one_line(tmp_path, text, line):
    assert errors(tmp_path, text) == [f"net.yaml:{line}"]


def test_a_missing_file_a_directory_and_no_text_are_one_line_each(tmp_path):
    (tmp_path / "binary.yaml").write_bytes(b"\xff\xfe\x00")
    for name, said in (
        ("none.yaml", "no such file"),
        (".", "cannot be read: Is a directory"),
        ("binary.yaml", "cannot be read: not UTF-8 text"),
    ):
        with pytest.raises(TopologyError) as caught:
            load(tmp_path / name)
        assert caught.value.lines == [f"{tmp_path / name}: {said}"]


def test_a_topology_made_by_a_program_is_checked_as_well():
    with pytest.raises(ValidationError, match=r"hosts\.h\.switch: no switch is named b"):
        Topology.model_validate(
            {"name": "x", "switches": {"a": {"role": "edge"}}, "hosts": {"h": {"switch": "b"}}}
        )


@pytest.mark.parametrize(
    ("parse", "text", "value"),
    [
        (units.duration_us, "1.5ms", 1500),
        (units.duration_us, "30 s", 30_000_000),
        (units.duration_us, 0, 0),
        (units.rate_bps, "1.5gbit", 1_500_000_000),
        (units.rate_bps, "64 Kbit", 64_000),
        (units.loss_ppm, 0.5, 5000),
        (units.loss_ppm, "100%", 1_000_000),
    ],
)
def test_quantities_become_whole_numbers(parse, text, value):
    assert parse(text) == value
