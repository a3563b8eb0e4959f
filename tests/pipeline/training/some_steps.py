"""A few training steps of several methods in both precisions, in this process or in all that torchrun starts: losses and weights
into a file.

python some_steps.py FOLDER OUT METHOD ...; FOLDER holds prepared data.
"""

import os
import sys
from pathlib import Path

import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[3]))
from models.norm_over_processes import Norm
from models.spikformer import Spikformer
from pipeline.campaign.declaration import Recipe
from pipeline.command_line import CATALOGUE
from pipeline.data.augmentation import TrainingBatches
from pipeline.data.prepared import Prepared
from pipeline.evaluation.build_network import network_for
from pipeline.training.optimizer_and_schedule import optimizer_for
from pipeline.training.processes import Team

RECIPE = Recipe(batch=8, lr=1e-3).model_dump()
DTYPES = ("float64", "float32")
OPTIONS = {"at_snn": {"gamma": 5, "beta": -2.0}, "halt_only": {"beta": 0.0, "bn_rows": "live"}}


def steps(name: str, data: Prepared, dtype: torch.dtype) -> dict:
    torch.manual_seed(0)
    backbone = Spikformer(depth=2, width=32, heads=2, classes=10, timesteps=2).to(dtype)
    for norm in (module for module in backbone.modules() if isinstance(module, Norm)):
        torch.nn.init.constant_(norm.bias, 0.7)  # so that every layer spikes from the start
    options = CATALOGUE.method_options(name, OPTIONS.get(name, {}))
    network, team = network_for(CATALOGUE, name, options.model_dump(), backbone), Team()
    parallel = team.parallel(network, torch.device("cpu")).train()
    optimizer = optimizer_for(network, RECIPE)
    batches, losses = TrainingBatches(data, RECIPE, 0, team.number, team.count), []
    for images, target in batches.epoch(0, 0, 0):
        loss = CATALOGUE.methods[name].loss(parallel(images.to(dtype)), target.to(dtype), options)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(team.sum(loss.detach()) / team.count)
    return {"losses": torch.stack(losses), "weights": backbone.state_dict(), "gradients": [p.grad for p in network.parameters()]}


if __name__ == "__main__":
    folder, out, *methods = sys.argv[1:]
    torch.set_num_threads(1)
    Team()
    told = {dtype: {name: steps(name, Prepared(Path(folder)), getattr(torch, dtype)) for name in methods} for dtype in DTYPES}
    if Team().writes:
        torch.save(told, out)
    os._exit(0)  # see pipeline.training.training_job.end_as_member
