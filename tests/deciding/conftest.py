"""Fixtures of the tests of deciding: edge.p4 on each target."""

import pytest
from deciding_edge import TARGETS, Edge


@pytest.fixture(params=list(TARGETS))
def edge(request):
    found = Edge(request.param)
    yield found
    found.close()
