"""Stage 6: the paper's checkable sentences, each with what was measured here.  python -m pipeline.claims --scale smoke

The rule is the same for all: a claim is a quantity per seed and a bound. It holds where the 95 % confidence interval of the
mean over seeds (Student's t) lies beyond the bound on the claimed side, it doesn't hold where the interval lies on the
other side, and else nothing can be told at this scale; neither can it from one seed, where the quantity was not measured,
or where it was on networks that the sentence is not about. What is so by construction says so in its note.
"""

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
