from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable, Mapping

import pytest
from replay_processes import ServerProcess

from p4cats.replay import LiveState, Request

Command = Callable[..., list[str]]


def line(
    t_s: float, histogram: Mapping[int, int], sites: Mapping[str, int], event: str = "progress", **errors: int
) -> bytes:
    answered = sum(sites.values())
    record = {
        "event": event,
        "client": "c",
        "t_s": t_s,
        "planned": 100,
        "sent": answered + sum(errors.values()) + 1,
        "answered": answered,
        "errors": errors,
        "sites": sites,
        "late_max_ms": t_s,
        "histogram": histogram,
    }
    return json.dumps(record).encode() + b"\n"


def test_lines_of_several_clients_are_merged() -> None:
    state = LiveState(["a", "b", "c"])
    assert state.feed("a", line(1.0, {100: 3}, {"edge1": 3}))
    assert state.feed("b", line(0.9, {100: 1, 200: 1}, {"cloud": 1}, "end", timeout=1))
    now = state.snapshot()
    assert (now.t_s, now.planned, now.sent, now.answered, now.in_flight, now.ended) == (1.0, 200, 7, 4, 2, 1)
    assert now.errors == {"timeout": 1}
    assert now.share == {"cloud": 0.25, "edge1": 0.75}
    assert now.p50_ms is not None
    assert now.p99_ms is not None
    assert now.p50_ms < now.p99_ms
    assert now.late_max_ms == 1.0


def test_a_line_in_pieces_counts_when_it_is_complete() -> None:
    state = LiveState(["a"])
    data = line(1.0, {100: 3}, {"edge1": 3})
    assert not state.feed("a", data[:20])
    assert not state.feed("a", data[20:-1])
    assert state.snapshot().answered == 0
    assert state.feed("a", data[-1:] + b"{")
    assert state.snapshot().answered == 3


def test_foreign_lines_are_passed_over() -> None:
    state = LiveState(["a"])
    assert not state.feed("a", b'Warning: something\n{"event": "x"}\n[1]\n\xff\n')
    assert state.snapshot().sent == 0


def test_recent_values_forget_what_is_old() -> None:
    state = LiveState(["a"], recent_s=2.0)
    for t_s, edge2 in ((0.5, 0), (2.0, 1), (2.5, 5)):
        state.feed("a", line(t_s, {100: 10, 200: edge2}, {"edge1": 10, "edge2": edge2}))
        now = state.snapshot()
    assert now.recent_share == {"edge2": 1.0}
    assert now.recent_p50_ms == now.recent_p99_ms == now.p99_ms
    assert now.share["edge1"] == pytest.approx(2 / 3)


def test_nothing_yet_is_a_snapshot_too() -> None:
    now = LiveState(["a"]).snapshot()
    assert (now.t_s, now.p50_ms, now.recent_p99_ms, dict(now.share)) == (0.0, None, None, {})


def test_follow_reads_pipes_to_their_end() -> None:
    read_end, write_end = os.pipe()
    os.write(write_end, line(0.5, {100: 1}, {"edge1": 1}) + line(1.0, {100: 2}, {"edge1": 2}, "end"))
    os.close(write_end)
    with open(read_end, "rb") as pipe:
        *_, last = LiveState(["a"]).follow({"a": pipe}, tick_s=0.01)
    assert (last.answered, last.ended) == (2, 1)


def test_follow_ticks_while_clients_are_silent() -> None:
    read_end, write_end = os.pipe()
    with open(read_end, "rb") as pipe:
        snapshots = LiveState(["a"]).follow({"a": pipe}, tick_s=0.01)
        assert next(snapshots).sent == 0
        assert next(snapshots).sent == 0
        os.close(write_end)
        assert [snapshot.ended for snapshot in snapshots][-1] == 0


def test_real_clients_are_followed_to_their_results(
    start_server: Callable[..., ServerProcess], client_command: Command
) -> None:
    server = start_server("--service-time", "constant:1ms", "--name", "edge1")
    command = client_command([Request(at * 0.005) for at in range(100)], server.port, "--interval", "20ms")
    client = subprocess.Popen(command, stdout=subprocess.PIPE)
    assert client.stdout is not None
    with client.stdout:
        *_, last = LiveState(["a"]).follow({"a": client.stdout}, tick_s=0.02)
    assert client.wait(30) == 0
    assert (last.planned, last.sent, last.answered, last.ended) == (100, 100, 100, 1)
    assert last.share == {"edge1": 1.0}
