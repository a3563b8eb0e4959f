"""Fill MLflow from a campaign's records: every training and evaluation, nested under one run that has tables and figures.

python -m pipeline.tracking --scale smoke fills it and says where its pages are shown.
"""
# Tested in tests/workflow/test_results.py

import argparse

from pipeline.command_line import common_arguments, open_campaign
from pipeline.core.errors import run_stage
from pipeline.mirror.fill import fill_and_show


def main() -> None:
    parser = argparse.ArgumentParser(prog="pipeline.tracking", description=__doc__)
    common_arguments(parser)
    parser.add_argument("--address", help="where MLflow's pages are shown (default: what MLFLOW_TRACKING_URI names)")
    options = parser.parse_args()
    print(fill_and_show(open_campaign(options.scale, options.data), options.address), flush=True)


if __name__ == "__main__":
    run_stage(main, "tracking")
