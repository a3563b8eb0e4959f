"""Judge the paper's checkable sentences by what was measured (stage 6).  python -m pipeline.claims --scale smoke

One rule for all: a claim is a quantity per seed and a bound. It holds where the 95 % confidence interval of the mean over
seeds (Student's t) lies beyond the bound on the claimed side, it doesn't hold where the interval lies on the other side, and
is undecided at this scale otherwise; also with one seed, where the quantity was not measured, and where it was measured on
networks that the sentence is not about. The note of a claim that holds by construction says so.
"""
# Tested in tests/faults/test_exposure.py

import argparse

from pipeline.command_line import common_arguments, open_campaign
from pipeline.core.errors import run_stage
from pipeline.reporting.claims.judge import judge_all


def main() -> None:
    parser = argparse.ArgumentParser(prog="pipeline.claims", description=__doc__)
    common_arguments(parser)
    options = parser.parse_args()
    print(judge_all(open_campaign(options.scale, options.data)).verdict.value_counts().to_string())


if __name__ == "__main__":
    run_stage(main, "claims")
