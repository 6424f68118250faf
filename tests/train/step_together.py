"""One training step in float64, taken by however many processes torchrun starts; see test_processes.py."""

import sys

import torch
from safetensors.torch import save_file
from torch.nn.parallel import DistributedDataParallel

import plusx
from plusx import ops
from plusx.train.network import share_norms
from plusx.train.processes import joined, leave, started

PICTURES = 101  # no number of processes but 1 divides it


def main(path: str) -> None:
    processes = started()
    with joined(processes):
        torch.manual_seed(0)
        model = plusx.create_model("resnet20").double()
        together: torch.nn.Module = model
        if processes.several:
            share_norms(model)
            together = DistributedDataParallel(model)
        generator = torch.Generator().manual_seed(1)
        pictures = torch.randn(PICTURES, 3, 16, 16, generator=generator).double()
        labels = torch.randint(0, 10, (PICTURES,), generator=generator)
        x, y = (t.tensor_split(processes.count)[processes.number] for t in (pictures, labels))
        logits = together(x)
        (ops.cross_entropy(logits, y) * len(y) * processes.count / PICTURES).backward()
        if processes.several and not processes.leads:
            model.bn1.running_mean.add_(1)  # what `align` has to mend
        processes.align(model)
        state = {f"gradient of {name}": p.grad for name, p in model.named_parameters()}
        state |= {name: b.clone() for name, b in model.named_buffers() if b.is_floating_point()}
        state["mean of the leader"] = processes.gather(model.bn1.running_mean[None].clone())
        state["logits"] = processes.gather(logits.detach())
        state["total"] = torch.tensor(processes.total([1.0, float(len(y))]))
        word = processes.from_leader(b"word" if processes.leads else None)
        assert word == b"word"
        if processes.leads:
            save_file({name: t.contiguous() for name, t in state.items()}, path)
    if processes.several:
        leave()


if __name__ == "__main__":
    main(sys.argv[1])
