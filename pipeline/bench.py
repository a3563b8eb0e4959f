"""Speed, measured in one run: our networks beside SpikingJelly's, beside the limit of this machine, and each part of them.

python -m pipeline.bench --scale smoke runs tests/benchmarks, which time every network in a process of its own, and writes to
results/smoke/bench: benchmark.json (pytest-benchmark's own), ratios.json, cost.png and index.html, a page with all of it.
Machines differ and are shared: only the ratios of one run can be compared. They are, with those of the run whose files were
there before, if it was on the same device in the same arithmetic: what got slower is printed, and with --strict the stage fails for it.
"""

import argparse

from pipeline.command_line import common_arguments, open_campaign
from pipeline.core.errors import run_stage
from pipeline.planning.benchmark import bench


def main() -> None:
    parser = argparse.ArgumentParser(prog="pipeline.bench", description=__doc__)
    common_arguments(parser)
    parser.add_argument("--strict", action="store_true", help="fail where a ratio is worse than in the last run")
    options = parser.parse_args()
    print(f"wrote {bench(open_campaign(options.scale, options.data), options.strict)}")


if __name__ == "__main__":
    run_stage(main, "bench")
