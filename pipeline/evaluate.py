"""Stage 3: all evaluations of a run's final weights, in the arithmetic of its training, and everything that each pass tells.

python -m pipeline.evaluate --scale smoke --run ID writes arrays/<set>.npz and then evals/<set>.json, where <set> names
the run and its evaluations.
"""

import argparse
import time
from itertools import islice

import numpy as np

from pipeline.arrays import save_arrays
from pipeline.campaign import Campaign, common_arguments, open_campaign
from pipeline.errors import UserError, run_stage
from pipeline.identity import Evaluation, Run
from pipeline.record import read_json, replace_json

COMPARED = 0.02  # share of the batches of test images that are computed in float32 too, at least one batch


def evaluate(campaign: Campaign, run: Run) -> dict:
    from models import kernels
    from pipeline.device import describe_device, open_device
    from pipeline.prepared import Prepared

    done = campaign.run_folder(run) / "done.json"
    if not done.exists():
        raise UserError(
            f"run {run.id} is not trained yet: python -m pipeline.train --scale {campaign.experiment.scale} --run {run.id}"
        )
    trained = read_json(done, "weights_sha256", "precision")
    accelerator, _ = open_device(trained["precision"], run.threads)
    data = Prepared(run.data.folder)
    results, arrays = {}, {}
    for evaluation in campaign.evaluations_of(run):
        metrics, arrays[evaluation.name] = one_pass(campaign, evaluation, data, accelerator)
        facts = {"id": evaluation.id, "time": round(time.time(), 3), "timesteps": evaluation.timesteps}
        results[evaluation.name] = facts | {"options": evaluation.options, "exits": evaluation.exits, "metrics": metrics}
    content = {"run": run.id, "weights_sha256": trained["weights_sha256"], "precision": trained["precision"]}
    content |= {"device": describe_device(accelerator), "kernels": kernels.describe(), "data": data.meta, "evaluations": results}
    save_arrays(campaign.arrays_file(run), arrays)
    replace_json(campaign.results_file(run), content)
    return content


def one_pass(campaign: Campaign, evaluation: Evaluation, data, accelerator) -> tuple[dict, dict[str, np.ndarray]]:
    """The numbers of an evaluation, and the arrays that they can be computed from again.

    changed_from_float32: the share, in percent, of predictions that differ from float32's, over the first test images.
    """
    import torch

    from pipeline.build import backbone_for, network_for
    from pipeline.checkpoint import load_weights
    from pipeline.exits import read_exit
    from pipeline.inputs import BATCH, evaluation_batches
    from pipeline.measure import measure

    run = evaluation.run
    backbone = backbone_for(run, evaluation.timesteps)
    load_weights(campaign.weights_folder(run) / "final.safetensors", backbone, run.id)
    dtype = torch.float64 if run.precision == "float64" else torch.float32
    network = network_for(run.method, evaluation.options, backbone).to(accelerator.device, dtype)
    place = {"device": accelerator.device, "dtype": dtype, "arithmetic": accelerator.autocast}
    start = time.monotonic()
    test = measure(network, evaluation_batches(data, "test"), **place)
    metrics, arrays = test.summary(), arrays_of(test)
    metrics["images_per_second"] = len(test.labels) / (time.monotonic() - start)
    if accelerator.mixed_precision != "no":
        some = islice(evaluation_batches(data, "test"), max(1, int(COMPARED * len(test.labels) / BATCH)))
        again = measure(network, some, device=accelerator.device)
        changed = test.means[-1][: len(again.labels)].argmax(-1) != again.means[-1].argmax(-1)
        metrics["changed_from_float32"] = float(changed.mean() * 100)
    if evaluation.exits:
        heldout = measure(network, evaluation_batches(data, "heldout"), **place)
        metrics["exit"] = {name: read_exit(name, test, heldout) for name in evaluation.exits}
        arrays |= {"heldout_labels": heldout.labels.astype(np.uint16), "heldout_logits": heldout.logits}
    return metrics, arrays


def arrays_of(measured) -> dict[str, np.ndarray]:
    """Labels [N], logits [T, N, C] and, where tokens are adaptive, what `pipeline.measure.Measurement` says of each."""
    arrays = {"labels": measured.labels.astype(np.uint16), "logits": measured.logits}
    if measured.blocks is None:
        return arrays
    told = {"blocks": measured.blocks, "halt_block": measured.halt_block, "survived": measured.survived}
    return arrays | told | {"image_tokens": measured.image_tokens}


def main() -> None:
    parser = argparse.ArgumentParser(prog="pipeline.evaluate", description=__doc__)
    common_arguments(parser)
    wanted = parser.add_mutually_exclusive_group(required=True)
    wanted.add_argument("--run", metavar="ID", help="a run's id")
    wanted.add_argument("--set", metavar="NAME", help="a run and its evaluations, as their file is named")
    options = parser.parse_args()
    campaign = open_campaign(options.scale, options.data)
    run = campaign.find_run(options.run) if options.run else campaign.find_measured(options.set)
    for name, result in evaluate(campaign, run)["evaluations"].items():
        told = result["metrics"]
        print(f"{name} of {run.id}: accuracy {told['accuracy']:.2f} %, average tokens {told['average_tokens']:.4f}")


if __name__ == "__main__":
    run_stage(main, "evaluate")
