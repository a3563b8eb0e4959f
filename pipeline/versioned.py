"""Reproduce a campaign as stages of DVC, in results/<scale>/dvc.yaml: what dvc repro does for the scale in params.yaml.

python -m pipeline.versioned reproduce --scale paper prepares the data of `paper`, tracks each data set as data/prepared/<id>.dvc,
and runs dvc repro results/paper/dvc.yaml, which it writes from the declaration. With bench it is results/paper/speed/dvc.yaml.
"""
# Tested in tests/workflow/test_evidence.py

import argparse
import sys

from pipeline.campaign.dvc_stages import TARGETS, reproduce
from pipeline.campaign.read_params import read_params
from pipeline.command_line import open_campaign
from pipeline.core.errors import run_stage


def main() -> None:
    parser = argparse.ArgumentParser(prog="pipeline.versioned", description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("target", choices=TARGETS, help="all of the campaign, or the speed of its methods")
    parser.add_argument("--scale", help="a declaration in workflow/experiments (default: the one that params.yaml names)")
    options = parser.parse_args()
    params = read_params()
    sys.exit(reproduce(open_campaign(options.scale or params["scale"], params["data"]), options.target))


if __name__ == "__main__":
    run_stage(main, "versioned")
