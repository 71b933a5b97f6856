"""Fixtures for the host hooks: namespaces, and an agent in this process."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from ebpf_hosts import PORT, SERVICE, Hosts, make_hosts

from p4cats.ebpf.agent import Agent
from p4cats.ebpf.config import AgentConfig


@pytest.fixture(scope="module")
def hosts() -> Iterator[Hosts]:
    with make_hosts() as made:
        yield made


@pytest.fixture
def config(hosts: Hosts, tmp_path: Path) -> dict[str, Any]:
    """A configuration for both servers: instances 101 and 102, two workers each."""
    return {
        "hosts": [
            {
                "netns": str(hosts.servers[number]),
                "interface": f"s{number}",
                "instances": [
                    {
                        "instance": 100 + number,
                        "address": SERVICE,
                        "port": PORT,
                        "workers": 2,
                        "service_time_us": 10_000,
                        "measure_service_time": False,
                        "idle_w": 50,
                        "peak_w": 150,
                        "beacons": [f"fd00:{number}::2"],
                    }
                ],
            }
            for number in (1, 2)
        ],
        "authentication": "none",
        "stale_after_ms": 600_000,
        "power": "model",
        "pin_dir": f"/sys/fs/bpf/p4cats-test-{os.getpid()}/agent",
        "run_dir": str(tmp_path / "run"),
    }


@pytest.fixture
def start_agent(config: dict[str, Any]) -> Iterator[Callable[..., Agent]]:
    """Start an agent with changes to the configuration; it is stopped at the end."""
    agents = []

    def start(**changes: Any) -> Agent:
        agent = Agent(AgentConfig.model_validate({**config, **changes}))
        agent.start()
        agents.append(agent)
        return agent

    yield start
    for agent in agents:
        agent.stop()
