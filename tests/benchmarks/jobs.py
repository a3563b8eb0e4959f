"""What a child measures: each job is a function of its specification that gives a step to time and its facts."""

import os
import tempfile
from functools import cache, partial
from unittest import mock

import numpy as np
import torch
from benchmarks.firing_rates import into_spikingjelly, rates_of, rates_of_spikingjelly, settled
from benchmarks.trained import evaluation

from models import merging
from models.at_snn import ATSNN
from models.native import build as kernels
from models.native import event_driven, thresholds
from models.neuron import norm_lif
from models.packed import PackedATSNN
from models.spikformer import Spikformer
from pipeline.campaign.declaration import Recipe
from pipeline.command_line import CATALOGUE
from pipeline.data.augmentation import TrainingBatches
from pipeline.evaluation.device import ComputeDevice, open_device
from pipeline.planning import roofline
from pipeline.training.optimizer_and_schedule import optimizer_for

BASES = "static", "at_snn", "packed"  # ours; the other is SpikingJelly's
RATED_IMAGES = 8  # on which the rates of inference are measured
PASSES = {"train": 3, "infer": 1}  # a backward pass computes twice what the forward does


def prepare(spec: dict):
    """The step of a job and its facts: those of the machine, those of the specification, those of the job itself."""
    torch.manual_seed(0)
    if spec.get("as_it_comes"):
        torch.set_num_threads(spec["threads"])
        compute = ComputeDevice(torch.device("cuda" if torch.cuda.is_available() else "cpu"), "float32")
    else:
        compute = open_device(spec.get("precision", "auto"), spec["threads"])
    step, own = JOBS[spec["job"]](spec, compute)
    facts = {
        "device": compute.name,
        "device_type": compute.device.type,
        "dtype": compute.precision,
        "threads": spec["threads"],
        "kernels": compute.kernels,
    }
    facts |= {key: spec[key] for key in ("network", "batch") if key in spec}
    return step, facts | {"images": spec.get("batch", 1)} | own


def images_of(spec: dict, compute) -> torch.Tensor:
    return torch.randn(spec["batch"], 3, 32, 32, device=compute.device)


def build(spec: dict, compute, training: bool = False):
    """The network of a specification, whose layers fire as trained ones do, in its mode; its facts: what it computes, its rates."""
    network, kind = spec["network"], spec["kind"]
    embed, encoder = macs(**network)
    images = images_of(spec | {"batch": max(2, spec["batch"]) if training else RATED_IMAGES}, compute)
    if kind not in BASES:
        model = spikingjelly(network).to(compute.device).train(training)
        return model, {"macs": embed + encoder, "rates": rates_of_spikingjelly(model, images)}
    model = backbone = settled(**network).to(compute.device)
    facts = {"macs": embed + encoder}
    if kind != "static":
        model = ATSNN(backbone, gamma=spec["gamma"])
        share = executed(model, compute)
        facts = {"macs": embed + share * encoder, "share": share}
    facts["rates"] = rates_of(model.train(training), images)
    return (PackedATSNN(model) if kind == "packed" else model), facts


@cache
def macs(**network) -> tuple[int, int]:
    return roofline.macs(Spikformer(**network))


@torch.no_grad()
def executed(model: ATSNN, compute, images: int = 4) -> float:
    """The share of the tokens that are computed."""
    training = model.training
    with compute.autocast():
        trace = model.eval()(torch.randn(images, 3, 32, 32, device=compute.device)).trace
    model.train(training)
    return trace.executed.float().mean().item()


def spikingjelly(network: dict):
    """SpikingJelly's Spikformer, reset before every forward as its users do; its layers fire as those of ours."""
    from spikingjelly.activation_based import functional
    from spikingjelly.activation_based.model import spikformer

    if (network["depth"], network["width"], network["heads"], network["timesteps"]) == (4, 384, 12, 4):
        theirs = spikformer.spikformer_cifar10()
    else:
        sizes = {
            "embed_dims": network["width"],
            "num_heads": network["heads"],
            "depths": network["depth"],
            "T": network["timesteps"],
        }
        theirs = spikformer.Spikformer(img_size_h=32, img_size_w=32, patch_size=4, num_classes=10, **sizes)
    theirs.register_forward_pre_hook(lambda module, _: functional.reset_net(module))
    into_spikingjelly(theirs, **network)
    return theirs


