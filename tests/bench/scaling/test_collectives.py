"""The costs of all-reduces against simulated ones, message by message; and their limits."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from plusx.bench.scaling.collectives import CLUSTERS, Cluster, Link, all_reduce, halving_doubling, ring
from plusx.bench.scaling.facts import fact

LINK = Link(bandwidth=1e9, latency=1e-4, latency_small=1e-4)
ITEM = 8
"""Bytes of a float64."""


def simulate(values: np.ndarray, rounds) -> tuple[np.ndarray, float, list[int]]:
    """Send messages round by round: in a round all at once, and the round ends with the longest.

    `rounds` yields lists of (sender, receiver, slice, whether the receiver adds). Returns what each device
    holds, the seconds by LINK and the bytes that each device sent.
    """
    held, seconds, sent = values.copy(), 0.0, [0] * len(values)
    for messages in rounds:
        carried = [(to, part, adds, held[by, part].copy()) for by, to, part, adds in messages]
        for by, _, part, _ in messages:
            sent[by] += (part.stop - part.start) * ITEM
        for to, part, adds, numbers in carried:
            held[to, part] = held[to, part] + numbers if adds else numbers
        longest = max((part.stop - part.start) * ITEM for _, _, part, _ in messages)
        seconds += LINK.latency + longest / LINK.bandwidth
    return held, seconds, sent


def ring_rounds(p: int, length: int):
    part = [slice(i * length // p, (i + 1) * length // p) for i in range(p)]
    for adds, first in ((True, 0), (False, 1)):
        for turn in range(p - 1):
            yield [(i, (i + 1) % p, part[(i + first - turn) % p], adds) for i in range(p)]


def halving_rounds(p: int, length: int):
    mine = [slice(0, length)] * p
    halved = []
    distance = 1
    while distance < p:
        messages = []
        for i in range(p):
            middle = (mine[i].start + mine[i].stop) // 2
            low, high = slice(mine[i].start, middle), slice(middle, mine[i].stop)
            keep, give = (low, high) if i & distance == 0 else (high, low)
            messages.append((i, i ^ distance, give, True))
            mine[i] = keep
        halved.append(messages)
        yield messages
        distance *= 2
    for messages in reversed(halved):  # each gets back, summed, the part that it gave away
        yield [(partner, i, give, False) for i, partner, give, _ in messages]


@given(p=st.integers(2, 9), each=st.integers(1, 50))
def test_a_ring_costs_what_a_simulated_one_takes(p: int, each: int) -> None:
    values = np.random.default_rng(p * each).integers(-9, 9, (p, p * each)).astype(float)
    held, seconds, sent = simulate(values, ring_rounds(p, p * each))
    assert (held == values.sum(0)).all()
    n = p * each * ITEM
    assert sent == [2 * (p - 1) * n // p] * p
    assert ring(n, p, LINK) == pytest.approx(seconds)


@given(power=st.integers(1, 5), each=st.integers(1, 20))
def test_halving_and_doubling_costs_what_a_simulated_one_takes(power: int, each: int) -> None:
    p = 2**power
    values = np.random.default_rng(p * each).integers(-9, 9, (p, p * each)).astype(float)
    held, seconds, sent = simulate(values, halving_rounds(p, p * each))
    assert (held == values.sum(0)).all()
    n = p * each * ITEM
    assert sent == [2 * (p - 1) * n // p] * p
    assert halving_doubling(n, p, LINK) == pytest.approx(seconds)


def test_node_by_node_is_half_a_ring_inside_and_all_of_a_node_s_bytes_between() -> None:
    inside, between = Link(1e11, 1e-6, 1e-6), Link(1e9, 1e-5, 1e-5)
    n, g, m = 8e7, 8, 4
    parts = n / g  # a device's part, which goes out by its eighth of the node's bandwidth
    scatter = (g - 1) * (1e-6 + parts / 1e11)
    across = 2 * math.log2(m) * 1e-5 + 2 * (m - 1) / m * parts / (1e9 / g)
    expected = fact("start of an all-reduce") + 2 * scatter + across
    assert all_reduce(n, g * m, Cluster(inside, between, g)) == pytest.approx(expected)


@pytest.mark.parametrize("cluster", CLUSTERS.values(), ids=CLUSTERS)
class TestAllReduce:
    def test_one_device_has_nothing_to_send(self, cluster: Cluster) -> None:
        assert all_reduce(1e8, 1, cluster) == 0

    @given(n=st.floats(1, 1e9), more=st.floats(1, 1e9), devices=st.integers(2, 1024))
    def test_more_bytes_take_longer(self, cluster: Cluster, n: float, more: float, devices: int) -> None:
        assert all_reduce(n + more, devices, cluster) >= all_reduce(n, devices, cluster)

    @given(n=st.floats(1, 1e9), nodes=st.integers(1, 127))
    def test_more_nodes_take_longer(self, cluster: Cluster, n: float, nodes: int) -> None:
        g = cluster.node_size
        assert all_reduce(n, g * (nodes + 1), cluster) > all_reduce(n, g * nodes, cluster)

    @given(n=st.floats(1e5, 1e9), devices=st.integers(9, 1024))
    def test_never_faster_than_the_bytes_that_have_to_leave_a_node(
        self, cluster: Cluster, n: float, devices: int
    ) -> None:
        nodes = math.ceil(devices / cluster.node_size)
        assert all_reduce(n, devices, cluster) > 2 * (nodes - 1) / nodes * n / cluster.between.bandwidth
