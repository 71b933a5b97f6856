"""Fixtures of the controller's tests."""

import asyncio
import contextlib

import pytest
from controlled_network import Network


@pytest.fixture
def on_network(tmp_path):
    """Run `async def body(network)` with all switches started."""

    def run(body):
        async def main():
            network = Network(tmp_path)
            async with contextlib.AsyncExitStack() as stack:
                for switch in network.switches.values():
                    await stack.enter_async_context(switch.running())
                await body(network)

        asyncio.run(main())

    return run
