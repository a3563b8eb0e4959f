"""Stage 5: a figure of the declaration, from evaluations.  python -m pipeline.figure --scale smoke --figure NAME"""

import argparse
import os

from pipeline.aggregate import mark_made
from pipeline.campaign import Campaign, common_arguments, open_campaign
from pipeline.discovery import discovered
from pipeline.errors import UserError, nearest, run_stage
from pipeline.record import replace_json


def draw(campaign: Campaign, name: str) -> dict:
    if name not in campaign.experiment.figures:
        raise UserError(
            f"figure {name!r} is not in scale {campaign.experiment.scale!r}: {nearest(name, campaign.experiment.figures)}"
        )
    for path in campaign.figure_inputs(name):
        if not os.path.exists(path):
            raise UserError(f"{path} is missing: run snakemake, which makes it, or evaluate first")
    evaluations = [e for wanted in campaign.experiment.figures[name].evaluations for e in campaign.named(wanted)]
    module = discovered("pipeline.figures", name, "figure")
    numbers = module.draw(campaign, evaluations, campaign.folder / "figures" / f"{name}.png")
    replace_json(campaign.folder / "figures" / f"{name}.json", numbers)
    mark_made(campaign, name)
    return numbers


def main() -> None:
    parser = argparse.ArgumentParser(prog="pipeline.figure", description=__doc__)
    common_arguments(parser)
    parser.add_argument("--figure", metavar="NAME", required=True)
    options = parser.parse_args()
    print(draw(open_campaign(options.scale, options.data), options.figure)["caption"])


if __name__ == "__main__":
    run_stage(main, "figure")
