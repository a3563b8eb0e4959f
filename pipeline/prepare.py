"""Convert a data set from its source to the prepared format (stage 1).  python -m pipeline.prepare --scale smoke --set ID"""
# Tested in tests/workflow/test_mistakes.py

import argparse

from pipeline.command_line import common_arguments, open_campaign
from pipeline.core.errors import run_stage
from pipeline.data.prepared import prepare_from_source


def main() -> None:
    parser = argparse.ArgumentParser(prog="pipeline.prepare", description=__doc__)
    common_arguments(parser)
    parser.add_argument("--set", metavar="ID", help="a prepared data set's id (default: all of the scale)")
    options = parser.parse_args()
    campaign = open_campaign(options.scale, options.data)
    names = campaign.experiment.datasets
    for data in [campaign.find_data(options.set)] if options.set is not None else [campaign.data(name) for name in names]:
        dataset = campaign.catalogue.datasets[data.name]
        print(f"{prepare_from_source(dataset, data, campaign.data_folders)}: {data.origin}", flush=True)


if __name__ == "__main__":
    run_stage(main, "prepare")
