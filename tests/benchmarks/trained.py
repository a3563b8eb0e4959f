"""Networks that a campaign has trained, on its test images: how long they take beside the operations that the energy model counts.

Weights come from the campaign, or from what git keeps of it (results/<scale>/published); where its images are not prepared here,
noise stands for them, and the facts say so.
"""

import os
from functools import cache
from pathlib import Path
from unittest import mock

import torch

from models.at_snn import ATSNN
from models.backbone import backbone_of
from models.energy_taps import NUMBERS
from models.packed import PackedATSNN, can_pack
from pipeline.campaign.campaign import Campaign
from pipeline.campaign.identity import Evaluation, Run
from pipeline.campaign.published_weights import FOLDER
from pipeline.campaign.read_declaration import load
from pipeline.campaign.titles import data_title, method_title
from pipeline.command_line import CATALOGUE
from pipeline.core.atomic_files import read_json
from pipeline.data.evaluation_batches import evaluation_batches
from pipeline.data.identity import Data
from pipeline.data.prepared import Prepared
from pipeline.evaluation.build_network import backbone_for, network_for
from pipeline.evaluation.energy import measure_energy
from pipeline.evaluation.energy_layers import taps_of
from pipeline.evaluation.weights import load_weights


@cache
def campaign_of(scale: str) -> Campaign:
    """The campaign of a scale, whose data sets are those that its results were measured on: their sources are not read."""
    experiment, known = load(scale, CATALOGUE), {}
    for path in sorted(Path("results", scale, "evals").glob("*.json")):
        data = read_json(path, "data")["data"]
        if counts := experiment.datasets.get(data["name"]):
            known[data["name"]] = Data(data["name"], data["source"], data["origin"], data["official"], counts.train, counts.test)
    return Campaign(experiment, CATALOGUE, images=known)


def weights_of(campaign: Campaign, run: Run) -> Path | None:
    """The file of a run's final weights, or the published one; None where there is neither."""
    places = campaign.weights_file(run), campaign.folder / FOLDER / f"{run.id}.safetensors"
    return next((path for path in places if path.exists()), None)


def rows(scale: str) -> list[tuple[str, int]]:
    """The rows of Table 1 that are no early exit: evaluation and timesteps, of networks that spike and whose weights are here."""
    campaign = campaign_of(scale)
    if not list(Path("results", scale, "evals").glob("*.json")):
        return []  # nothing was measured, and nothing says on which images it would be
    found = {}
    for row in campaign.experiment.table1:
        evaluation = campaign.named(row.evaluation)[0]
        if not row.exit and weights_of(campaign, evaluation.run) and spikes(evaluation):
            found[row.evaluation, row.timesteps or evaluation.timesteps] = None
    return list(found)


def spikes(evaluation: Evaluation) -> bool:
    """Whether an evaluation's network has neurons."""
    return bool(list(backbone_for(CATALOGUE, evaluation.run).spike_taps()))


def evaluation(spec: dict, compute):
    """An evaluation's network on a batch of test images, with dense products where `kernels` says so (models.native.thresholds)."""
    campaign = campaign_of(spec["scale"])
    subject = campaign.named(spec["evaluation"])[0]
    run, timesteps = subject.run, spec["timesteps"]
    backbone = backbone_for(CATALOGUE, run, timesteps)
    load_weights(weights_of(campaign, run), backbone, run.id)
    network = network_for(CATALOGUE, run.method, subject.options, backbone.to(compute.device)).eval()
    size = CATALOGUE.datasets[run.data.name].IMAGE_SIZE
    is_prepared = (run.data.folder / "meta.json").exists()
    if is_prepared:
        images = next(evaluation_batches(Prepared(run.data.folder), "test", spec["batch"]))[0]
    else:
        images = torch.randn(spec["batch"], 3, size, size)
    images = images.to(compute.device)
    compute_logits = PackedATSNN(network) if isinstance(network, ATSNN) and can_pack(network) else network
    title = method_title(CATALOGUE, run.method, subject.options)
    facts = {"title": title, "dataset": data_title(CATALOGUE, run.data.name), "architecture": run.architecture}
    facts |= {
        "method": run.method,
        "timesteps": timesteps,
        "run": run.id,
        "images_are": "test images" if is_prepared else "noise",
    }

    environment = {"ATSNN_KERNELS": spec["kernels"]} if spec["kernels"] else {}

    @torch.no_grad()
    def step():
        with mock.patch.dict(os.environ, environment), compute.autocast():
            compute_logits(images)

    return step, facts | operations(network, images, compute)


def operations(network: torch.nn.Module, images: torch.Tensor, compute) -> dict[str, float]:
    """Operations of an image by the energy model: those that it counts, and all that the live tokens would have without a zero."""
    energy = measure_energy(network, [(images, None)], device=compute.device, arithmetic=compute.autocast)
    numbers = {(tap.block, tap.name) for tap in taps_of(network) if tap.inputs == NUMBERS}
    counted = dense = 0.0
    for row in energy.layers:
        for amount, rate in zip(row["operations"], row["rate"]):
            dense += amount
            counted += amount * (1.0 if (row["block"], row["layer"]) in numbers else rate)
    return {"operations": counted, "dense_operations": dense, "depth": len(backbone_of(network).blocks)}
