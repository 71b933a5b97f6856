"""Fixtures of the shipped programs' packet tests."""

from collections.abc import Iterator

import pytest
from ingress import Ingress


@pytest.fixture(scope="module", params=["model", pytest.param("xdp", marks=pytest.mark.root)])
def started(request: pytest.FixtureRequest) -> Iterator[Ingress]:
    found = Ingress(request.param)
    yield found
    found.close()


@pytest.fixture
def ingress(started: Ingress) -> Ingress:
    """An ingress forwarder that has learned nothing yet."""
    started.reset()
    return started
