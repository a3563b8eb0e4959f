"""Share batch norm over the rows of all processes that train one network together; a single process uses its own rows.

On a GPU it is PyTorch's SyncBatchNorm, which does not run on a CPU; there SharedNorm computes the same, over any backend.
Dimensions: R rows of this process, E channels.
"""
# Tested in tests/pipeline/training/test_processes.py

import torch
from jaxtyping import Float
from torch import Tensor, distributed, nn
from torch.autograd import Function

Norm = nn.BatchNorm1d | nn.SyncBatchNorm


class SharedNorm(nn.BatchNorm1d):
    """BatchNorm1d whose moments in training are those of all processes' rows, summed in float64.

    Ioffe & Szegedy 2015 (arXiv:1502.03167), as torch.nn.SyncBatchNorm shares it. The gradient of a row comes from the
    losses of all processes; those of weight and bias from this process's loss, for DistributedDataParallel to average.
    """

    def forward(self, rows: Float[Tensor, "R E"]) -> Float[Tensor, "R E"]:
        if not self.training:
            return super().forward(rows)
        wide = rows.double()
        sums = torch.cat([wide.sum(0), wide.square().sum(0), wide.new_tensor([len(rows)])])
        total = AllReduceSum.apply(sums)
        count = total[-1]
        mean, square = (total[:-1] / count).chunk(2)
        variance = (square - mean.square()).clamp_min(0)
        self.remember(mean, variance, count)
        normalised = (wide - mean) * (variance + self.eps).rsqrt()
        return (normalised * self.weight + self.bias).to(rows.dtype)

    @torch.no_grad()
    def remember(self, mean: Float[Tensor, " E"], variance: Float[Tensor, " E"], count: Tensor) -> None:
        """Update the running statistics by the moments of all rows, the variance unbiased."""
        self.running_mean.lerp_(mean.to(self.running_mean), self.momentum)
        self.running_var.lerp_((variance * (count / (count - 1))).to(self.running_var), self.momentum)
        self.num_batches_tracked += 1


class AllReduceSum(Function):
    """Sum of a tensor over processes; its gradient is summed too, since every process's loss depends on each part of the sum."""

    @staticmethod
    def forward(ctx, tensor):
        total = tensor.clone()
        distributed.all_reduce(total)
        return total

    @staticmethod
    def backward(ctx, grad_output):
        total = grad_output.clone()
        distributed.all_reduce(total)
        return total


def share_norms(network: nn.Module, device: torch.device) -> None:
    """Replace every batch norm of a network by one over the rows of all processes; names and values of its state stay."""
    kind = nn.SyncBatchNorm if device.type == "cuda" else SharedNorm
    for module in list(network.modules()):
        for name, child in module.named_children():
            if type(child) is nn.BatchNorm1d:
                shared = kind(child.num_features, child.eps, child.momentum).to(child.weight)
                shared.load_state_dict(child.state_dict())
                setattr(module, name, shared.train(child.training))


def is_shared(norm: Norm) -> bool:
    return isinstance(norm, SharedNorm | nn.SyncBatchNorm)


@torch.no_grad()
def sum_over_processes(norm: Norm, sums: Tensor, rows: int) -> tuple[Tensor, int]:
    """Add up sums over rows, and the number of rows, over all processes that share the norm; unchanged where it isn't shared."""
    if not is_shared(norm):
        return sums, rows
    sums_and_rows = torch.cat([sums.flatten(), sums.new_tensor([rows])])
    distributed.all_reduce(sums_and_rows)
    return sums_and_rows[:-1].view_as(sums), int(sums_and_rows[-1])
