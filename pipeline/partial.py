"""Write the tables of a campaign of which runs are missing, with what they lack (stage 4).

python -m pipeline.partial --scale smoke writes results/smoke/partial/, without asking MLflow; Snakemake calls it where a graph
ends with failures. pipeline.aggregate writes the tables of a whole campaign.
"""
# Tested in tests/workflow/test_partial.py

import argparse

from pipeline.command_line import common_arguments, open_campaign
from pipeline.core.errors import run_stage
from pipeline.reporting.tables.partial import partial


def main() -> None:
    parser = argparse.ArgumentParser(prog="pipeline.partial", description=__doc__)
    common_arguments(parser)
    options = parser.parse_args()
    print(partial(open_campaign(options.scale, options.data)))


if __name__ == "__main__":
    run_stage(main, "partial")
