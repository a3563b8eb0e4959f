"""Write the tables of a whole campaign (stage 4).  python -m pipeline.aggregate --scale smoke

MLflow is filled from records and evaluations first, then compared with them; a number that differs from its record is refused.
Tables carry the project's own ids, so they are the same bytes everywhere; MLflow's ids stand in results/<scale>/links.csv.
"""
# Tested in tests/workflow/test_results.py

import argparse

from pipeline.command_line import common_arguments, open_campaign
from pipeline.core.errors import run_stage
from pipeline.reporting.tables import table1_formats
from pipeline.reporting.tables.aggregate import aggregate


def main() -> None:
    parser = argparse.ArgumentParser(prog="pipeline.aggregate", description=__doc__)
    common_arguments(parser)
    options = parser.parse_args()
    campaign = open_campaign(options.scale, options.data)
    print(table1_formats.markdown(aggregate(campaign), table1_formats.note(campaign)))


if __name__ == "__main__":
    run_stage(main, "aggregate")
