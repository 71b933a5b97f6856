"""RPCs over real gRPC: pipelines (P4Runtime section 7), writes, reads, capabilities, streams."""

from __future__ import annotations

import asyncio
import contextlib

import grpc
import pytest
from finsy.proto import p4i, p4r, stratum
from p4rt_client import Client, client, error_details
from served import code, everything, id_of, run, served, status, transit

INSERT, DELETE = p4r.Update.INSERT, p4r.Update.DELETE


@pytest.fixture(params=["model", pytest.param("xdp", marks=pytest.mark.root)])
def target(request: pytest.FixtureRequest) -> str:
    """The target under the service, where what is kept in it matters."""
    found: str = request.param
    return found


def station(address: int, port: int = 1) -> p4r.TableEntry:
    entry = p4r.TableEntry(table_id=id_of("stations"))
    entry.match.add(field_id=1).exact.value = address.to_bytes(6, "big").lstrip(b"\0") or b"\0"
    entry.action.action.action_id = id_of("forward")
    entry.action.action.params.add(param_id=1, value=bytes([port]))
    return entry


def route(number: int) -> p4r.TableEntry:
    entry = p4r.TableEntry(table_id=id_of("routes"))
    entry.match.add(field_id=1).exact.value = b"\x01"
    lpm = entry.match.add(field_id=2).lpm
    lpm.value, lpm.prefix_len = (0x0A000000 + number).to_bytes(4, "big"), 32
    entry.action.action.action_id = id_of("forward")
    entry.action.action.params.add(param_id=1, value=b"\x01")
    return entry


def update(entry: p4r.TableEntry, kind: p4r.Update.Type.ValueType = INSERT) -> p4r.Update:
    return p4r.Update(type=kind, entity=p4r.Entity(table_entry=entry))


ALL_ENTRIES = p4r.Entity(table_entry=p4r.TableEntry())


# -- pipeline config ---------------------------------------------------------------------------


def test_without_a_pipeline_reads_and_writes_fail_and_get_is_empty() -> None:
    async def test() -> None:
        async with served() as s, client(s.address) as c:
            await c.arbitrate(1)
            assert await c.get_pipeline() is None
            assert await code(c.insert(station(1))) == "FAILED_PRECONDITION"
            assert await code(c.read(ALL_ENTRIES)) == "FAILED_PRECONDITION"

    run(test)


def test_committed_pipeline_is_returned_as_it_was_set() -> None:
    async def test() -> None:
        program = everything()
        async with served() as s, client(s.address) as c:
            await c.arbitrate(1)
            await c.set_pipeline("VERIFY_AND_COMMIT", program.config, program.info, cookie=77)
            config = await c.get_pipeline()
            assert config is not None
            assert config.p4info == program.info
            assert config.p4_device_config == program.config
            assert config.cookie.cookie == 77
            cookie_only = await c.get_pipeline("COOKIE_ONLY")
            assert cookie_only is not None
            assert cookie_only.ByteSize() == config.cookie.ByteSize() + 2
            info = await c.get_pipeline("P4INFO_AND_COOKIE")
            assert info is not None
            assert info.p4info == program.info
            assert not info.p4_device_config
            device = await c.get_pipeline("DEVICE_CONFIG_AND_COOKIE")
            assert device is not None
            assert device.p4_device_config == program.config
            assert not device.HasField("p4info")

    run(test)


def test_cookie_is_returned_only_if_it_was_set() -> None:
    async def test() -> None:
        async with served() as s, client(s.address) as c:
            await c.arbitrate(1)
            await c.set_pipeline("VERIFY_AND_COMMIT", transit().config)
            config = await c.get_pipeline()
            assert config is not None
            assert not config.HasField("cookie")

    run(test)


def test_commit_clears_the_forwarding_state(target: str) -> None:
    async def test() -> None:
        program = everything()
        async with served(program, target=target) as s, client(s.address) as c:
            await c.arbitrate(1)
            await c.insert(station(1))
            await c.set_pipeline("VERIFY_AND_COMMIT", program.config, program.info)
            assert station(1) not in [e.table_entry for e in await c.read(ALL_ENTRIES)]

    run(test)


def test_verify_changes_nothing() -> None:
    async def test() -> None:
        async with served() as s, client(s.address) as c:
            await c.arbitrate(1)
            await c.set_pipeline("VERIFY", everything().config, everything().info)
            assert await c.get_pipeline() is None

    run(test)


