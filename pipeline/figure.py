"""Draw a figure of the declaration from evaluations (stage 5).  python -m pipeline.figure --scale smoke --figure NAME

Writes figures/NAME.svg, .pdf and .json (the numbers, the caption, the evaluations shown). A figure that lacks its data
says so in all three and stops nothing else.
"""
# Tested in tests/faults/test_exposure.py

import argparse

from pipeline.command_line import common_arguments, open_campaign
from pipeline.core.errors import run_stage
from pipeline.reporting.drawing.draw_figure import draw


def main() -> None:
    parser = argparse.ArgumentParser(prog="pipeline.figure", description=__doc__)
    common_arguments(parser)
    parser.add_argument("--figure", metavar="NAME", required=True)
    options = parser.parse_args()
    print(draw(open_campaign(options.scale, options.data), options.figure)["caption"])


if __name__ == "__main__":
    run_stage(main, "figure")
