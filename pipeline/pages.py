"""Write the numbers in README.md, RESULTS.md and docs/speed.md from the files that they link to.

python -m pipeline.pages puts them in (make pages); words stay as they are, so read them again. A link's title says where in
its file the numbers of its text stand: "accuracy_mean ± accuracy_std where evaluation=x, timesteps=4" in a csv,
"100 × avg_tokens where ..." for percent, "networks.0.plain.mean.0" or "lines.evaluation=x.accuracy ± accuracy_std" in a json.
A new number is written with as many digits as the old one, and with its sign where the old one has a plus or minus. A table
follows a comment: <!-- table: results/<scale>/tables/table1.csv --> Table 1, <!-- table: results/<scale>/runs --> the time that
each training took.
"""
# Tested in tests/pipeline/reporting/page/test_numbers_in_pages.py

import argparse

from pipeline.core.errors import run_stage
from pipeline.reporting.page.numbers_in_pages import fill_pages


def main() -> None:
    argparse.ArgumentParser(prog="pipeline.pages", description=(__doc__ or "").split("\n\n")[0]).parse_args()
    for line in fill_pages():
        print(line)


if __name__ == "__main__":
    run_stage(main, "pages")
