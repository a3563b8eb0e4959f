"""Stage 3: one pass of a run's final weights over a split, in float32, and everything that one pass can tell.

python -m pipeline.evaluate --scale smoke --evaluation ID writes evals/<id>/{tokens.npz, result.json}, the latter last.
"""

import argparse
import os
import time
from pathlib import Path

import numpy as np

from pipeline.campaign import Campaign, Evaluation, common_arguments, open_campaign
from pipeline.errors import UserError, run_stage
from pipeline.record import read_json, replace_json


def evaluate(campaign: Campaign, evaluation: Evaluation) -> dict:
    from pipeline.augment import evaluation_batches
    from pipeline.build import backbone_for, network_for
    from pipeline.checkpoint import load_weights
    from pipeline.device import describe_device, open_device
    from pipeline.measure import measure
    from pipeline.prepared import Prepared

    run = evaluation.run
    done = campaign.run_folder(run) / "done.json"
    if not done.exists():
        raise UserError(
            f"run {run.id} is not trained yet: python -m pipeline.train --scale {campaign.experiment.scale} --run {run.id}"
        )
    accelerator, _ = open_device("float32", run.threads)
    backbone = backbone_for(run, evaluation.timesteps)
    load_weights(campaign.weights_folder(run) / "final.safetensors", backbone, run.id)
    network = network_for(run.method, evaluation.options, backbone).to(accelerator.device)
    data = Prepared(run.data.folder)
    measured = measure(network, evaluation_batches(data, evaluation.split), device=accelerator.device)
    folder = campaign.evaluation_folder(evaluation)
    save_arrays(folder / "tokens.npz", measured)
    result = {
        "evaluation": evaluation.id,
        "run": run.id,
        "time": round(time.time(), 3),
        "split": evaluation.split,
        "timesteps": evaluation.timesteps,
    }
    result |= {
        "options": evaluation.options,
        "weights_sha256": read_json(done, "weights_sha256")["weights_sha256"],
        "device": describe_device(accelerator),
    }
    result |= {"data": data.meta, "metrics": measured.summary()}
    replace_json(folder / "result.json", result)
    return result


def save_arrays(path: Path, measured) -> None:
    """Labels, predictions [T, N] and, where tokens are adaptive, blocks and survivors [N, K0] and halting blocks [T, N, K0]."""
    arrays = {"labels": measured.labels.astype(np.uint16), "predictions": measured.predictions.astype(np.uint16)}
    if measured.blocks is not None:
        arrays |= {"blocks": measured.blocks, "halt_block": measured.halt_block, "survived": measured.survived}
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{os.getpid()}.{path.name}")
    np.savez_compressed(partial, **arrays)
    os.replace(partial, path)


def main() -> None:
    parser = argparse.ArgumentParser(prog="pipeline.evaluate", description=__doc__)
    common_arguments(parser)
    parser.add_argument("--evaluation", metavar="ID", required=True, help="the evaluation's id, the name of its folder")
    options = parser.parse_args()
    campaign = open_campaign(options.scale, options.data)
    metrics = evaluate(campaign, campaign.find_evaluation(options.evaluation))["metrics"]
    print(
        f"{options.evaluation}: accuracy {metrics['accuracy']:.2f} %, average tokens {metrics['average_tokens']:.4f}, {metrics['images']} images"
    )


if __name__ == "__main__":
    run_stage(main, "evaluate")
