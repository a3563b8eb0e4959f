"""What all commands share: the campaign that they work on, and the arguments that name it."""

import os

from pipeline.campaign.campaign import Campaign
from pipeline.campaign.read_declaration import load
from pipeline.core.errors import UserError, exit_with, nearest

CONFIG_KEYS = ("scale", "data")


def open_campaign(scale: str, data: str | None = None) -> Campaign:
    """The campaign of a scale; images come from `data`, from $ATSNN_DATA, or from their official address."""
    return Campaign(load(scale), data or os.environ.get("ATSNN_DATA") or None)


def from_config(config: dict) -> Campaign:
    """The campaign that Snakemake's config asks for; a mistake in it is one line and exit code 2."""
    try:
        for key in config:
            if key not in CONFIG_KEYS:
                raise UserError(f"unknown --config key {key!r}: {nearest(key, CONFIG_KEYS)}")
        campaign = open_campaign(str(config["scale"]), config.get("data"))
        campaign.targets()
        return campaign
    except UserError as error:
        exit_with(error, "Snakefile")


def common_arguments(parser) -> None:
    parser.add_argument("--scale", default="smoke", help="a declaration in workflow/experiments (default: smoke)")
    parser.add_argument("--data", metavar="FOLDER", help="where the official data sets lie, instead of downloading them")