def test_saved_pipeline_takes_writes_and_forwards_after_commit_with_them(target: str) -> None:
    async def test() -> None:
        program = everything()
        async with served(transit(), target=target) as s, client(s.address) as c:
            await c.arbitrate(1)
            before = s.service.pipelines.forwarding
            await c.set_pipeline("VERIFY_AND_SAVE", program.config, program.info)
            await c.insert(station(1))
            assert s.service.pipelines.forwarding is before
            await c.set_pipeline("COMMIT")
            assert s.service.pipelines.forwarding is not before
            assert station(1) in [e.table_entry for e in await c.read(ALL_ENTRIES)]

    run(test)


def test_reconcile_keeps_the_state_that_the_new_program_has_room_for(target: str) -> None:
    async def test() -> None:
        program = everything()
        bigger = program.config.replace(b"size = 4;", b"size = 400;")
        assert bigger != program.config
        async with served(program, target=target) as s, client(s.address) as c:
            await c.arbitrate(1)
            default = p4r.TableEntry(table_id=id_of("stations"), is_default_action=True)
            default.action.action.action_id = id_of("NoAction")
            await c.insert(station(1), station(2), route(1))
            await c.write(update(default, p4r.Update.MODIFY))
            entries = await c.read(ALL_ENTRIES)
            await c.set_pipeline("RECONCILE_AND_COMMIT", bigger, cookie=3)
            assert await c.read(ALL_ENTRIES) == entries
            [kept] = await c.read(
                p4r.Entity(table_entry=p4r.TableEntry(table_id=default.table_id, is_default_action=True))
            )
            assert kept.table_entry == default
            await c.insert(*(station(n) for n in range(3, 20)))
            assert await code(c.set_pipeline("RECONCILE_AND_COMMIT", program.config)) == "INVALID_ARGUMENT"
            assert len(await c.read(ALL_ENTRIES)) == len(entries) + 17

    run(test)


def test_7_reconcile_keeps_the_meter_of_a_const_default_entry(target: str) -> None:
    async def test() -> None:
        program = everything()
        async with served(program, target=target) as s, client(s.address) as c:
            await c.arbitrate(1)
            meter = p4r.TableEntry(table_id=id_of("acl"), is_default_action=True)
            meter.meter_config.cir = meter.meter_config.pir = 5
            await c.write(update(meter, p4r.Update.MODIFY))
            await c.set_pipeline("RECONCILE_AND_COMMIT", program.config + b"\n")
            [kept] = await c.read(p4r.Entity(table_entry=meter))
            assert kept.table_entry.meter_config.cir == 5

    run(test)


@pytest.mark.parametrize(
    ("action", "config", "expected"),
    [
        ("UNSPECIFIED", everything().config, "INVALID_ARGUMENT"),
        ("VERIFY", b"", "INVALID_ARGUMENT"),
        ("VERIFY_AND_COMMIT", b"header h {", "INVALID_ARGUMENT"),
        ("VERIFY_AND_COMMIT", b'{"program": "bmv2"}', "INVALID_ARGUMENT"),
        ("VERIFY_AND_COMMIT", b"\xff\xfe", "INVALID_ARGUMENT"),
        ("VERIFY_AND_COMMIT", b'#include "/etc/passwd"', "INVALID_ARGUMENT"),
        ("COMMIT", b"", "NOT_FOUND"),
        ("COMMIT", everything().config, "INVALID_ARGUMENT"),
        ("RECONCILE_AND_COMMIT", b"", "INVALID_ARGUMENT"),
    ],
)
def test_unusable_config_is_refused(action: str, config: bytes, expected: str) -> None:
    async def test() -> None:
        async with served() as s, client(s.address) as c:
            await c.arbitrate(1)
            assert await code(c.set_pipeline(action, config)) == expected

    run(test)


def test_compile_errors_name_file_line_and_column() -> None:
    async def test() -> None:
        async with served() as s, client(s.address) as c:
            await c.arbitrate(1)
            broken = everything().config.replace(b"apply { }", b"apply { nonsense; }", 1)
            error = await status(c.set_pipeline("VERIFY", broken))
            assert "everything.p4:" in (error.details() or "")
            assert "error:" in (error.details() or "")

    run(test)


def test_foreign_p4info_is_invalid_and_reordered_one_is_not() -> None:
    async def test() -> None:
        program = everything()
        async with served() as s, client(s.address) as c:
            await c.arbitrate(1)
            wrong = p4i.P4Info()
            wrong.CopyFrom(program.info)
            wrong.tables[0].size = 9
            error = await status(c.set_pipeline("VERIFY", program.config, wrong))
            assert error.code() == grpc.StatusCode.INVALID_ARGUMENT
            assert "stations" in (error.details() or "")
            turned = p4i.P4Info()
            turned.CopyFrom(program.info)
            tables = list(program.info.tables)
            turned.ClearField("tables")
            turned.tables.extend(reversed(tables))
            assert await code(c.set_pipeline("VERIFY", program.config, turned)) == "OK"

    run(test)


