"""Keep final weights of small networks in git, as results/<scale>/published/<run>.safetensors, and restore them from there.

python -m pipeline.published --scale laptop puts the weights of every finished run there. Without a scale, the weights there are
copied to where the graph looks for them, unless the run already has weights: so a clone trains nothing again. DVC keeps weights/
and can't share a folder with git, hence the second folder.
"""
# Tested in tests/workflow/test_published.py

import argparse

from pipeline.campaign.published_weights import publish_scale, restore_all
from pipeline.core.errors import run_stage


def main() -> None:
    parser = argparse.ArgumentParser(prog="pipeline.published", description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("--scale", help="publish the weights of this scale")
    scale = parser.parse_args().scale
    for line in publish_scale(scale) if scale else restore_all():
        print(line)


if __name__ == "__main__":
    run_stage(main, "published")