def logits_of(output) -> torch.Tensor:
    """The mean over timesteps, in float32."""
    return getattr(output, "logits", output).float().mean(0)


def train(spec: dict, compute):
    network, facts = build(spec, compute, training=True)
    images = images_of(spec, compute)
    target = torch.arange(spec["batch"], device=compute.device) % 10
    optimizer = torch.optim.AdamW(network.parameters(), lr=5e-4, fused=True)

    def step():
        with compute.autocast():
            logits = logits_of(network(images))
        loss = torch.nn.functional.cross_entropy(logits, target)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

    return step, facts | {"passes": PASSES["train"]}


def infer(spec: dict, compute):
    network, facts = build(spec, compute)
    images = images_of(spec, compute)

    @torch.no_grad()
    def step():
        with compute.autocast():
            logits_of(network(images))

    return step, facts | {"passes": PASSES["infer"]}


def method_step(spec: dict, compute):
    """A training step or an inference of a method of baselines/, with the scale's recipe and the gamma given where it needs one."""
    name, recipe = spec["method"], spec["recipe"]
    required = {key: spec["gamma"] for key, field in CATALOGUE.methods[name].Options.model_fields.items() if field.is_required()}
    options = CATALOGUE.method_options(name, required)
    network = CATALOGUE.methods[name].build(settled(**spec["network"]).to(compute.device), options)
    images = images_of(spec, compute)
    target = torch.eye(10, device=compute.device)[torch.arange(spec["batch"]) % 10]
    optimizer = optimizer_for(network, recipe)

    def train_step():
        with compute.autocast():
            output = network(images)
        loss = CATALOGUE.methods[name].loss(output, target, options)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

    @torch.no_grad()
    def infer_step():
        with compute.autocast():
            network(images)

    network.train(spec["training"])
    return (train_step if spec["training"] else infer_step), {}


def encoder(spec: dict, compute):
    """The blocks alone (`whole` false) or all of a network whose tokens are merged and halted; gamma None: STATIC."""
    network, _ = build(spec | {"kind": "static"}, compute)
    images = images_of(spec, compute)
    with torch.no_grad(), compute.autocast():
        u = network.embed(images)
        if spec["gamma"] is None:
            share, blocks = 1.0, partial(static_blocks, network, u)
        else:
            network = PackedATSNN(ATSNN(network, **{key: spec[key] for key in ("gamma", "alpha", "beta")}))
            model, on_live_rows = network.model, network.compute
            share = model.adapt(u, on_live_rows).trace.executed.float().mean().item()
            blocks = partial(model.adapt, u, on_live_rows, trace=False)

    @torch.no_grad()
    def step():
        with compute.autocast():
            network(images) if spec["whole"] else blocks()

    return step, {"share": share}


def static_blocks(network: Spikformer, u: torch.Tensor) -> torch.Tensor:
    """What follows patch splitting, where no token is merged or halted."""
    for block in network.blocks:
        u = block(u)
    return network.classify(u.mean(dim=2))


def merge(spec: dict, compute):
    """Matching and adding of one block, with the kernels or without (the child's environment says which)."""
    width = spec["network"]["width"]
    u = torch.randint(0, 4, (4, spec["batch"], 64, width), device=compute.device).float()
    live = torch.ones(u.shape[:3], dtype=torch.bool, device=compute.device)

    def step():
        merging.add_sources(u, merging.match(u, live, spec["gamma"]))

    return step, {}


