"""Evaluate a run's final weights in the arithmetic of its training, and keep all that each pass measures (stage 3).

python -m pipeline.evaluate --scale smoke --run ID does all evaluations of the run and writes arrays/<set>.npz, then
evals/<set>.json, where <set> names the run and its evaluations.
"""
# Tested in tests/workflow/test_mistakes.py

import argparse

from pipeline.command_line import common_arguments, open_campaign
from pipeline.core.errors import run_stage
from pipeline.evaluation.evaluate_run import evaluate_on_own_gpu


def main() -> None:
    parser = argparse.ArgumentParser(prog="pipeline.evaluate", description=__doc__)
    common_arguments(parser)
    run_or_set = parser.add_mutually_exclusive_group(required=True)
    run_or_set.add_argument("--run", metavar="ID", help="a run's id")
    run_or_set.add_argument("--set", metavar="NAME", help="a run and its evaluations, as their file is named")
    options = parser.parse_args()
    campaign = open_campaign(options.scale, options.data)
    run = campaign.find_run(options.run) if options.run is not None else campaign.find_measured(options.set)
    print(evaluate_on_own_gpu(campaign, run))


if __name__ == "__main__":
    run_stage(main, "evaluate")
