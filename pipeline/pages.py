"""The numbers in README.md and RESULTS.md, written from the files that their links lead to.

python -m pipeline.pages puts them in (make pages); words stay as they are, so read them again. A link's title says where in its file
the numbers of its text stand: "accuracy_mean ± accuracy_std where evaluation=x, timesteps=4" in a csv, "100 × avg_tokens where ..."
for percent, "networks.0.plain.mean.0" or "lines.evaluation=x.accuracy ± accuracy_std" in a json. Each keeps the digits that it is written
with, and its sign where a plus or minus stands before it. A table follows a comment: <!-- table: results/<scale>/tables/table1.csv -->
Table 1, <!-- table: results/<scale>/runs --> what each training took.
"""

from pipeline.core.errors import run_stage
from pipeline.reporting.page.numbers_in_pages import fill_pages


def main() -> None:
    for line in fill_pages():
        print(line)


if __name__ == "__main__":
    run_stage(main, "pages")
