"""Fixtures of the controller's tests."""

import asyncio
import contextlib

import pytest
from controlled_network import TOPOLOGY, Network

from p4cats.controller import client


@pytest.fixture
def on_network(tmp_path):
    """Run `async def body(network)` with all switches started."""

    def run(body, topology=TOPOLOGY):
        async def main():
            network = Network(tmp_path, topology)
            async with contextlib.AsyncExitStack() as stack:
                for switch in network.switches.values():
                    await stack.enter_async_context(switch.running())
                await body(network)

        asyncio.run(main())

    return run


@pytest.fixture
def with_client(on_network, tmp_path):
    """Run `body(network, controller, ask)`; `ask(function)` calls the client outside the event loop."""

    def run(body, topology=TOPOLOGY, **options):
        async def main(network):
            path = tmp_path / "run" / "edge-cloud" / "controller.sock"
            async with network.controlled(path, **options) as controller:
                with client.connect("edge-cloud", tmp_path / "run") as found:
                    await body(
                        network,
                        controller,
                        lambda name, *a, **k: asyncio.to_thread(getattr(found, name), *a, **k),
                    )

        on_network(main, topology)

    return run
