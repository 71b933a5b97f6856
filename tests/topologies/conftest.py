"""Fixtures of the topology tests."""

import pytest

from p4cats.topologies import emulation


# Every behaviour holds in each way that this kernel can emulate links.
@pytest.fixture(params=["linkem", *(["netem"] if emulation.has_netem() else [])])
def mode(request):
    return request.param
