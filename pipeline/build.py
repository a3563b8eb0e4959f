"""Networks as the declaration asks for them."""

import torch

from models.spikformer import Spikformer
from pipeline.discovery import discovered, method, method_options
from pipeline.identity import Run
from pipeline.randomness import seed_everything


def backbone_for(run: Run, timesteps: int | None = None) -> Spikformer:
    """The run's Spikformer, its weights drawn from the seed: equal for all methods of that seed."""
    module = discovered("pipeline.datasets", run.data.name, "dataset")
    seed_everything(run.seed, "weights")
    network = run.network | ({"timesteps": timesteps} if timesteps else {})
    return Spikformer(**network, classes=module.CLASS_COUNT, image_size=module.IMAGE_SIZE)


def network_for(name: str, options: dict, backbone: Spikformer) -> torch.nn.Module:
    """The backbone as a method runs it."""
    return method(name).build(backbone, method_options(name, options))