def lif(spec: dict, compute):
    """Batch norm and neuron of a hidden layer, forward, or forward and backward."""
    width = 4 * spec["network"]["width"]
    bn = torch.nn.BatchNorm1d(width).to(compute.device)
    dtype = torch.bfloat16 if spec["dtype"] == "bf16" else torch.float32
    current = torch.randn(4, spec["batch"] * 64, width, device=compute.device).to(dtype).requires_grad_(spec["backward"])
    above = torch.randn_like(current)

    def step():
        with torch.set_grad_enabled(spec["backward"]):
            spikes = norm_lif(current, bn, 4)
        if spec["backward"]:
            spikes.backward(above)

    return step, {"dtype": spec["dtype"]}


def product(spec: dict, compute):
    """A linear layer on 64 tokens, or a 3x3 convolution, of spikes at a rate, forward, or forward and backward, on a path."""
    dtype = torch.bfloat16 if spec["dtype"] == "bf16" else torch.float32
    inputs, outputs, side, path = (spec[key] for key in ("inputs", "outputs", "side", "path"))
    is_linear = spec["kind"] == "linear"
    places = (side * side,) if is_linear else (side, side)
    x = (torch.rand(4 * spec["batch"], *places, inputs, device=compute.device) < spec["rate"]).to(dtype)
    weight = torch.randn(outputs, inputs, *(() if is_linear else (3, 3)), device=compute.device).to(dtype) / inputs**0.5
    share = x.float().mean().item()
    if path == "plain PyTorch":
        compute_product = torch.nn.functional.linear if is_linear else plain_convolution
    else:
        compute_product = partial(event_driven.linear if is_linear else event_driven.convolve, path=path)
    above = torch.randn(*x.shape[:-1], outputs, device=compute.device).to(dtype)
    x.requires_grad_(spec["backward"])
    weight.requires_grad_(spec["backward"])

    def step():
        with torch.set_grad_enabled(spec["backward"]):
            y = compute_product(x, weight)
        if spec["backward"]:
            x.grad = weight.grad = None
            y.backward(above)

    positions = x.shape[:-1].numel()
    chosen = "events" if thresholds.is_event_driven(share, positions, weight) else "dense"
    below = [percent / 100 for percent in range(101) if thresholds.is_event_driven(percent / 100, positions, weight)]
    return step, {"dtype": spec["dtype"], "share": share, "chosen": chosen, "threshold": max(below, default=0.0)}


def plain_convolution(x: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
    """As models.spiking_layers computes it in plain PyTorch: channels-last maps in and out."""
    return torch.nn.functional.conv2d(x.permute(0, 3, 1, 2), weight, padding=1).permute(0, 2, 3, 1)


class RandomImages:
    """As many images as the recipe's batches need, of noise."""

    meta = {"mean": [0.5] * 3, "std": [0.2] * 3, "classes": 10}

    def __init__(self, images: int):
        draw = np.random.default_rng(0)
        self.images = draw.integers(0, 256, (images, 32, 32, 3), dtype=np.uint8)
        self.labels = draw.integers(0, 10, images)

    def __len__(self) -> int:
        return len(self.images)

    def split(self, name: str) -> "RandomImages":
        return self


def data(spec: dict, compute):
    """Batches of a recipe on one core."""
    recipe = Recipe(**spec["recipe"]).model_dump()
    batches = TrainingBatches(RandomImages(max(spec["batch"] * 4, 512)), recipe | {"batch": spec["batch"]}, seed=0)
    places = iter((0, step % batches.steps) for step in range(10**6))
    return lambda: batches[next(places)], {"dtype": "uint8 to float32"}


def build_kernels(spec: dict, compute):
    """The kernels compiled as if for the first time."""

    def step():
        with tempfile.TemporaryDirectory() as folder:
            with mock.patch.dict(os.environ, XDG_CACHE_HOME=folder):
                kernels.library.__wrapped__()

    return step, {}


def rate(spec: dict, compute):
    """One operation of pipeline.planning.roofline, to find what this machine can do at most."""
    step, work = roofline.OPERATIONS[spec["operation"]](spec["dtype"], compute.device, spec["shrink"])
    return step, {"dtype": spec["dtype"], "work": work}


FUNCTIONS = train, infer, method_step, encoder, merge, lif, product, data, build_kernels, rate, evaluation
JOBS = {function.__name__: function for function in FUNCTIONS}
