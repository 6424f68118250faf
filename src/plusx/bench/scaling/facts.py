"""The figures that the plan takes from elsewhere, each with its source; what is assumed says so."""

from dataclasses import dataclass
from typing import Literal

EXAMPLES = "NVIDIA DeepLearningExamples, PyTorch ResNet-50 v1.5, table of training performance"
NCCL = "NCCL, src/graph/tuning.cc"
GOYAL = "Goyal et al. 2017, arXiv 1706.02677"


@dataclass(frozen=True)
class Fact:
    """A number with its unit, where it comes from, and whether somebody published it or we assume it."""

    value: float
    unit: str
    source: str
    kind: Literal["published", "assumed"] = "published"


FACTS = {
    "A100 images/s, mixed precision": Fact(2470, "pictures/s", f"{EXAMPLES}, DGX A100, 1 GPU"),
    "8 A100 images/s, mixed precision": Fact(16621, "pictures/s", f"{EXAMPLES}, DGX A100, 8 GPUs"),
    "A100 images/s, TF32": Fact(938, "pictures/s", f"{EXAMPLES}, DGX A100, 1 GPU"),
    "8 A100 images/s, TF32": Fact(7248, "pictures/s", f"{EXAMPLES}, DGX A100, 8 GPUs"),
    "shortest step": Fact(
        0.039,
        "s",
        "three times the 13 ms below which ResNet-50's forward pass does not fall on a V100, whatever the "
        "batch (same page, inference latency): launching kernels, forward and twice that backward",
        "assumed",
    ),
    "GPUs of a node": Fact(8, "GPUs", "DGX A100"),
    "NVLink bandwidth": Fact(
        235e9, "B/s", f"{NCCL}: what an all-reduce gets at most on A100; measured 232.5e9 in nccl-tests #175"
    ),
    "NVLink latency": Fact(3.4e-6, "s", f"{NCCL}: a ring's step, protocol Simple"),
    "NVLink latency, small": Fact(0.6e-6, "s", f"{NCCL}: protocol LL"),
    "8 × 200 Gb/s InfiniBand": Fact(
        192e9, "B/s", "a node's, measured on DGX A100 by NVIDIA: NVIDIA/nccl issue #1576"
    ),
    "1 × 200 Gb/s InfiniBand": Fact(24e9, "B/s", "a node's, to be expected: NVIDIA/nccl issue #412"),
    "InfiniBand latency": Fact(14e-6, "s", f"{NCCL}: a network step, protocol Simple"),
    "InfiniBand latency, small": Fact(5e-6, "s", f"{NCCL}: a network step of a tree, protocol LL"),
    "25 Gb/s Ethernet": Fact(3.125e9, "B/s", "25 Gb/s over 8; the line rate"),
    "share of the line that TCP reaches": Fact(
        0.70, "", "4 nodes of 8 GPUs get 22.4 of 32 Gb/s: NVIDIA/nccl issue #209"
    ),
    "TCP latency": Fact(50e-6, "s", "a message between two machines of a data centre", "assumed"),
    "start of an all-reduce": Fact(8.4e-6, "s", f"{NCCL}: base latency of a ring, protocol Simple"),
    "small message": Fact(64 * 1024, "B", "up to here an all-reduce uses protocol LL", "assumed"),
    "bytes of a JPEG": Fact(
        147_897_477_120 / 1_281_167, "B", "the archive of ImageNet's training pictures over their number"
    ),
    "pictures of an epoch": Fact(1_281_167, "pictures", "ImageNet 2012, training"),
    "epochs": Fact(90, "", GOYAL),
    "batch without loss of accuracy, SGD": Fact(8192, "pictures", GOYAL),
    "batch without loss of accuracy, LARS": Fact(32768, "pictures", "You et al. 2017, arXiv 1708.03888"),
    "P100: backward pass, 32 pictures": Fact(0.120, "s", f"{GOYAL}, section 4.3"),
    "8 P100: an epoch": Fact(16 * 60, "s", f"{GOYAL}, section 5.5: 'over 16 minutes'"),
    "P100: network of a node": Fact(6.25e9, "B/s", f"{GOYAL}, section 4.3: 50 Gb/s Ethernet, line rate"),
    "P100: NVLink bandwidth": Fact(
        80e9, "B/s", "NVIDIA Tesla P100: 4 links of 20 GB/s each way; the line rate"
    ),
    "slower on 352 GPUs than on 8": Fact(1.12, "times", f"{GOYAL}, section 5.5"),
    "efficiency of 256 GPUs": Fact(0.90, "", f"{GOYAL}, abstract: from 8 to 256 GPUs"),
}


def fact(name: str) -> float:
    """The value of a fact.

    >>> fact("GPUs of a node")
    8
    """
    return FACTS[name].value
