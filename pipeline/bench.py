"""Measure speed in one run: our networks beside SpikingJelly's and the limit of this machine, and each part of our networks.

python -m pipeline.bench --scale smoke runs tests/benchmarks, which time every network in a process of its own, and writes to
results/smoke/bench/<kind of processor>: benchmark.json (pytest-benchmark's own), ratios.json, cost.png and index.html, a page
with all of it. Machines differ and are shared, so only ratios within one run are compared: with those of the last run on the same
kind of processor in the same arithmetic. Ratios that got worse are printed, and with --strict the stage fails for them.
"""
# Tested in tests/faults/test_exposure.py

import argparse

from pipeline.command_line import common_arguments, open_campaign
from pipeline.core.errors import run_stage
from pipeline.planning.benchmark import PARTS, bench


def main() -> None:
    parser = argparse.ArgumentParser(prog="pipeline.bench", description=__doc__)
    common_arguments(parser)
    parser.add_argument("--strict", action="store_true", help="fail where a ratio is worse than in the last run")
    parser.add_argument(
        "--only", nargs="+", choices=PARTS, default=(), help="measure these parts; the record keeps what it has of the others"
    )
    options = parser.parse_args()
    print(f"wrote {bench(open_campaign(options.scale, options.data), options.strict, options.only)}")


if __name__ == "__main__":
    run_stage(main, "bench")
