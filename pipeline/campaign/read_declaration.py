"""A scale's declaration, workflow/experiments/<scale>.yaml: read, validated, checked. Imports no torch.

A declaration that `extends` another says only what differs: its sections are merged entry by entry.
"""

import re
from collections import Counter
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from pipeline.campaign.check_declaration import check
from pipeline.campaign.declaration import Dataset, Evaluation, Experiment, Figure, Network, Recipe, Row, Run
from pipeline.core.catalogue import Catalogue
from pipeline.core.errors import UserError, nearest
from pipeline.core.paths import ROOT

EXPERIMENTS = ROOT / "workflow" / "experiments"
FAULTS = 20  # of a declaration that are told at once


def load(scale: str, catalogue: Catalogue, folder: Path = EXPERIMENTS) -> Experiment:
    """Read and check the declaration of a scale. Raises UserError with file, key and the nearest valid name."""
    content = read(scale, folder)
    try:
        experiment = validate(content, catalogue)
        check(experiment, scale, catalogue)
    except UserError as error:
        raise UserError(f"{shown(folder / f'{scale}.yaml')}: {error}") from error
    return experiment


def validate(content: Any, catalogue: Catalogue) -> Experiment:
    """Make a declaration of a file's content, with all settings of its networks. Raises UserError that names each fault."""
    try:
        experiment = Experiment.model_validate(content)
    except ValidationError as error:
        raise UserError("; ".join(explain(fault) for fault in error.errors()[:FAULTS])) from error
    networks = {name: filled(name, network, catalogue) for name, network in experiment.networks.items()}
    return experiment.model_copy(update={"networks": networks})


def filled(name: str, network: Network, catalogue: Catalogue) -> Network:
    """Give a network all the settings that its backbone has."""
    try:
        settings = catalogue.network_settings(network.backbone, network.settings)
    except UserError as error:
        raise UserError(f"networks.{name}: {error}") from error
    return Network(backbone=network.backbone, **settings.model_dump())


def read(scale: str, folder: Path, heirs: tuple[str, ...] = ()) -> Any:
    """A scale's file, put over the one that it extends."""
    path = folder / f"{scale[:100]}.yaml"  # a longer name can't be a file's
    if not re.fullmatch("[a-z][a-z0-9_]*", scale) or not path.is_file():
        known = nearest(scale, (p.stem for p in folder.glob("*.yaml")))
        asking = f", which {heirs[-1]}.yaml extends," if heirs else ""
        raise UserError(f"scale {scale!r}{asking} has no declaration {path.name} in {shown(folder)}: {known}")
    try:
        content = yaml.load(path.read_text(), Loader=UniqueKeys)
    except OSError:
        raise
    except Exception as error:  # a tag or a date that is none can raise anything
        raise UserError(f"{shown(path)} is not valid YAML: {error}") from error
    if not isinstance(content, dict) or "extends" not in content:
        return content
    base = content.pop("extends")
    if base in (scale, *heirs):
        raise UserError(f"{shown(path)}: extends {base!r}, which extends this one: one of them must stand alone")
    return extended(read(str(base), folder, (*heirs, scale)), content)


def extended(base: Any, changes: dict) -> Any:
    """Sections entry by entry, an entry field by field; an entry that is null is taken out."""
    if not isinstance(base, dict):
        return changes
    content = base | changes
    for section, entries in changes.items():
        if isinstance(entries, dict) and isinstance(base.get(section), dict):
            both = base[section] | {name: over(base[section].get(name), entry) for name, entry in entries.items()}
            content[section] = {name: entry for name, entry in both.items() if name not in entries or entry is not None}
    return content


def over(below: Any, above: Any) -> Any:
    return below | above if isinstance(below, dict) and isinstance(above, dict) else above


def shown(path: Path) -> str:
    return str(path.relative_to(ROOT)) if path.is_relative_to(ROOT) else str(path)


class UniqueKeys(yaml.SafeLoader):
    """YAML in which a repeated key is an error, not a silent replacement."""

    def construct_mapping(self, node, deep=False):
        keys = [key.value for key, _ in node.value if isinstance(key, yaml.ScalarNode)]
        for key, count in Counter(keys).items():
            if count > 1:
                raise yaml.constructor.ConstructorError(None, None, f"key {key!r} is repeated", node.start_mark)
        return super().construct_mapping(node, deep)


def explain(fault: dict) -> str:
    """One pydantic fault as key and remedy."""
    where = [str(part) for part in fault["loc"] if part != "[key]"]
    if fault["type"] == "extra_forbidden":
        return f"unknown key {'.'.join(where)}: {nearest(where[-1], known_keys(where[:-1]))}"
    return f"{'.'.join(where) or 'the file'}: {fault['msg'].lower()}"


def known_keys(where: list[str]) -> list[str]:
    """The keys allowed at a place in the declaration."""
    sections = {"datasets": Dataset, "networks": Network, "recipes": Recipe, "runs": Run}
    sections |= {"evaluations": Evaluation, "table1": Row, "figures": Figure}
    model = sections.get(where[0], Experiment) if where else Experiment
    return list(model.model_fields)
