"""Join the processes that train one run together, one device each, and exchange tensors, flags and lists between them.

torchrun starts them (`pipeline.train`); a process that it did not start trains alone, and nothing here costs it anything.
Sums over processes are rounded in another order than in one process, so the last digits of a run's numbers change with the
number of processes; the images of a batch, how they are mixed and what batch norm sees don't.
"""

import os
from itertools import chain, zip_longest

import torch
from torch import Tensor, distributed, nn
from torch.nn.parallel import DistributedDataParallel

from models.norm_over_processes import share_norms

PADDING = object()  # fills the shorter of the lists that are gathered


def started() -> bool:
    """Tell whether torchrun started this process as one of several."""
    return int(os.environ.get("WORLD_SIZE", "1")) > 1


class Team:
    """The processes of one training. `number` counts them from 0; process 0 alone writes."""

    def __init__(self):
        """Join the other processes, where there are any. Flags go over gloo, so that they never wait for a GPU."""
        if started() and not distributed.is_initialized():
            gpu = torch.cuda.is_available()
            distributed.init_process_group("cpu:gloo,cuda:nccl" if gpu else "gloo")
        self.together = distributed.is_initialized()
        self.count = distributed.get_world_size() if self.together else 1
        self.number = distributed.get_rank() if self.together else 0
        self.writes = self.number == 0

    def parallel(self, network: nn.Module, device: torch.device) -> nn.Module:
        """Wrap the network for training steps: gradients become means over processes, and norms see the rows of all of them."""
        if not self.together:
            return network
        share_norms(network, device)
        return DistributedDataParallel(network)

    def sum(self, tensor: Tensor) -> Tensor:
        """Sum each process's tensor over processes."""
        total = tensor.clone()
        if self.together:
            distributed.all_reduce(total)
        return total

    def any(self, *flags: bool) -> tuple[bool, ...]:
        """Combine each flag by `or` over processes, so that all of them act alike."""
        if not self.together:
            return flags
        raised = torch.tensor(flags, dtype=torch.uint8)
        distributed.all_reduce(raised, distributed.ReduceOp.MAX)
        return tuple(bool(flag) for flag in raised)

    def gather(self, items: list) -> list:
        """Collect the items of all processes, in every process: the first item of each, then the second of each, and so on."""
        if not self.together:
            return items
        lists: list[list] = [[] for _ in range(self.count)]
        distributed.all_gather_object(lists, items)
        return [item for item in chain(*zip_longest(*lists, fillvalue=PADDING)) if item is not PADDING]
