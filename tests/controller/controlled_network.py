"""A controller of edge-cloud.yaml on fake switches, all in one event loop."""

import asyncio
import contextlib
from pathlib import Path

from fake_p4runtime import EDGE, TRANSIT, FakeSwitch, write_program

import p4cats.topologies
from p4cats.controller.controller import Controller
from p4cats.topologies.addressing import Plan
from p4cats.topologies.schema import load

TOPOLOGY = load(Path(p4cats.topologies.__file__).parent / "edge-cloud.yaml")


async def until(condition, timeout_s=30.0):
    """Wait for a condition; TimeoutError names none: the assertion after it does."""

    async def poll():
        while not condition():
            await asyncio.sleep(0.01)

    with contextlib.suppress(asyncio.TimeoutError):
        await asyncio.wait_for(poll(), timeout_s)
    assert condition()


class Network:
    """Switches of a topology like edge-cloud.yaml, and controllers for them."""

    def __init__(self, directory, topology=TOPOLOGY):
        self.topology, self.plan = topology, Plan(topology)
        self.pipelines = {
            "edge": write_program(directory, "edge", EDGE),
            "transit": write_program(directory, "transit", TRANSIT),
        }
        self.switches = {name: FakeSwitch(plan.device_id) for name, plan in self.plan.switches.items()}

    def controller(self, socket=None, pipelines=None, **options):
        addresses = {name: switch.address for name, switch in self.switches.items()}
        files = pipelines or self.pipelines
        return Controller(self.topology, self.plan, addresses, files, socket, **options)

    @contextlib.asynccontextmanager
    async def controlled(self, socket=None, **options):
        """Run a controller until converged, and for as long as the context lasts."""
        controller = self.controller(socket, **options)
        async with running(controller):
            await asyncio.wait_for(controller.converged(), 30)
            yield controller


@contextlib.asynccontextmanager
async def running(controller):
    task = asyncio.create_task(controller.run())
    try:
        yield task
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
