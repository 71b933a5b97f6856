"""finsy, unmodified, drives a switch through every entity it knows."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from functools import partial
from pathlib import Path
from typing import Any

import finsy as fy
import pytest
from finsy import P4TableAction as Action
from finsy import P4TableMatch as Match
from finsy.p4entity import P4ValueSetMember
from served import Served, everything, run, served

from p4cats.compiler.backends.p4info import write_p4info


@pytest.fixture
def options(tmp_path: Path) -> fy.SwitchOptions:
    program = everything()
    write_p4info(program.info, tmp_path / "everything.p4info.txtpb")
    (tmp_path / "everything.p4").write_bytes(program.config)
    return fy.SwitchOptions(
        p4info=tmp_path / "everything.p4info.txtpb", p4blob=tmp_path / "everything.p4", device_id=1
    )


Serve = Callable[[], AbstractAsyncContextManager[Served]]


@pytest.fixture(params=[pytest.param("xdp", marks=pytest.mark.root), "model"])
def serve(request: pytest.FixtureRequest) -> Serve:
    """Each target, without interfaces."""
    return partial(served, target=request.param)


def with_switch(
    options: fy.SwitchOptions, serve: Serve, test: Callable[[fy.Switch], Awaitable[None]]
) -> None:
    async def main() -> None:
        async with serve() as s, fy.Switch("sw", s.address, options) as switch:
            assert switch.is_primary
            await test(switch)

    run(main)


async def read(switch: fy.Switch, entity: Any) -> list[Any]:
    return [e async for e in switch.read(entity)]


def test_finsy_sets_the_pipeline_and_sees_its_own_cookie_the_second_time(
    options: fy.SwitchOptions, serve: Serve
) -> None:
    async def main() -> None:
        async with serve() as s:
            async with fy.Switch("one", s.address, options):
                first = s.service.pipelines.forwarding
            async with fy.Switch("two", s.address, options):
                assert s.service.pipelines.forwarding is first

    run(main)


def test_table_entries(options: fy.SwitchOptions, serve: Serve) -> None:
    async def test(switch: fy.Switch) -> None:
        def station() -> fy.P4TableEntry:
            match = Match(address="00:00:00:00:00:2a")
            return fy.P4TableEntry("stations", match=match, action=Action("forward", port=3))

        acl = fy.P4TableEntry(
            "acl", match=Match(src="10.0.0.0/8", protocol=6), action=Action("mark"), priority=7
        )
        await switch.write([+station(), +acl])
        assert [e.action.args for e in await read(switch, fy.P4TableEntry("stations"))] == [{"port": 3}]
        assert [e.priority for e in await read(switch, fy.P4TableEntry("acl"))] == [7]
        with pytest.raises(fy.P4ClientError) as refused:
            await switch.write([+station()])
        assert refused.value.details[0].canonical_code.name == "ALREADY_EXISTS"
        await switch.write([-station()])
        await switch.write([-station()], warn_only=True)
        assert await read(switch, fy.P4TableEntry("stations")) == []

    with_switch(options, serve, test)


def test_weighted_action_set_in_one_shot(options: fy.SwitchOptions, serve: Serve) -> None:
    async def test(switch: fy.Switch) -> None:
        ways = fy.P4IndirectAction([(2, Action("forward", port=1)), (1, Action("forward", port=2))])
        await switch.write([+fy.P4TableEntry("balanced", match=Match(dst="10.0.0.0/8"), action=ways)])
        [entry] = await read(switch, fy.P4TableEntry("balanced"))
        assert [w.weight if hasattr(w, "weight") else w[0] for w in entry.action.action_set] == [2, 1]

    with_switch(options, serve, test)


def test_members_groups_counters_meters_registers_value_sets_replication(
    options: fy.SwitchOptions, serve: Serve
) -> None:
    async def test(switch: fy.Switch) -> None:
        await switch.write([+fy.P4ActionProfileMember("ways", member_id=1, action=Action("forward", port=1))])
        group = fy.P4ActionProfileGroup("ways", group_id=1, max_size=2, members=[fy.P4Member(1, weight=1)])
        await switch.write([+group])
        assert len(await read(switch, fy.P4ActionProfileGroup("ways"))) == 1
        await switch.write(
            [~fy.P4CounterEntry("port_packets", index=2, data=fy.P4CounterData(packet_count=5))]
        )
        counters = await read(switch, fy.P4CounterEntry("port_packets"))
        assert [c.packet_count for c in counters][:4] == [0, 0, 5, 0]
        config = fy.P4MeterConfig(cir=1, cburst=2, pir=3, pburst=4)
        await switch.write([~fy.P4MeterEntry("port_meter", index=1, config=config)])
        assert (await read(switch, fy.P4MeterEntry("port_meter", index=1)))[0].config == config
        await switch.write([~fy.P4RegisterEntry("last_seen", index=1, data=99)])
        assert (await read(switch, fy.P4RegisterEntry("last_seen", index=1)))[0].data == 99
        await switch.write(
            [+fy.P4MulticastGroupEntry(5, replicas=[1, 2]), +fy.P4CloneSessionEntry(9, replicas=[3])]
        )
        assert (await read(switch, fy.P4MulticastGroupEntry()))[0].multicast_group_id == 5
        assert (await read(switch, fy.P4CloneSessionEntry()))[0].session_id == 9
        await switch.write([+fy.P4DigestEntry("learn_t", max_list_size=1)])
        assert len(await read(switch, fy.P4DigestEntry("learn_t"))) == 1

    with_switch(options, serve, test)


def test_direct_counters_and_meters_by_entry_and_inside_it(options: fy.SwitchOptions, serve: Serve) -> None:
    async def test(switch: fy.Switch) -> None:
        route = fy.P4TableEntry("routes", match=Match(vrf=1, dst="10.0.0.0/8"), action=Action("drop"))
        acl = fy.P4TableEntry("acl", match=Match(protocol=6), action=Action("mark"), priority=7)
        await switch.write([+route, +acl])
        config = fy.P4MeterConfig(cir=1, cburst=2, pir=3, pburst=4)
        await switch.write(
            [
                ~fy.P4DirectCounterEntry(
                    "route_counter",
                    table_entry=fy.P4TableEntry("routes", match=Match(vrf=1, dst="10.0.0.0/8")),
                    data=fy.P4CounterData(packet_count=3, byte_count=300),
                ),
                ~fy.P4DirectMeterEntry(
                    table_entry=fy.P4TableEntry("acl", match=Match(protocol=6), priority=7), config=config
                ),
            ]
        )
        [counter] = await read(switch, fy.P4DirectCounterEntry("route_counter"))
        assert (counter.packet_count, counter.byte_count) == (3, 300)
        [meter] = await read(switch, fy.P4DirectMeterEntry(table_entry=fy.P4TableEntry("acl")))
        assert meter.config == config
        [entry] = await read(switch, fy.P4TableEntry("routes", counter_data=fy.P4CounterData()))
        assert entry.counter_data == fy.P4CounterData(packet_count=3, byte_count=300)
        [entry] = await read(switch, fy.P4TableEntry("acl", meter_config=config))
        assert entry.meter_config == config

    with_switch(options, serve, test)


def test_value_sets_default_entries_and_entries_of_the_program(
    options: fy.SwitchOptions, serve: Serve
) -> None:
    async def test(switch: fy.Switch) -> None:
        members = [P4ValueSetMember(0x88B5), P4ValueSetMember(0x88B6)]
        await switch.write([~fy.P4ValueSetEntry("known_types", members=members)])
        [value_set] = await read(switch, fy.P4ValueSetEntry("known_types", members=[]))
        assert [m.value for m in value_set.members] == [0x88B5, 0x88B6]
        await switch.write(
            [~fy.P4TableEntry("stations", is_default_action=True, action=Action("flood", group=5))]
        )
        [default] = await read(switch, fy.P4TableEntry("stations", is_default_action=True))
        assert default.action == Action("flood", group=5)
        assert [e.is_const for e in await read(switch, fy.P4TableEntry("classes"))] == [True, True]
        members_and_groups = [
            +fy.P4ActionProfileMember("shared", member_id=1, action=Action("set_class", **{"class": 1})),
            +fy.P4TableEntry("profiled", match=Match(tos=1), action=fy.P4IndirectAction(member_id=1)),
        ]
        await switch.write(members_and_groups)
        [entry] = await read(switch, fy.P4TableEntry("profiled"))
        assert entry.action.member_id == 1

    with_switch(options, serve, test)


def test_what_was_inserted_is_deleted_by_wildcard_or_by_key(options: fy.SwitchOptions, serve: Serve) -> None:
    async def test(switch: fy.Switch) -> None:
        others = [fy.P4MulticastGroupEntry(5, replicas=[1, 2]), fy.P4CloneSessionEntry(9, replicas=[3])]
        digest = fy.P4DigestEntry("learn_t", max_list_size=1)
        entry = fy.P4TableEntry("stations", match=Match(address=1), action=Action("forward", port=1))
        await switch.insert([entry, *others, digest])
        everything = [
            fy.P4TableEntry("stations"),
            fy.P4MulticastGroupEntry(),
            fy.P4CloneSessionEntry(),
            fy.P4DigestEntry(),
        ]
        assert len(await read(switch, everything)) == 4
        await switch.delete_many([fy.P4TableEntry("stations")])
        await switch.delete([*others, digest])
        assert await read(switch, everything) == []

    with_switch(options, serve, test)


def test_packet_out_comes_back_and_idle_entries_are_told(options: fy.SwitchOptions, serve: Serve) -> None:
    async def main() -> None:
        async with serve() as s, fy.Switch("sw", s.address, options) as switch:
            s.target.start()
            packets, idle = switch.read_packets(), switch.read_idle_timeouts()
            waiting = asyncio.ensure_future(anext(packets)), asyncio.ensure_future(anext(idle))
            await asyncio.sleep(0)
            learned = fy.P4TableEntry(
                "learned", match=Match(address=9), action=Action("NoAction"), idle_timeout_ns=1, metadata=b"m"
            )
            await switch.write([+learned, fy.P4PacketOut(bytes(60), egress_port=510, unused=0)])
            packet, note = await asyncio.wait_for(asyncio.gather(*waiting), 15)
            assert packet.payload == bytes(60)
            assert [(e.match, e.metadata) for e in note.table_entry] == [({"address": 9}, b"m")]
            s.target.stop()

    run(main)


def test_digests_and_packets_reach_finsy(options: fy.SwitchOptions, serve: Serve) -> None:
    frame = bytes.fromhex("02000000000b02000000000a88b5") + bytes(50)

    async def main() -> None:
        async with serve() as s, fy.Switch("sw", s.address, options) as switch:
            punt = fy.P4TableEntry(
                "stations", match=Match(address="02:00:00:00:00:0b"), action=Action("to_controller")
            )
            await switch.write([+fy.P4DigestEntry("learn_t", max_list_size=1), +punt])
            packets, digests = switch.read_packets(), switch.read_digests("learn_t")
            waiting = asyncio.ensure_future(anext(packets)), asyncio.ensure_future(anext(digests))
            await asyncio.sleep(0)
            s.receive(3, frame)
            packet, digest = await asyncio.wait_for(asyncio.gather(*waiting), 15)
            assert packet.payload == frame
            assert packet["ingress_port"] == 3
            assert digest.data[0] == {"address": 0x02000000000A, "port": 3, "first": True}

    run(main)
