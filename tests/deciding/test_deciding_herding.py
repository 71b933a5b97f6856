"""Nobody stampedes: many ingress forwarders that hear the same loads do not all choose alike."""

import pytest
from deciding_edge import SECOND
from herding import Case, Simulation


def simulated(policy, *, spread=True):
    return Simulation(Case(policy, spread=spread, forwarders=100, length_us=2 * SECOND)).run()


def most(outcome):
    return max(max(sample) for sample in outcome.samples)


@pytest.fixture(scope="module")
def by_hash():
    return simulated("hash")


@pytest.mark.parametrize("policy", ["least", "p2c"])
def test_policies_that_look_at_loads_keep_them_even(by_hash, policy):
    outcome = simulated(policy)
    assert outcome.imbalance < 0.9 * by_hash.imbalance
    assert outcome.p99_wait_ms < 0.75 * by_hash.p99_wait_ms


def test_least_would_stampede_if_its_costs_were_not_blurred():
    blurred, sharp = simulated("least"), simulated("least", spread=False)
    assert most(blurred) < 0.75 * most(sharp)
    assert blurred.p99_wait_ms < 0.75 * sharp.p99_wait_ms
