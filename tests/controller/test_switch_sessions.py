"""Sessions with real gRPC: convergence, restarts, refusals, arbitration."""

import asyncio
import logging

from controlled_network import running, until
from fake_p4runtime import EDGE, TRANSIT, write_program
from finsy import P4Client
from finsy.proto import p4r

from p4cats.controller.arbitration import Arbitration
from p4cats.controller.entries import entry
from p4cats.controller.switches import BATCH, PipelineFiles


def held(network):
    return {name: dict(switch.table) for name, switch in network.switches.items()}


def test_controller_fills_every_switch_and_is_converged(on_network):
    async def body(network):
        async with network.controlled() as controller:
            assert controller.is_converged
            assert controller.converge_s > 0
            for name, wanted in controller.desired.entries(controller.state()).items():
                assert len(network.switches[name].table) == len(wanted)
                assert network.switches[name].pushes == 1

    on_network(body)


def test_restarted_controller_changes_nothing(on_network):
    async def body(network):
        async with network.controlled():
            before = held(network)
        async with network.controlled() as controller:
            assert held(network) == before
            for name, switch in network.switches.items():
                assert controller.sessions[name].updates_written == 0
                assert switch.pushes == 1

    on_network(body)


def test_restarted_switch_is_filled_again(on_network):
    async def body(network):
        core = network.switches["core"]
        async with network.controlled() as controller:
            before = held(network)
            await core.stop()
            await until(lambda: not controller.sessions["core"].connected)
            assert not controller.is_converged
            core.forget()
            await core.start()
            await asyncio.wait_for(controller.converged(), 30)
            assert held(network) == before

    on_network(body)


def test_connection_lost_with_entries_kept_writes_nothing(on_network):
    async def body(network):
        core = network.switches["core"]
        async with network.controlled() as controller:
            written = controller.sessions["core"].updates_written
            await core.stop()
            await until(lambda: not controller.sessions["core"].connected)
            await core.start()
            await asyncio.wait_for(controller.converged(), 30)
            assert controller.sessions["core"].updates_written == written
            assert core.pushes == 1

    on_network(body)


def test_foreign_and_wrong_entries_are_put_right_and_the_others_left_alone(on_network):
    async def body(network):
        core = network.switches["core"]
        async with network.controlled():
            before = held(network)
        first, second, third = list(core.table)[:3]
        foreign = p4r.TableEntry()
        foreign.CopyFrom(core.table[first])
        foreign.match[0].lpm.value = b"\x30\x01" + bytes(14)
        core.table["foreign"] = foreign
        core.table[second].action.action.params[0].value = b"\x07"
        del core.table[third]
        # The fake finds entries by their serialised match.
        core.table[foreign.table_id, foreign.match[0].SerializeToString()] = core.table.pop("foreign")
        core.history.clear()
        async with network.controlled():
            kinds = sorted(kind for kind, _ in core.history)
            assert kinds == sorted([p4r.Update.INSERT, p4r.Update.MODIFY, p4r.Update.DELETE])
            # Its parameter was changed in place, in `before` too: only the keys can be compared.
            assert held(network).keys() == before.keys()
            assert core.table.keys() == before["core"].keys()

    on_network(body)


def test_changed_policy_reaches_every_ingress_switch(on_network):
    async def body(network):
        async with network.controlled() as controller:
            for switch in network.switches.values():
                switch.history.clear()
            controller.set_service("chat", policy="nearest")
            assert not controller.is_converged
            await asyncio.wait_for(controller.converged(), 30)
            for name, switch in network.switches.items():
                assert len(switch.history) == (0 if name == "core" else 1)

    on_network(body)


def test_unreachable_switch_is_named_once_with_its_address_and_joined_later(on_network, caplog):
    caplog.set_level(logging.WARNING)

    async def body(network):
        core = network.switches["core"]
        await core.stop()
        controller = network.controller()
        async with running(controller):
            others = [session for name, session in controller.sessions.items() if name != "core"]
            await until(lambda: all(s.synced for s in others) and controller.sessions["core"].error)
            assert not controller.is_converged
            expected = f"switch core at {core.address}: cannot be reached: connection refused; trying again"
            assert [record.getMessage() for record in caplog.records] == [expected]
            await core.start()
            await asyncio.wait_for(controller.converged(), 30)
            assert controller.sessions["core"].error is None

    on_network(body)


