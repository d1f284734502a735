"""Model of a step of data-parallel training: compute, the all-reduce of its gradients, and their overlap.

A rank's gradients become ready in buckets during its backward pass, and the buckets are reduced one after another, in
the background. The small sums of BatchNorm over all ranks are waited for where they are needed. Pure functions of
measured terms: what they say of machines that nobody measured is on paper.
"""

import math
from dataclasses import dataclass

# Share of a step that its backward pass takes: about two of three operations.
BACKWARD = 2 / 3
# Bytes of the buckets of DistributedDataParallel: the first one, and the others.
FIRST, OTHERS = 1 << 20, 25 << 20


@dataclass(frozen=True)
class Link:
    """Connection of a rank: bytes a second in each direction, and seconds that a message takes."""

    bandwidth: float
    latency: float


@dataclass(frozen=True)
class Cluster:
    """Machines of `each` ranks. Every rank has a link `inside` its machine and one `between` machines."""

    machines: int
    each: int
    inside: Link
    between: Link


@dataclass(frozen=True)
class Step:
    """Terms of a step: seconds that every step takes and that each sample of a rank adds, bytes of gradients, and the
    number and bytes of the sums that BatchNorm waits for."""

    fixed: float
    a_sample: float
    gradients: float
    sums: int = 0
    bytes_of_sum: float = 0


def fit(measured):
    """Returns `fixed` and `a_sample` of the line through two measurements (samples, seconds)."""
    (few, low), (many, high) = sorted(measured)
    a_sample = (high - low) / (many - few)
    fixed = low - a_sample * few
    return (fixed, a_sample) if fixed > 0 else (0.0, high / many)


def buckets(gradients):
    """Returns the bytes of each bucket, in the order in which they become ready."""
    first = min(FIRST, gradients)
    rest = gradients - first
    full = int(rest // OTHERS)
    last = rest - full * OTHERS
    return [first] + [OTHERS] * full + ([last] if last > 0 else [])


def reduced(size, ranks, link):
    """Returns the seconds of an all-reduce of `size` bytes in a double binary tree: 2 (n - 1) / n of the bytes leave
    each rank, up and down log2 n levels."""
    if ranks == 1:
        return 0.0
    return 2 * (ranks - 1) / ranks * size / link.bandwidth + 2 * math.ceil(math.log2(ranks)) * link.latency


def all_reduce(size, cluster):
    """Returns the seconds of an all-reduce: inside each machine, and for each rank its part between machines."""
    inside = reduced(size, cluster.each, cluster.inside)
    return inside + reduced(size / cluster.each, cluster.machines, cluster.between)


def seconds(step, samples, cluster, overlap):
    """Returns the seconds of a step with `samples` samples a rank. `overlap` is the part of the backward pass, from 0
    to 1, during which gradients can travel."""
    compute = step.fixed + step.a_sample * samples
    usable, end = overlap * BACKWARD * compute, 0.0
    parts = buckets(step.gradients)
    for number, size in enumerate(parts, 1):
        ready = compute - usable * (1 - number / len(parts))
        end = max(end, ready) + all_reduce(size, cluster)
    return max(compute, end) + step.sums * all_reduce(step.bytes_of_sum, cluster)


def efficiency(step, samples, cluster, overlap):
    """Returns the images a second of a rank in the cluster as a share of those of a rank alone."""
    return (step.fixed + step.a_sample * samples) / seconds(step, samples, cluster, overlap)


def overlap_of(measured, step, samples, cluster):
    """Returns the least overlap with which a step takes the measured seconds: 0 if it took longer than without any, 1
    if it was faster than with all."""
    low, high = 0.0, 1.0
    if seconds(step, samples, cluster, low) <= measured:
        return low
    if seconds(step, samples, cluster, high) > measured:
        return high
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if seconds(step, samples, cluster, middle) > measured else (low, middle)
    return high
