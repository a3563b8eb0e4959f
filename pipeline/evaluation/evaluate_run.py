"""Evaluate a run's final weights in the arithmetic of its training, and keep all that each pass measures.

The command is pipeline.evaluate, whose text says how it is used and by which rules.
"""
# Tested in tests/workflow/test_results.py

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

COMPARED_SHARE = 0.02  # of the batches of test images: computed in float32 too, at least one batch


def evaluate(campaign: Campaign, run: Run) -> dict:
    """Do all evaluations of a run, write their arrays and then their results, and return the results.

    Raises UserError where the run is not trained yet.
    """
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
            metrics, arrays[evaluation.name], details = measure_subject(subject, compute.is_mixed)
            results[evaluation.name] = facts | {"metrics": metrics} | details
    content = {"run": run.id, "weights_sha256": trained["weights_sha256"], "precision": trained["precision"]}
    content |= {"device": compute.name, "kernels": compute.kernels, "data": data.meta, "evaluations": results}
    save_arrays(campaign.arrays_file(run), arrays)
    replace_sealed(campaign.results_file(run), content)
    return content


def measure_subject(subject: Subject, is_mixed: bool) -> tuple[dict, dict[str, np.ndarray], dict]:
    """Measure the metrics of an evaluation. Returns them, the arrays from which they can be computed again, and in `layers` and
    `warnings` the energy of each layer and what is dead in the network.

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
        energy = measure_energy(network, subject.batches(), **subject.compute_arguments)
    warning_lines = warnings(spikes.silent, test)
    metrics |= {"energy": summary(energy), "warnings": len(warning_lines)}
    if evaluation.exits:
        confidences = {name: subject.catalogue.methods[name].confidence for name in evaluation.exits}
        heldout = subject.measure(network, "heldout")
        metrics["exit"] = {name: read_exit(confidence, test, heldout) for name, confidence in confidences.items()}
        for name, exit_metrics in metrics["exit"].items():
            exit_metrics["energy"] = at_stop(energy, exit_stops(confidences[name], test, exit_metrics["threshold"]))
        arrays |= {"heldout_labels": heldout.labels.astype(np.uint16), "heldout_logits": heldout.logits}
    return metrics, arrays, {"layers": energy.layers, "warnings": warning_lines}


def changed_from_float32(subject: Subject, network, test) -> float:
    """Compute in float32 too, over the first test images, and return the percentage of predictions that change."""
    from pipeline.data.evaluation_batches import BATCH
    from pipeline.evaluation.measure import measure

    first_batches = subject.batches(images=BATCH * max(1, int(COMPARED_SHARE * len(test.labels) / BATCH)))
    in_float32 = measure(network, first_batches, device=subject.device)
    changed = test.means[-1][: len(in_float32.labels)].argmax(-1) != in_float32.means[-1].argmax(-1)
    return float(changed.mean() * 100)


def probe(subject: Subject) -> dict:
    """Measure the evaluation's probe as its figure does, without gradients."""
    import torch

    evaluation = subject.evaluation
    figure = subject.catalogue.figures[evaluation.probe]
    with torch.no_grad():
        return figure.measure(subject, subject.catalogue.probe_settings(evaluation.probe, evaluation.settings))


def arrays_of(measurement) -> dict[str, np.ndarray]:
    """Collect labels [N], logits [T, N, C] and, where tokens are adaptive, each token's fate; shapes as in
    `pipeline.evaluation.measure.Measurement`.
    """
    arrays = {"labels": measurement.labels.astype(np.uint16), "logits": measurement.logits}
    if measurement.blocks is None:
        return arrays
    tokens = {"blocks": measurement.blocks, "halt_block": measurement.halt_block, "merge_block": measurement.merge_block}
    return arrays | tokens | {"image_tokens": measurement.image_tokens}


def evaluate_on_own_gpu(campaign: Campaign, run: Run) -> str:
    """Evaluate a run on a GPU that no other job of this machine has, and return a line of results for each evaluation."""
    gpu_locks.take(1, lambda line: print(f"{run.id}: {line}", file=sys.stderr))
    lines = []
    for name, result in evaluate(campaign, run)["evaluations"].items():
        metrics = result["metrics"]
        accuracy_and_tokens = (
            f"accuracy {metrics['accuracy']:.2f} %, average tokens {metrics['average_tokens']:.4f}" if not result["probe"] else ""
        )
        lines.append(f"{name} of {run.id}: {accuracy_and_tokens or 'probe ' + result['probe']}")
    return "\n".join(lines)
