"""What an all-reduce costs: every device has n bytes, and all get the sum.

A message of b bytes takes α + b/B: a latency and a bandwidth. Whatever the algorithm, a device has to send at
least 2(p−1)/p · n bytes; they differ in how many messages that takes.
"""

import math
from dataclasses import dataclass

from plusx.bench.scaling.facts import fact


@dataclass(frozen=True)
class Link:
    """What carries messages: B in bytes a second in one direction, α in seconds, α of small messages too."""

    bandwidth: float
    latency: float
    latency_small: float

    def alpha(self, n: float) -> float:
        """Seconds before the first byte of an all-reduce of n bytes: small ones use a leaner protocol."""
        return self.latency_small if n <= fact("small message") else self.latency


@dataclass(frozen=True)
class Cluster:
    """Nodes of `node_size` devices: one link among those of a node, another between the nodes.

    The bandwidth between nodes is a whole node's, shared by its devices.
    """

    inside: Link
    between: Link
    node_size: int


def ring(n: float, p: int, link: Link) -> float:
    """Seconds of an all-reduce of n bytes by p in a ring: 2(p−1) messages of n/p bytes each.

    p−1 of them add up the p parts, each travelling round the ring; p−1 hand the sums round.

    >>> round(ring(8e6, 4, Link(bandwidth=1e9, latency=1e-3, latency_small=1e-3)), 6)
    0.018
    """
    return 2 * (p - 1) * (link.alpha(n) + n / p / link.bandwidth)


def halving_doubling(n: float, p: int, link: Link) -> float:
    """Seconds by recursive halving and doubling: the bytes of a ring in 2·log₂ p messages.

    Pairs exchange halves, then quarters with the next but one, and so on; then back. For a p that is no power
    of two we count the messages of the next one.

    Source: Thakur, Rabenseifner and Gropp, "Optimization of collective communication operations in MPICH",
    2005.

    >>> round(halving_doubling(8e6, 4, Link(bandwidth=1e9, latency=1e-3, latency_small=1e-3)), 6)
    0.016
    """
    return 2 * math.ceil(math.log2(p)) * link.alpha(n) + 2 * (p - 1) / p * n / link.bandwidth


def all_reduce(n: float, devices: int, cluster: Cluster) -> float:
    """Seconds of an all-reduce over all devices, node by node.

    Each node adds up its devices' bytes by half a ring, so that each device has the sum of one part; the
    parts are added up between nodes, all at once, by whichever algorithm is faster; the other half of the
    ring hands them round.

    >>> link = Link(bandwidth=1e9, latency=1e-5, latency_small=1e-5)
    >>> all_reduce(1e6, 1, Cluster(link, link, node_size=8))
    0.0
    """
    if devices == 1:
        return 0.0
    inside, nodes = min(devices, cluster.node_size), math.ceil(devices / cluster.node_size)
    across = min(ring(n, nodes, cluster.between), halving_doubling(n, nodes, cluster.between))
    return fact("start of an all-reduce") + ring(n, inside, cluster.inside) + across


CLUSTERS = {
    name: Cluster(
        inside=Link(fact("NVLink bandwidth"), fact("NVLink latency"), fact("NVLink latency, small")),
        between=between,
        node_size=int(fact("GPUs of a node")),
    )
    for name, between in {
        "8 × 200 Gb/s InfiniBand": Link(
            fact("8 × 200 Gb/s InfiniBand"), fact("InfiniBand latency"), fact("InfiniBand latency, small")
        ),
        "1 × 200 Gb/s InfiniBand": Link(
            fact("1 × 200 Gb/s InfiniBand"), fact("InfiniBand latency"), fact("InfiniBand latency, small")
        ),
        "25 Gb/s Ethernet": Link(
            fact("25 Gb/s Ethernet") * fact("share of the line that TCP reaches"),
            fact("TCP latency"),
            fact("TCP latency"),
        ),
    }.items()
}
"""A100 in nodes of eight, and what carries a node's bytes to the others."""
