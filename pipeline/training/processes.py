"""The processes that train one run together, one device each: what they agree on and exchange.

torchrun starts them (`pipeline.train`); a process that it did not start is alone, and nothing here costs it anything.
Sums over processes have another order of rounding than one process's, so a run's numbers move in the last digits with
their number; the images of a batch, how they are mixed and what batch norm sees don't.
"""

import os
from itertools import chain, zip_longest

import torch
from torch import Tensor, distributed, nn
from torch.nn.parallel import DistributedDataParallel

from models.norm_over_processes import share_norms

NOTHING = object()


def started() -> bool:
    """Whether torchrun started this process as one of several."""
    return int(os.environ.get("WORLD_SIZE", "1")) > 1


class Team:
    """The processes of one training. `number` counts them from 0; process 0 alone writes."""

    def __init__(self):
        """Join the others, where there are any. Flags go over gloo, so that they never wait for a GPU."""
        if started() and not distributed.is_initialized():
            gpu = torch.cuda.is_available()
            distributed.init_process_group("cpu:gloo,cuda:nccl" if gpu else "gloo")
        self.together = distributed.is_initialized()
        self.count = distributed.get_world_size() if self.together else 1
        self.number = distributed.get_rank() if self.together else 0
        self.writes = self.number == 0

    def parallel(self, network: nn.Module, device: torch.device) -> nn.Module:
        """The network as it takes a training step: its gradients are the mean over processes, its norms see all their rows."""
        if not self.together:
            return network
        share_norms(network, device)
        return DistributedDataParallel(network)

    def sum(self, own: Tensor) -> Tensor:
        """The tensor summed over processes."""
        total = own.clone()
        if self.together:
            distributed.all_reduce(total)
        return total

    def any(self, *flags: bool) -> tuple[bool, ...]:
        """Each flag, raised where any process raises it: all of them do the same then."""
        if not self.together:
            return flags
        told = torch.tensor(flags, dtype=torch.uint8)
        distributed.all_reduce(told, distributed.ReduceOp.MAX)
        return tuple(bool(flag) for flag in told)

    def gather(self, own: list) -> list:
        """What all processes have, dealt out in turn: the first of each, then the second. Every process gets it."""
        if not self.together:
            return own
        lists: list[list] = [[] for _ in range(self.count)]
        distributed.all_gather_object(lists, own)
        return [x for x in chain(*zip_longest(*lists, fillvalue=NOTHING)) if x is not NOTHING]
