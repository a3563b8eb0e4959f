"""Stage 3: all evaluations of a run's final weights, in the arithmetic of its training, and everything that each pass tells.

python -m pipeline.evaluate --scale smoke --run ID writes arrays/<set>.npz and then evals/<set>.json, where <set> names
the run and its evaluations.
"""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING

import numpy as np

from pipeline.campaign.campaign import Campaign
from pipeline.campaign.identity import Run
from pipeline.core.atomic_files import read_json, replace_sealed
from pipeline.core.errors import UserError
from pipeline.evaluation import gpu_locks
from pipeline.evaluation.arrays import save_arrays

if TYPE_CHECKING:
    from pipeline.evaluation.subject import Subject

COMPARED = 0.02  # share of the batches of test images that are computed in float32 too, at least one batch


def evaluate(campaign: Campaign, run: Run) -> dict:
    from models import native
    from pipeline.data.prepared import Prepared
    from pipeline.evaluation.device import open_device
    from pipeline.evaluation.subject import Subject

    done = campaign.run_folder(run) / "done.json"
    if not done.exists():
        raise UserError(
            f"run {run.id} is not trained yet: python -m pipeline.train --scale {campaign.experiment.scale} --run {run.id}"
        )
    trained = read_json(done, "weights_sha256", "precision")
    compute = open_device(trained["precision"], run.threads)
    data = Prepared(run.data.folder)
    results, arrays = {}, {}
    for evaluation in campaign.evaluations_of(run):
        subject = Subject.open(campaign, evaluation, data, compute)
        facts = {"id": evaluation.id, "time": round(time.time(), 3), "timesteps": evaluation.timesteps}
        facts |= {
            "options": evaluation.options,
            "exits": evaluation.exits,
            "probe": evaluation.probe,
            "settings": evaluation.settings,
        }
        if evaluation.probe:
            results[evaluation.name] = facts | {"metrics": probe(subject)}
        else:
            metrics, arrays[evaluation.name], told = one_pass(subject, compute.is_mixed)
            results[evaluation.name] = facts | {"metrics": metrics} | told
    content = {"run": run.id, "weights_sha256": trained["weights_sha256"], "precision": trained["precision"]}
    content |= {"device": compute.name, "kernels": native.describe(), "data": data.meta, "evaluations": results}
    save_arrays(campaign.arrays_file(run), arrays)
    replace_sealed(campaign.results_file(run), content)
    return content


def one_pass(subject: Subject, is_mixed: bool) -> tuple[dict, dict[str, np.ndarray], dict]:
    """The numbers of an evaluation, the arrays that they can be computed from again, and in `layers` and `warnings` the energy
    of each layer and what is dead in the network.

    changed_from_float32: the share, in percent, of predictions that differ from float32's, over the first test images.
    energy: in uJ per image, by convention (pipeline.evaluation.energy).
    """
    from pipeline.evaluation.early_exit import exit_stops, read_exit
    from pipeline.evaluation.energy import at_stop, measure_energy, summary
    from pipeline.evaluation.silent_layers import spikes_of, warnings

    evaluation, network = subject.evaluation, subject.network()
    start = time.monotonic()
    test = subject.measure(network)
    metrics, arrays = test.summary(), arrays_of(test)
    metrics["images_per_second"] = len(test.labels) / (time.monotonic() - start)
    if is_mixed:
        metrics["changed_from_float32"] = changed_from_float32(subject, network, test)
    with spikes_of(network) as spikes:
        energy = measure_energy(network, subject.batches(), **subject.place)
    doubts = warnings(spikes.silent, test)
    metrics |= {"energy": summary(energy), "warnings": len(doubts)}
    if evaluation.exits:
        confidences = {name: subject.catalogue.methods[name].confidence for name in evaluation.exits}
        heldout = subject.measure(network, "heldout")
        metrics["exit"] = {name: read_exit(confidence, test, heldout) for name, confidence in confidences.items()}
        for name, told in metrics["exit"].items():
            told["energy"] = at_stop(energy, exit_stops(confidences[name], test, told["threshold"]))
        arrays |= {"heldout_labels": heldout.labels.astype(np.uint16), "heldout_logits": heldout.logits}
    return metrics, arrays, {"layers": energy.layers, "warnings": doubts}


def changed_from_float32(subject: Subject, network, test) -> float:
    from pipeline.data.evaluation_batches import BATCH
    from pipeline.evaluation.measure import measure

    some = subject.batches(images=BATCH * max(1, int(COMPARED * len(test.labels) / BATCH)))
    again = measure(network, some, device=subject.device)
    changed = test.means[-1][: len(again.labels)].argmax(-1) != again.means[-1].argmax(-1)
    return float(changed.mean() * 100)


def probe(subject: Subject) -> dict:
    """What the figure of an evaluation's probe measures."""
    import torch

    evaluation = subject.evaluation
    figure = subject.catalogue.figures[evaluation.probe]
    with torch.no_grad():
        return figure.measure(subject, subject.catalogue.probe_settings(evaluation.probe, evaluation.settings))


def arrays_of(measured) -> dict[str, np.ndarray]:
    """Labels [N], logits [T, N, C] and, where tokens are adaptive, what `pipeline.evaluation.measure.Measurement` says of each."""
    arrays = {"labels": measured.labels.astype(np.uint16), "logits": measured.logits}
    if measured.blocks is None:
        return arrays
    told = {"blocks": measured.blocks, "halt_block": measured.halt_block, "merge_block": measured.merge_block}
    return arrays | told | {"image_tokens": measured.image_tokens}


def evaluate_on_own_gpu(campaign: Campaign, run: Run) -> str:
    """`evaluate`, on a GPU that no other job of this machine has; in words, what came of it."""
    gpu_locks.take(1, lambda line: print(f"{run.id}: {line}", file=sys.stderr))
    lines = []
    for name, result in evaluate(campaign, run)["evaluations"].items():
        metrics = result["metrics"]
        told = (
            f"accuracy {metrics['accuracy']:.2f} %, average tokens {metrics['average_tokens']:.4f}" if not result["probe"] else ""
        )
        lines.append(f"{name} of {run.id}: {told or 'probe ' + result['probe']}")
    return "\n".join(lines)
