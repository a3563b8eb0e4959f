"""Final weights that a scale keeps in git: results/<scale>/published/<run>.safetensors, for campaigns whose networks are small.

python -m pipeline.published --scale laptop puts the weights of every finished run there; without a scale, what lies there is put
where the graph looks for it, unless the run has weights of its own: so a clone trains nothing again. DVC keeps weights/
and can't share a folder with git, hence the second place.
"""

import argparse

from pipeline.campaign.published_weights import publish_scale, restore_all
from pipeline.core.errors import run_stage


def main() -> None:
    parser = argparse.ArgumentParser(prog="pipeline.published", description=__doc__.split("\n\n")[0])
    parser.add_argument("--scale", help="publish the weights of this scale")
    scale = parser.parse_args().scale
    for line in publish_scale(scale) if scale else restore_all():
        print(line)


if __name__ == "__main__":
    run_stage(main, "published")
