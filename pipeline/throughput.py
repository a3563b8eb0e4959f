"""Measure how fast this machine does each kind of training and of evaluation pass, before anything is trained.

python -m pipeline.throughput --scale paper trains every kind of the campaign for a few steps, as pipeline.train does, on images
of noise, evaluates some as pipeline.evaluate does, and keeps images per second in results/paper/throughput.json, from which
python -m pipeline.plan computes hours. Weights are drawn from the seed: tokens that halt in trained networks do not halt here.

Speeds measured on this device before are kept, unless --again is given; those of another device are replaced. On a GPU the
batch is the recipe's and images come from the declared loader workers; on a processor it is small, and one process prepares
them.
"""
# Tested in tests/pipeline/planning/test_throughput.py

import argparse

from pipeline.command_line import common_arguments, open_campaign
from pipeline.core.errors import UserError, run_stage
from pipeline.planning.throughput import SMALL_BATCH, STEPS, measure_on_own_gpu


def main() -> None:
    parser = argparse.ArgumentParser(prog="pipeline.throughput", description=(__doc__ or "").split("\n\n")[0])
    common_arguments(parser)
    parser.add_argument(
        "--batch", type=int, metavar="N", help=f"images a step (default: the recipe's on a GPU, else {SMALL_BATCH})"
    )
    parser.add_argument("--steps", type=int, metavar="N", help=f"steps that are timed (default: {STEPS['gpu']} on a GPU, else 2)")
    parser.add_argument("--again", action="store_true", help="measure what was measured on this device before too")
    options = parser.parse_args()
    for name, value in (("--batch", options.batch), ("--steps", options.steps)):
        if value is not None and (value < 1 or (name == "--batch" and value % 2)):
            raise UserError(f"{name} {value}: name a positive number, an even one for a batch, which mixup pairs")
    campaign = open_campaign(options.scale, options.data)
    print(f"wrote {measure_on_own_gpu(campaign, options.batch, options.steps, options.again)}")


if __name__ == "__main__":
    run_stage(main, "throughput")