def test_pipeline_is_set_by_the_primary_of_a_known_device_and_role_only() -> None:
    async def test() -> None:
        async with served() as s, client(s.address) as one, client(s.address) as two:
            config = transit().config
            assert await code(one.set_pipeline("VERIFY", config)) == "PERMISSION_DENIED"
            await one.arbitrate(5)
            await two.arbitrate(4)
            assert await code(two.set_pipeline("VERIFY", config)) == "PERMISSION_DENIED"
            one.role = "unheard of"
            assert await code(one.set_pipeline("VERIFY", config)) == "NOT_FOUND"
            assert await code(one.get_pipeline(device_id=9)) == "NOT_FOUND"

    run(test)


# -- writes ------------------------------------------------------------------------------------


def test_order_of_checks_device_then_primary_then_pipeline() -> None:
    async def test() -> None:
        async with served() as s, client(s.address) as c:
            assert await code(c.write(device_id=2)) == "NOT_FOUND"
            assert await code(c.write()) == "PERMISSION_DENIED"
            await c.arbitrate(1)
            assert await code(c.write()) == "FAILED_PRECONDITION"

    run(test)


def test_failed_batch_is_unknown_with_one_error_per_update_in_order(target: str) -> None:
    async def test() -> None:
        async with served(everything(), target=target) as s, client(s.address) as c:
            await c.arbitrate(1)
            error = await status(c.insert(station(1), station(1), station(2, port=0)))
            assert error.code() == grpc.StatusCode.UNKNOWN
            details = error_details(error)
            assert [d.canonical_code for d in details] == [0, 6, 0]
            assert "I.stations" in details[1].message
            assert not details[0].message
            entries = [e.table_entry for e in await c.read(ALL_ENTRIES)]
            assert station(1) in entries
            assert station(2, port=0) in entries

    run(test)


@pytest.mark.parametrize(
    ("atomicity", "target"),
    [
        ("ROLLBACK_ON_ERROR", "model"),
        ("DATAPLANE_ATOMIC", "model"),
        pytest.param("ROLLBACK_ON_ERROR", "xdp", marks=pytest.mark.root),
    ],
)
def test_12_2_atomic_batch_is_carried_out_whole_or_not_at_all(atomicity: str, target: str) -> None:
    async def test() -> None:
        async with served(everything(), target=target) as s, client(s.address) as c:
            await c.arbitrate(1)
            await c.insert(station(1))
            before = await c.read(ALL_ENTRIES)
            mode = p4r.WriteRequest.Atomicity.Value(atomicity)
            batch = [update(station(2)), update(station(1), DELETE), update(station(2)), update(route(1))]
            error = await status(c.write(*batch, atomicity=mode))
            assert error.code() == grpc.StatusCode.UNKNOWN
            assert [d.canonical_code for d in error_details(error)] == [10, 10, 6, 10]
            assert await c.read(ALL_ENTRIES) == before
            await c.write(batch[0], batch[1], batch[3], atomicity=mode)
            assert len(await c.read(ALL_ENTRIES)) == len(before) + 1

    run(test)


def test_12_2_target_that_cannot_hide_a_batch_from_packets_says_so(target: str) -> None:
    async def test() -> None:
        async with served(everything(), target=target) as s, client(s.address) as c:
            await c.arbitrate(1)
            if target == "model":
                s.service.pipelines.atomic_batches = False
            for mode, expected in ((1, "OK"), (2, "UNIMPLEMENTED"), (3, "INVALID_ARGUMENT")):
                assert await code(c.write(update(station(mode)), atomicity=mode)) == expected

    run(test)


def test_large_batches_and_answers_pass_and_no_reply_is_large(target: str) -> None:
    async def test() -> None:
        async with served(everything(), target=target) as s, client(s.address) as c:
            await c.arbitrate(1)
            await c.insert(*(route(n) for n in range(40_000)))
            sizes = []
            found = 0
            request = p4r.ReadRequest(device_id=1, entities=[ALL_ENTRIES])
            async for reply in c.stub.Read(request):
                sizes.append(reply.ByteSize())
                found += len(reply.entities)
            assert found == 40_000 + 4
            assert len(sizes) > 1
            assert max(sizes) < 4 << 20
            error = await status(c.insert(*(route(n) for n in range(5_000))))
            assert [d.canonical_code for d in error_details(error)] == [6] * 5_000

    run(test)


