"""Fixtures of the tests of deciding: edge.p4 on each target."""

import pytest
from deciding_edge import Edge


@pytest.fixture(params=["model", pytest.param("xdp", marks=pytest.mark.root)])
def edge(request):
    found = Edge(request.param)
    yield found
    found.close()
