"""Write one self-contained page with tables, figures, curves, declaration and environment (stage 7).

python -m pipeline.report --scale smoke writes results/smoke/report.html: it loads nothing from the network and needs no script.
"""
# Tested in tests/faults/test_exposure.py

import argparse

from pipeline.command_line import common_arguments, open_campaign
from pipeline.core.errors import run_stage
from pipeline.reporting.page.report import report


def main() -> None:
    parser = argparse.ArgumentParser(prog="pipeline.report", description=__doc__)
    common_arguments(parser)
    options = parser.parse_args()
    print(f"wrote {report(open_campaign(options.scale, options.data))}")


if __name__ == "__main__":
    run_stage(main, "report")