def test_writes_of_many_clients_take_turns() -> None:
    async def test() -> None:
        async with served(everything()) as s, client(s.address) as c:
            await c.arbitrate(1)
            batches = [[route(256 * k + n) for n in range(200)] for k in range(8)]
            await asyncio.gather(*(c.insert(*b) for b in batches), c.read(ALL_ENTRIES), c.read(ALL_ENTRIES))
            assert len(await c.read(ALL_ENTRIES)) == 8 * 200 + 4

    run(test)


# -- reads -------------------------------------------------------------------------------------


def test_read_needs_neither_stream_nor_election_id() -> None:
    async def test() -> None:
        async with served(everything()) as s, client(s.address) as c:
            assert len(await c.read(ALL_ENTRIES)) == 4
            assert await code(c.read(ALL_ENTRIES, device_id=2)) == "NOT_FOUND"

    run(test)


def test_bad_entity_of_a_read_leaves_the_answer_to_the_others() -> None:
    async def test() -> None:
        async with served(everything()) as s, client(s.address) as c:
            found = 0
            request = p4r.ReadRequest(device_id=1, entities=[p4r.Entity(), ALL_ENTRIES])

            async def read() -> None:
                nonlocal found
                async for reply in c.stub.Read(request):
                    found += len(reply.entities)

            failed = await status(read())
            assert found == 4
            assert failed.code() == grpc.StatusCode.UNKNOWN
            assert [d.canonical_code for d in error_details(failed)] == [3, 0]

    run(test)


def test_capabilities_tell_the_version() -> None:
    async def test() -> None:
        async with served() as s, client(s.address) as c:
            reply = await c.stub.Capabilities(p4r.CapabilitiesRequest())
            assert reply.p4runtime_api_version == "1.4.1"
            assert await code(c.stub.Capabilities(p4r.CapabilitiesRequest(device_id=9))) == "NOT_FOUND"

    run(test)


# -- streams -----------------------------------------------------------------------------------


def test_first_stream_message_must_be_arbitration() -> None:
    async def test() -> None:
        async with served() as s, client(s.address) as c:
            await c.send(packet=p4r.PacketOut())
            assert await c.stream_status() == grpc.StatusCode.FAILED_PRECONDITION

    run(test)


def test_arbitration_errors_end_the_stream_with_their_code() -> None:
    async def test() -> None:
        async with served() as s, client(s.address) as one, client(s.address) as two:
            await one.arbitrate(1)
            await two.send(
                arbitration=p4r.MasterArbitrationUpdate(device_id=1, election_id=p4r.Uint128(low=1))
            )
            assert await two.stream_status() == grpc.StatusCode.INVALID_ARGUMENT

    run(test)


def test_backup_hears_when_the_primary_goes_away() -> None:
    async def test() -> None:
        async with served() as s, client(s.address) as one, client(s.address) as two:
            await one.arbitrate(2)
            await two.arbitrate(1)
            await one.hang_up()
            assert (await two.receive("arbitration")).status.code == 5

    run(test)


def test_primary_whose_connection_breaks_is_primary_no_more() -> None:
    async def test() -> None:
        async with served(everything()) as s, client(s.address) as two:
            async with client(s.address) as one:
                await one.arbitrate(2)
                await two.arbitrate(1)
            assert (await two.receive("arbitration")).status.code == 5
            assert await code(one_more(two)) == "PERMISSION_DENIED"

    async def one_more(c: Client) -> None:
        await c.insert(station(1))

    run(test)


def test_backup_may_not_send_packets() -> None:
    async def test() -> None:
        async with served(everything()) as s, client(s.address) as one, client(s.address) as two:
            await one.arbitrate(2)
            await two.arbitrate(1)
            await two.send(packet=p4r.PacketOut(payload=b"x"))
            assert (await two.receive("error")).canonical_code == 7

    run(test)


def test_unknown_digest_in_an_acknowledgement_is_a_stream_error() -> None:
    async def test() -> None:
        async with served(everything()) as s, client(s.address) as c:
            await c.arbitrate(1)
            await c.send(digest_ack=p4r.DigestListAck(digest_id=5, list_id=1))
            error = await c.receive("error")
            assert error.canonical_code == 3
            assert error.digest_list_ack.digest_list_ack.digest_id == 5

    run(test)


