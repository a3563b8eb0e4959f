"""Build networks as the declaration asks for them, and load their final weights."""
# Tested in tests/pipeline/training/test_trainer.py

import torch

from pipeline.campaign.campaign import Campaign
from pipeline.campaign.identity import Run
from pipeline.core.atomic_files import read_json
from pipeline.core.catalogue import Catalogue
from pipeline.core.randomness import seed_everything
from pipeline.evaluation.weights import load_weights


def backbone_for(catalogue: Catalogue, run: Run, timesteps: int | None = None) -> torch.nn.Module:
    """Build the run's backbone with weights drawn from the run's seed; they are the same for all methods of that seed."""
    dataset = catalogue.datasets[run.data.name]
    seed_everything(run.seed, "weights")
    settings = run.network | ({"timesteps": timesteps} if timesteps else {})
    backbone = catalogue.backbones[settings.pop("backbone")]
    return backbone.build(classes=dataset.CLASS_COUNT, image_size=dataset.IMAGE_SIZE, **settings)


def load_trained(campaign: Campaign, run: Run, backbone: torch.nn.Module) -> None:
    """Load the final weights of a run. Raises UserError where there are none, or where they are not those the run ended with."""
    path, done = campaign.weights_file(run), campaign.run_folder(run) / "done.json"
    digest = read_json(done, "weights_sha256")["weights_sha256"] if path.exists() and done.exists() else None
    load_weights(path, backbone, run.id, digest)


def network_for(catalogue: Catalogue, name: str, options: dict, backbone: torch.nn.Module) -> torch.nn.Module:
    """Build the network in which a method, with these options, runs the backbone."""
    return catalogue.methods[name].build(backbone, catalogue.method_options(name, options))
