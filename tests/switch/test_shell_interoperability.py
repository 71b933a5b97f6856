"""p4runtime-shell, unmodified, drives a switch (in its own environment: its pins exclude ours)."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest
from switch_process import EVERYTHING, running_switch

from p4cats.switch.shell import ensure_environment, shell_argv

VENV = Path(__file__).parent.parent.parent / "build" / "p4runtime-shell-venv"

SCRIPT = """
import json, sys
import p4runtime_sh.shell as sh

sh.setup(device_id=1, grpc_addr=sys.argv[1], election_id=(0, 7), config=None)
try:
    result = {"tables": [t.name for t in sh.P4Objects(sh.P4Type.table)]}

    entry = sh.TableEntry("I.stations")(action="I.forward")
    entry.match["address"] = "00:00:00:00:00:2a"
    entry.action["port"] = "3"
    entry.insert()
    result["entries"] = []
    sh.TableEntry("I.stations").read(lambda e: result["entries"].append(str(e.action)))
    entry.action["port"] = "4"
    entry.modify()

    route = sh.TableEntry("I.routes")(action="I.rewrite")
    route.match["vrf"] = "1"
    route.match["dst"] = "10.0.0.0/8"
    route.action["dst"] = "00:00:00:00:00:01"
    route.action["port"] = "1"
    route.insert()
    result["routes"] = len(list(sh.TableEntry("I.routes").read()))
    result["direct"] = [c.packet_count for c in sh.DirectCounterEntry("I.route_counter").read()]

    default = sh.TableEntry("I.stations")(action="I.flood", is_default=True)
    default.action["group"] = "5"
    default.modify()

    member = sh.ActionProfileMember("I.ways")(member_id=1, action="I.forward")
    member.action["port"] = "1"
    member.insert()
    group = sh.ActionProfileGroup("I.ways")(group_id=1, max_size=2)
    group.add(1, 1)
    group.insert()
    result["groups"] = [g.group_id for g in sh.ActionProfileGroup("I.ways").read()]

    mc = sh.MulticastGroupEntry(5)
    mc.add(1, 1).add(2, 1)
    mc.insert()
    result["multicast"] = [len(m.replicas) for m in sh.MulticastGroupEntry().read()]
    clone = sh.CloneSessionEntry(9)
    clone.add(2, 1)
    clone.insert()
    result["clones"] = [c.session_id for c in sh.CloneSessionEntry().read()]

    counter = sh.CounterEntry("I.port_packets")
    counter.index = 2
    counter.packet_count = 12
    counter.modify()
    result["counters"] = [c.packet_count for c in sh.CounterEntry("I.port_packets").read()]
    meter = sh.MeterEntry("I.port_meter")
    meter.index, meter.cir, meter.pir, meter.cburst, meter.pburst = 1, 10, 20, 30, 40
    meter.modify()
    result["meters"] = sum(1 for m in sh.MeterEntry("I.port_meter").read() if m.cir == 10)

    digest = sh.DigestEntry("learn_t")
    digest.max_timeout_ns, digest.max_list_size, digest.ack_timeout_ns = 0, 1, 0
    digest.insert()
    result["digests"] = sum(1 for _ in sh.DigestEntry("learn_t").read())

    try:
        entry.insert()
    except Exception as error:
        result["error"] = str(error)
    print(json.dumps(result))
finally:
    sh.teardown()
"""


@pytest.fixture(scope="module")
def shell_python() -> Path:
    return ensure_environment(VENV)


@pytest.mark.timeout(300)
def test_shell_lists_tables_and_writes_and_reads_every_entity_it_knows(shell_python: Path) -> None:
    with running_switch("--pipeline", EVERYTHING) as switch:
        done = subprocess.run(
            [shell_python, "-c", SCRIPT, switch.address],
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout.strip().splitlines()[-1])
    assert "I.routes" in result["tables"]
    assert len(result["entries"]) == 1
    assert result["routes"] == 1
    assert result["direct"] == [0]
    assert result["groups"] == [1]
    assert result["multicast"] == [2]
    assert result["clones"] == [9]
    assert result["counters"] == [0, 0, 12] + [0] * 13
    assert result["meters"] == 1
    assert result["digests"] == 1
    assert "ALREADY_EXISTS" in result["error"]


@pytest.mark.timeout(300)
def test_interactive_shell_starts_as_the_command_says(shell_python: Path) -> None:
    with running_switch("--pipeline", EVERYTHING) as switch:
        argv = shell_argv(switch.address, 1, (0, 1), directory=VENV)
        done = subprocess.run(
            argv, input="tables\nexit\n", capture_output=True, text=True, check=False, timeout=120
        )
    assert "I.stations" in done.stdout, done.stderr
