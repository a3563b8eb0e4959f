"""Networks as the declaration asks for them."""

import importlib

import torch

from pipeline.campaign.campaign import Campaign
from pipeline.campaign.identity import BACKBONES, Run
from pipeline.core.atomic_files import read_json
from pipeline.core.catalogue import discovered, method, method_options
from pipeline.core.randomness import seed_everything
from pipeline.evaluation.weights import load_weights


def backbone_for(run: Run, timesteps: int | None = None) -> torch.nn.Module:
    """The run's backbone, its weights drawn from the seed: equal for all methods of that seed."""
    module = discovered("pipeline.data.datasets", run.data.name, "dataset")
    seed_everything(run.seed, "weights")
    network = run.network | ({"timesteps": timesteps} if timesteps else {})
    name = network.pop("backbone")
    backbone = getattr(importlib.import_module(f"models.{name}"), BACKBONES[name])
    return backbone(**network, classes=module.CLASS_COUNT, image_size=module.IMAGE_SIZE)


def load_trained(campaign: Campaign, run: Run, backbone: torch.nn.Module) -> None:
    """The final weights of a run. Raises UserError where there are none, or others than it ended with."""
    path, done = campaign.weights_file(run), campaign.run_folder(run) / "done.json"
    digest = read_json(done, "weights_sha256")["weights_sha256"] if path.exists() and done.exists() else None
    load_weights(path, backbone, run.id, digest)


def network_for(name: str, options: dict, backbone: torch.nn.Module) -> torch.nn.Module:
    """The backbone as a method runs it."""
    return method(name).build(backbone, method_options(name, options))
