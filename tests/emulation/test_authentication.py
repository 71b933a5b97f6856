"""Metrics of a running network are authenticated, and stay so while keys change under live traffic."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any

import pytest
from emulation_helpers import EDGE_CLOUD

from p4cats.emulation.deployment import Deployment
from p4cats.topologies.schema import load

pytestmark = [pytest.mark.root, pytest.mark.alone, pytest.mark.timeout(180)]
ACCESS = ("access1", "access2")


def options(deployment: Deployment) -> dict[str, Mapping[str, int]]:
    """What each access switch made of the metric options that it saw."""
    switches = deployment.controller.status()["switches"]
    return {item["name"]: item["metric_options"] for item in switches if item["name"] in ACCESS}


def until(condition: Callable[[], Any], what: str, timeout_s: float = 60.0) -> None:
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, f"{what}: not within {timeout_s:.0f} s"
        time.sleep(0.05)


@pytest.mark.parametrize("target", ["model", "xdp"])
def test_keys_change_under_live_stamping_and_nothing_is_lost(target: str) -> None:
    topology = load(EDGE_CLOUD).model_copy(update={"key_lifetime_us": 1_000_000})
    with Deployment(topology, target=target) as deployment:
        until(
            lambda: all(found.get("learned") for found in options(deployment).values()), "loads are learned"
        )
        until(lambda: deployment.controller.status()["stamping"].get("stamped"), "stamps are counted")
        first, ids = options(deployment), Counter[int]()
        deadline = time.monotonic() + 60
        while len(ids) < 3:
            assert time.monotonic() < deadline, ids
            ids.update(item["key_id"] for item in deployment.controller.instances() if item["key_id"])
            time.sleep(0.1)
        last = options(deployment)
    for name in ACCESS:
        lost = Counter(last[name]) - Counter(first[name])
        learned = lost.pop("learned")
        assert learned > 100
        assert lost.total() == 0, lost
