"""Provide what all commands and the Snakefile share: the catalogue, the campaign they work on, the arguments that name it."""
# Tested in tests/workflow/test_mistakes.py

import os

import baselines
import models
from pipeline.campaign.campaign import Campaign
from pipeline.campaign.read_declaration import load
from pipeline.core.catalogue import Catalogue, Shelf
from pipeline.core.errors import UserError, nearest, told_in_one_line
from pipeline.core.validation import shown
from pipeline.data import datasets
from pipeline.data.data_folders import parse_folders
from pipeline.reporting import figures

CONFIG_KEYS = ("scale", "data")
CATALOGUE = Catalogue(
    methods=Shelf(baselines, "method"),
    datasets=Shelf(datasets, "dataset"),
    backbones=Shelf(models, "backbone", holding="network.py"),
    figures=Shelf(figures, "figure"),
)


def open_campaign(scale: str, data: object = None) -> Campaign:
    """Open the campaign of a scale; images come from the folders `data`, else from $ATSNN_DATA, else their official address."""
    folders = parse_folders(data, "data") or parse_folders(os.environ.get("ATSNN_DATA") or None, "ATSNN_DATA")
    return Campaign(load(scale, CATALOGUE), CATALOGUE, folders)


def from_config(config: dict) -> Campaign:
    """Open the campaign that Snakemake's config asks for; print a mistake in it as one line and exit with code 2."""
    with told_in_one_line("Snakefile"):
        for key in config:
            if key not in CONFIG_KEYS:
                raise UserError(f"unknown --config key {key!r}: {nearest(key, CONFIG_KEYS)}")
        data = "" if config.get("data", "") is None else config.get("data")  # `data=` without a value is no folder, not none
        if not isinstance(scale := config.get("scale"), str):
            raise UserError(f"scale must be the name of a declaration, as in scale=smoke, but is {shown(scale)}")
        campaign = open_campaign(scale, data)
        campaign.targets()
        return campaign


def common_arguments(parser) -> None:
    """Add the arguments that name a campaign to an argparse parser."""
    parser.add_argument("--scale", default="smoke", help="a declaration in workflow/experiments (default: smoke)")
    parser.add_argument(
        "--data", metavar="FOLDER", action="append", help="where data sets lie, instead of downloading them; several as A:B"
    )
