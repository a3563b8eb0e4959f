"""Open a run's final weights with their data and device, ready to be measured by an evaluation or a figure's probe."""
# Tested in tests/pipeline/reporting/figures/test_probes.py

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from pipeline.campaign.campaign import Campaign
from pipeline.campaign.identity import Evaluation
from pipeline.core.catalogue import Catalogue
from pipeline.data.evaluation_batches import evaluation_batches
from pipeline.data.prepared import Prepared
from pipeline.evaluation.build_network import backbone_for, load_trained, network_for
from pipeline.evaluation.device import ComputeDevice
from pipeline.evaluation.measure import Measurement, measure


@dataclass(frozen=True)
class Subject:
    """A run's trained backbone with what is needed to measure it.

    `backbone` has the trained weights, in evaluation mode, on `device` in `dtype`; `arithmetic` makes the context that
    chooses the precision of products.
    """

    evaluation: Evaluation
    backbone: nn.Module
    data: Prepared
    device: torch.device
    dtype: torch.dtype
    arithmetic: Callable
    catalogue: Catalogue

    @classmethod
    def open(cls, campaign: Campaign, evaluation: Evaluation, data: Prepared, compute: ComputeDevice) -> "Subject":
        """Load the final weights of an evaluation's run onto its device. Raises UserError where they can't be loaded."""
        backbone = backbone_for(campaign.catalogue, evaluation.run, evaluation.timesteps)
        load_trained(campaign, evaluation.run, backbone)
        backbone.to(compute.device, compute.dtype).eval()
        return cls(evaluation, backbone, data, compute.device, compute.dtype, compute.autocast, campaign.catalogue)

    def network(self, **changes) -> nn.Module:
        """Build the network in which the evaluation's method runs the backbone, with some of its options changed."""
        return network_for(self.catalogue, self.evaluation.run.method, self.evaluation.options | changes, self.backbone).eval()

    def batches(self, split: str = "test", images: int | None = None) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield the split's batches in order: normalised images [B, 3, S, S] and labels [B]; all, or the first `images`."""
        remaining = float("inf") if images is None else images
        for batch, labels in evaluation_batches(self.data, split):
            if remaining <= 0:
                return
            count = min(len(labels), remaining)
            yield batch[:count], labels[:count]
            remaining -= count

    @property
    def compute_arguments(self) -> dict:
        """Return the keyword arguments that say where, and in which precision, a pass over the batches computes."""
        return {"device": self.device, "dtype": self.dtype, "arithmetic": self.arithmetic}

    def measure(self, network: nn.Module, split: str = "test", images: int | None = None) -> Measurement:
        """Measure a network in one pass over the split, or over its first `images`."""
        return measure(network, self.batches(split, images), **self.compute_arguments)
