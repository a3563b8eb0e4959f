"""Stage 1: a data set from its source into the prepared format.  python -m pipeline.prepare --scale smoke --set ID"""

import argparse
from pathlib import Path

from pipeline import prepared
from pipeline.campaign import Campaign, common_arguments, open_campaign
from pipeline.discovery import discovered
from pipeline.errors import run_stage
from pipeline.identity import Data


def prepare(campaign: Campaign, data: Data) -> Path:
    module = discovered("pipeline.datasets", data.name, "dataset")
    raw = module.read(campaign.data_folder, data.train, data.test)
    return prepared.prepare(raw, data, title=module.TITLE, classes=module.CLASS_COUNT)


def main() -> None:
    parser = argparse.ArgumentParser(prog="pipeline.prepare", description=__doc__)
    common_arguments(parser)
    parser.add_argument("--set", metavar="ID", help="a prepared data set's id (default: all of the scale)")
    options = parser.parse_args()
    campaign = open_campaign(options.scale, options.data)
    names = campaign.experiment.datasets
    for data in [campaign.find_data(options.set)] if options.set is not None else [campaign.data(name) for name in names]:
        print(f"{prepare(campaign, data)}: {data.origin}", flush=True)


if __name__ == "__main__":
    run_stage(main, "prepare")