def test_6_4_role_reads_what_its_configuration_allows() -> None:
    """A wildcard finds the role's objects, the id of another is denied; without a role all is seen."""

    async def test() -> None:
        async with served(everything()) as s, client(s.address) as c:
            config = stratum.P4RoleConfig(shared_p4_ids=[id_of("stations")])
            await c.arbitrate(1, role="hosts", config=config)
            await c.insert(station(1))
            assert [e.table_entry for e in await c.read(ALL_ENTRIES, role="hosts")] == [station(1)]
            others = p4r.Entity(table_entry=p4r.TableEntry(table_id=id_of("routes")))
            error = await status(c.read(others, role="hosts"))
            assert [d.canonical_code for d in error_details(error)] == [7]
            assert await c.read(others) == []
            counters = p4r.Entity(counter_entry=p4r.CounterEntry())
            assert await c.read(counters, role="hosts") == []
            assert len(await c.read(counters)) == 16
            assert await code(c.read(ALL_ENTRIES, role="nobody")) == "NOT_FOUND"

    run(test)


def test_role_writes_what_its_configuration_allows() -> None:
    async def test() -> None:
        async with served(everything()) as s, client(s.address) as c:
            config = stratum.P4RoleConfig(shared_p4_ids=[id_of("stations")])
            await c.arbitrate(1, role="hosts", config=config)
            await c.insert(station(1))
            error = await status(c.insert(route(1)))
            assert [d.canonical_code for d in error_details(error)] == [7]
            group = p4r.PacketReplicationEngineEntry(multicast_group_entry={"multicast_group_id": 1})
            everyones = p4r.Entity(packet_replication_engine_entry=group)
            await c.write(p4r.Update(type=INSERT, entity=everyones))
            assert await code(c.set_pipeline("VERIFY", transit().config)) == "PERMISSION_DENIED"

    run(test)


# -- many clients --------------------------------------------------------------------------------


def test_fifty_streams_elect_one_primary_and_readers_see_writes_whole(target: str) -> None:
    """Writers, readers and packets of many clients at once; each batch of 50 is seen whole or not at all."""

    async def test() -> None:
        async with served(everything(), target=target) as s, contextlib.AsyncExitStack() as stack:
            clients = [await stack.enter_async_context(client(s.address)) for _ in range(50)]
            replies = await asyncio.gather(*(c.arbitrate(n) for n, c in enumerate(clients, 1)))
            assert sum(r.status.code == 0 for r in replies) >= 1
            primary = clients[-1]
            batches = [[route(256 * k + n) for n in range(50)] for k in range(20)]
            routes = p4r.Entity(table_entry=p4r.TableEntry(table_id=id_of("routes")))
            counts: list[int] = []

            async def reader(c: Client) -> None:
                for _ in range(5):
                    counts.append(len(await c.read(routes)))

            async def writer() -> None:
                for batch in batches:
                    await primary.insert(*batch)

            async def intruder(c: Client) -> None:
                assert await code(c.insert(station(1))) == "PERMISSION_DENIED"
                await c.send(packet=p4r.PacketOut(payload=b"x"))
                assert (await c.receive("error")).canonical_code == 7

            await asyncio.gather(writer(), *map(reader, clients[:20]), *map(intruder, clients[20:49]))
            assert counts == [n for n in counts if n % 50 == 0]
            assert len(await primary.read(routes)) == 1000
            await primary.hang_up()
            notes = await asyncio.gather(*(last_arbitration(c) for c in clients[:49]))
            assert set(notes) == {5}

    async def last_arbitration(c: Client) -> int:
        """What a backup heard in the end: that nobody is primary."""
        while (code_ := (await c.receive("arbitration")).status.code) != 5:
            pass
        return int(code_)

    run(test)


def test_clients_that_vanish_leave_nothing_behind() -> None:
    async def test() -> None:
        async with served(everything()) as s:
            for election_id in range(1, 40):
                async with client(s.address) as c:
                    await c.arbitrate(election_id)
                    await c.insert(station(election_id % 4))
                    await c.write(update(station(election_id % 4), DELETE))
            async with client(s.address) as c:
                assert (await c.arbitrate(40)).status.code == 0
                for _ in range(100):
                    if len(s.service.streams._outboxes) == 1:
                        break
                    await asyncio.sleep(0.02)
                assert len(s.service.streams._outboxes) == 1

    run(test)


def test_other_stream_messages_are_answered_with_an_error() -> None:
    async def test() -> None:
        async with served(everything()) as s, client(s.address) as c:
            await c.arbitrate(1)
            message = p4r.StreamMessageRequest()
            message.other.Pack(p4r.PacketOut(payload=b"x"))
            await c.send(other=message.other)
            error = await c.receive("error")
            assert error.canonical_code == 3
            assert error.other.other == message.other

    run(test)