def test_refused_updates_are_reported_with_table_and_field_and_tried_again(on_network, caplog):
    caplog.set_level(logging.WARNING)

    async def body(network):
        core = network.switches["core"]
        controller = network.controller()
        routes = controller.sessions["core"].schema.tables["routes"].id
        core.refuse_tables = {routes}
        async with running(controller):
            await until(lambda: controller.sessions["core"].error)
            error = controller.sessions["core"].error
            assert error.startswith("INSERT routes destination=")
            assert "RESOURCE_EXHAUSTED: table is full" in error
            assert "and " in error.rpartition(";")[2]
            assert f"switch core at {core.address}: INSERT routes" in caplog.text
            core.refuse_tables = set()
            await asyncio.wait_for(controller.converged(), 30)

    on_network(body)


def test_refused_program_is_reported(on_network, tmp_path):
    async def body(network):
        bad = tmp_path / "bad.p4"
        bad.write_bytes(b"bad program")
        pipelines = {
            **network.pipelines,
            "transit": PipelineFiles(network.pipelines["transit"].p4info_path, bad),
        }
        controller = network.controller(pipelines=pipelines)
        async with running(controller):
            await until(lambda: controller.sessions["core"].error)
            assert controller.sessions["core"].error == "INVALID_ARGUMENT: edge.p4:1:1: error: no program"

    on_network(body)


def test_program_without_a_table_is_reported(on_network, tmp_path):
    async def body(network):
        few = {name: table for name, table in EDGE.items() if "candidates" not in name}
        pipelines = {**network.pipelines, "edge": write_program(tmp_path, "few", few)}
        controller = network.controller(pipelines=pipelines)
        async with running(controller):
            await until(lambda: controller.sessions["edge1"].error)
            assert controller.sessions["edge1"].error.startswith("its program has no table c0.candidates")

    on_network(body)


def test_program_whose_action_lacks_a_parameter_is_reported_and_the_session_kept(on_network, tmp_path):
    async def body(network):
        bare = {"forward": {"port": 9}, "deliver": {"port": 9}}
        routes = TRANSIT["forwarding.routes"][0], bare
        pipelines = {
            **network.pipelines,
            "transit": write_program(tmp_path, "bare", {**TRANSIT, "forwarding.routes": routes}),
        }
        controller = network.controller(pipelines=pipelines)
        async with running(controller):
            session = controller.sessions["core"]
            await until(lambda: session.error)
            assert "'forward': no action parameter named" in session.error
            assert session.connected

    on_network(body)


def test_second_controller_waits_as_backup_and_takes_over(on_network):
    async def body(network):
        first, second = network.controller(), network.controller()
        async with running(second) as _:
            async with running(first):
                sessions = [*first.sessions.values(), *second.sessions.values()]
                await until(lambda: all(session.connected for session in sessions))
                for name in network.switches:
                    one, other = first.sessions[name], second.sessions[name]
                    await until(lambda one=one, other=other: one.synced != other.synced)
                    assert one.is_primary != other.is_primary
            await asyncio.wait_for(second.converged(), 30)
            assert all(session.is_primary for session in second.sessions.values())

    on_network(body)


def test_switch_is_put_right_after_a_stronger_controller_has_gone(on_network):
    async def body(network):
        core = network.switches["core"]
        async with network.controlled() as controller:
            before = held(network)
            stronger = Arbitration(core.device_id, 1 << 64)
            async with P4Client(core.address) as console:
                await console.send(stronger.bid())
                await until(lambda: not controller.sessions["core"].is_primary)
                assert not controller.is_converged
                del core.table[next(iter(core.table))]
            await asyncio.wait_for(controller.converged(), 30)
            assert controller.sessions["core"].is_primary
            assert core.table.keys() == before["core"].keys()

    on_network(body)


def test_cancelled_controller_leaves_no_task(on_network):
    async def body(network):
        async with network.controlled():
            pass
        names = {task.get_coro().__qualname__ for task in asyncio.all_tasks()}
        assert not [name for name in names if "Session" in name or "Controller" in name]

    on_network(body)


def test_many_entries_go_in_batches_and_every_refusal_comes_back(on_network):
    async def body(network):
        async with network.controlled() as controller:
            core, session = network.switches["core"], controller.sessions["core"]
            routes = [
                entry(
                    "routes",
                    {"destination": (number << 64, 64)},
                    "forward",
                    port=1,
                    source=1,
                    neighbor=1,
                    mtu=1500,
                )
                for number in range(1, 1001)
            ]
            core.refuse_tables = {session.schema.tables["routes"].id}
            session.want({item.key: item for item in routes})
            await until(lambda: session.error)
            assert session.error.endswith(f"and {BATCH - 5} more")
            core.refuse_tables = set()
            await until(lambda: session.synced)
            assert len(core.table) == 1000

    on_network(body)
