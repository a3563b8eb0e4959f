"""The speed of each method's training step and inference, side by side: `make bench`.

Without --benchmark-only each runs once, as a test. The scale whose first network and recipe are timed: $ATSNN_BENCH_SCALE.
"""

import os
import pkgutil

import pytest
import torch

import baselines
from models.spikformer import Spikformer
from pipeline.declaration import Network, Recipe
from pipeline.device import open_device
from pipeline.discovery import method, method_options
from pipeline.scale import load
from pipeline.schedule import optimizer_for

TRAINED = [name for _, name, _ in pkgutil.iter_modules(baselines.__path__) if hasattr(method(name), "loss")]
GAMMA = 25  # of the methods that merge: the paper's first on CIFAR-10


def declared() -> tuple[Network, Recipe]:
    experiment = load(os.environ.get("ATSNN_BENCH_SCALE", "smoke"))
    return next(iter(experiment.networks.values())), next(iter(experiment.recipes.values()))


def built(name, benchmark):
    """The accelerator, the method's options and network, a batch of images and the recipe."""
    declared_network, recipe = declared()
    accelerator, _ = open_device("auto", torch.get_num_threads())
    torch.manual_seed(0)
    required = {key: GAMMA for key, field in method(name).Options.model_fields.items() if field.is_required()}
    options = method_options(name, required)
    network = method(name).build(Spikformer(**declared_network.model_dump()).to(accelerator.device), options)
    benchmark.extra_info["images"] = recipe.batch
    return accelerator, options, network, torch.randn(recipe.batch, 3, 32, 32, device=accelerator.device), recipe


@pytest.mark.benchmark(group="training")
@pytest.mark.parametrize("name", TRAINED)
def test_training_step(benchmark, name):
    accelerator, options, network, images, recipe = built(name, benchmark)
    target = torch.eye(10, device=accelerator.device)[torch.arange(recipe.batch) % 10]
    optimizer = optimizer_for(network, recipe.model_dump())

    def step():
        with accelerator.autocast():
            output = network(images)
        loss = method(name).loss(output, target, options)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return loss.item()  # waits for the device

    first = step()
    assert benchmark.pedantic(step, rounds=5, warmup_rounds=1) < first  # it learns the batch by heart


@pytest.mark.benchmark(group="inference")
@pytest.mark.parametrize("name", TRAINED)
def test_inference(benchmark, name):
    _, _, network, images, recipe = built(name, benchmark)
    network.eval()

    @torch.no_grad()
    def infer():
        return network(images).logits.cpu()

    assert benchmark.pedantic(infer, rounds=5, warmup_rounds=1).shape == (declared()[0].timesteps, recipe.batch, 10)
