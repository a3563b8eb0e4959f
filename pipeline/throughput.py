"""How fast each kind of training and of pass is here, measured before anything is trained.

python -m pipeline.throughput --scale paper trains every kind of the campaign for a few steps, as pipeline.train does, on images of
noise, and passes over some as pipeline.evaluate does, and keeps images per second in results/paper/throughput.json, from which
python -m pipeline.plan tells the hours. The weights are as the seed draws them: what halts in trained networks does not halt here.

What was measured on this device before is kept, unless --again is given; what was measured on another is replaced. On a GPU a
batch is the recipe's and images come from the declared loader workers; on a processor it is small, and one process prepares them.
"""

import argparse

from pipeline.command_line import common_arguments, open_campaign
from pipeline.core.errors import UserError, run_stage
from pipeline.planning.throughput import SMALL_BATCH, STEPS, measure_on_own_gpu


def main() -> None:
    parser = argparse.ArgumentParser(prog="pipeline.throughput", description=__doc__.split("\n\n")[0])
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
