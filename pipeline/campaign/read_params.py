"""Read params.yaml, which names the scale that make, Snakemake and DVC work on where nothing else is said."""

from pathlib import Path

from pipeline.campaign.read_yaml import read_yaml
from pipeline.core.errors import UserError
from pipeline.core.paths import ROOT

PARAMS = ROOT / "params.yaml"


def read_params(path: Path = PARAMS) -> dict:
    """Read the scale, and the folder of images where one is named, None else. Raises UserError where no scale is named."""
    try:
        params = read_yaml(path, path.name)
    except OSError as error:
        raise UserError(f"{path.name} can't be read ({error.strerror}): git checkout brings it back") from error
    if not isinstance(params, dict) or params.get("scale") is None:
        raise UserError(f"{path.name} names no scale: write a line such as scale: smoke")
    return {"scale": str(params["scale"]), "data": params.get("data")}
