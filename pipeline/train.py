"""Train one run, from its parent's weights or from scratch, to final weights and a record (stage 2).

python -m pipeline.train --scale smoke --run ID. A training that was killed resumes when it is started again, and ends with
the same weights, bit for bit. With --processes N it becomes torchrun, which starts this command N times
(pipeline.training.processes).
"""
# Tested in tests/workflow/test_mistakes.py

import argparse
import os
from pathlib import Path

from pipeline.command_line import common_arguments, open_campaign
from pipeline.core.errors import UserError, run_stage
from pipeline.training import training_job


def main() -> None:
    parser = argparse.ArgumentParser(prog="pipeline.train", description=__doc__)
    common_arguments(parser)
    parser.add_argument("--run", metavar="ID", required=True, help="the run's id, the name of its folder")
    parser.add_argument("--log", metavar="FILE", type=Path, help="append the plain lines to this file too")
    parser.add_argument(
        "--processes", metavar="N", type=int, default=1, help="train in N processes, on a GPU each where there are"
    )
    options = parser.parse_args()
    if options.processes < 0:
        raise UserError(f"--processes {options.processes}: name how many train together, 1 or more")
    campaign = open_campaign(options.scale, options.data)
    training_job.train_logged(campaign, campaign.find_run(options.run), options.log, max(1, options.processes))


if __name__ == "__main__":
    if training_job.MEMBER in os.environ:
        training_job.end_as_member(lambda: run_stage(main, "train"))
    run_stage(main, "train")
