"""Fixtures of the topology tests; those marked `root` are skipped for other users."""

import os
from pathlib import Path

import pytest

from p4cats.topologies import emulation


def pytest_collection_modifyitems(items):
    if os.geteuid() != 0:
        for item in items:  # of the whole run, not only of this folder
            if item.get_closest_marker("root") and Path(__file__).parent in item.path.parents:
                item.add_marker(pytest.mark.skip(reason="not root: network namespaces cannot be made"))


# Every behaviour holds in each way that this kernel can emulate links.
@pytest.fixture(params=["linkem", *(["netem"] if emulation.has_netem() else [])])
def mode(request):
    return request.param
