"""Keep the curves of finished trainings, epoch by epoch, and compare a new training with those of its kind.

python -m pipeline.reference --scale laptop writes the scale's lines of baselines/reference_curves.csv from its records;
python -m pipeline.reference --scale laptop --check RUN compares a run, finished or not, with them (make check-run RUN=...).

Two runs are of one kind where their declarations are the same except for seed, threads and precision; the source of the
images and the version of the code may differ. A value is off where it is missing, or further from the mean of the reference's
n seeds than 4 sqrt(1 + 1/n) standard deviations. The deviation is the one between seeds at that epoch, pooled over the scale's
kinds that have several seeds; for tokens, which differ between kinds, it is the kind's own where it has several seeds. So the
check finds a training that goes wrong, not one that goes like another method's.
"""
# Tested in tests/workflow/test_published.py

import argparse
import sys

from pipeline.command_line import common_arguments, open_campaign
from pipeline.core.errors import run_stage
from pipeline.planning.reference_curves import check, keep


def main() -> None:
    parser = argparse.ArgumentParser(prog="pipeline.reference", description=(__doc__ or "").split("\n\n")[0])
    common_arguments(parser)
    parser.add_argument("--check", metavar="RUN", help="compare this run instead of keeping the scale's curves")
    options = parser.parse_args()
    campaign = open_campaign(options.scale, options.data)
    if options.check is None:
        print(keep(campaign))
        return
    text, as_expected = check(campaign, options.check)
    print(text)
    sys.exit(0 if as_expected else 1)


if __name__ == "__main__":
    run_stage(main, "reference")
