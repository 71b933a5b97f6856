"""p4runtime-shell, unmodified, drives a switch (in its own environment: its pins exclude ours)."""

from __future__ import annotations

import asyncio
import json
import subprocess
from pathlib import Path

import pytest
from served import everything, run, served
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


MORE = """
import json, sys
import p4runtime_sh.shell as sh

sh.setup(device_id=1, grpc_addr=sys.argv[1], election_id=(0, 7), config=None)
try:
    result = {"version": sh.APIVersion()}

    ways = sh.TableEntry("I.balanced")
    ways.match["dst"] = "10.0.0.0/8"
    way = sh.Action("I.forward")
    way["port"] = "1"
    ways.oneshot = sh.Oneshot("I.balanced")
    ways.oneshot.add(way, weight=2)
    ways.insert()
    result["weights"] = [
        a.weight for e in sh.TableEntry("I.balanced").read() for a in e.oneshot.actions
    ]

    acl = sh.TableEntry("I.acl")(action="I.mark", priority=7)
    acl.match["protocol"] = "6"
    acl.meter_config.cir, acl.meter_config.pir = 10, 20
    acl.insert()
    result["meters"] = [m.cir for m in sh.DirectMeterEntry("I.acl_meter").read()]
    meter = sh.DirectMeterEntry("I.acl_meter")
    meter.table_entry.match["protocol"] = "6"
    meter.table_entry.priority = 7
    meter.cir = meter.pir = 30
    meter.modify()
    result["meters"] += [m.cir for m in sh.DirectMeterEntry("I.acl_meter").read()]

    packets = sh.PacketIn()
    out = sh.PacketOut(b"x" * 60)
    out.metadata["egress_port"] = "510"
    out.metadata["unused"] = "0"
    out.send()
    result["packets"] = [len(p.packet.payload) for p in packets.sniff(timeout=0.5)]

    digest = sh.DigestEntry("learn_t")
    digest.max_timeout_ns, digest.max_list_size, digest.ack_timeout_ns = 0, 1, 0
    lists = sh.DigestList()
    digest.insert()
    print("send", flush=True)
    result["digests"] = [len(d.digest.data) for d in lists.sniff(timeout=1)][:1]
    digest.delete()

    notes = sh.IdleTimeoutNotification()
    learned = sh.TableEntry("I.learned")(action="NoAction")
    learned.match["address"] = "00:00:00:00:00:09"
    learned.idle_timeout_ns = 1
    learned.insert()
    result["idle"] = [
        len(n.idle_timeout_notification.table_entry) for n in notes.sniff(timeout=2.2)
    ][:1]
    learned.time_since_last_hit.elapsed_ns = 0
    result["hit"] = [e.time_since_last_hit.elapsed_ns > 0 for e in learned.read()]
    learned = sh.TableEntry("I.learned")
    learned.match["address"] = "00:00:00:00:00:09"
    learned.delete()
    print(json.dumps(result))
finally:
    sh.teardown()
"""


@pytest.mark.timeout(300)
def test_shell_uses_action_sets_direct_meters_and_every_kind_of_stream_message(shell_python: Path) -> None:
    frame = bytes.fromhex("02000000000b02000000000a88b5") + bytes(50)

    async def main() -> None:
        async with served(everything()) as s:
            s.target.start()
            shell = await asyncio.create_subprocess_exec(
                shell_python, "-c", MORE, s.address, stdout=subprocess.PIPE, stderr=subprocess.PIPE
            )
            assert shell.stdout is not None
            while await shell.stdout.readline() not in (b"send\n", b""):
                pass  # the shell shows what is set
            s.receive(3, frame)
            answer, errors = await asyncio.wait_for(shell.communicate(), 60)
            s.target.stop()
            assert shell.returncode == 0, errors.decode()
            assert json.loads(answer.splitlines()[-1]) == {
                "version": "1.4.1",
                "weights": [2],
                "meters": [10, 30],
                "packets": [60],
                "digests": [1],
                "idle": [1],
                "hit": [True],
            }

    run(main)


@pytest.mark.timeout(300)
def test_interactive_shell_starts_as_the_command_says(shell_python: Path) -> None:
    with running_switch("--pipeline", EVERYTHING) as switch:
        argv = shell_argv(switch.address, 1, (0, 1), directory=VENV)
        done = subprocess.run(
            argv, input="tables\nexit\n", capture_output=True, text=True, check=False, timeout=120
        )
    assert "I.stations" in done.stdout, done.stderr
