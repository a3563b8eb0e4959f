"""Read, validate and check a scale's declaration, workflow/experiments/<scale>.yaml. Imports no torch.

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
MOST_FAULTS = 20  # of a declaration that one message lists


def load(scale: str, catalogue: Catalogue, folder: Path = EXPERIMENTS) -> Experiment:
    """Read and check the declaration of a scale. Raises UserError with file, key and the nearest valid name."""
    content = read(scale, folder)
    try:
        experiment = validate(content, catalogue)
        check(experiment, scale, catalogue)
    except UserError as error:
        raise UserError(f"{path_in_messages(folder / f'{scale}.yaml')}: {error}") from error
    return experiment


def validate(content: Any, catalogue: Catalogue) -> Experiment:
    """Build a declaration from a file's content, with all settings of its networks. Raises UserError that names each fault."""
    try:
        experiment = Experiment.model_validate(content)
    except ValidationError as error:
        raise UserError("; ".join(explain(fault) for fault in error.errors()[:MOST_FAULTS])) from error
    networks = {name: with_all_settings(name, network, catalogue) for name, network in experiment.networks.items()}
    return experiment.model_copy(update={"networks": networks})


def with_all_settings(name: str, network: Network, catalogue: Catalogue) -> Network:
    """Copy a network with all the settings that its backbone has."""
    try:
        settings = catalogue.network_settings(network.backbone, network.settings)
    except UserError as error:
        raise UserError(f"networks.{name}: {error}") from error
    return Network(backbone=network.backbone, **settings.model_dump())


def read(scale: str, folder: Path, extending: tuple[str, ...] = ()) -> Any:
    """Read a scale's file, merged over the one that it extends. `extending`: the scales that extend this one."""
    path = folder / f"{scale[:100]}.yaml"  # a longer name can't name a file
    if not re.fullmatch("[a-z][a-z0-9_]*", scale) or not path.is_file():
        suggestion = nearest(scale, (p.stem for p in folder.glob("*.yaml")))
        extended_by = f", which {extending[-1]}.yaml extends," if extending else ""
        raise UserError(
            f"scale {scale!r}{extended_by} has no declaration {path.name} in {path_in_messages(folder)}: {suggestion}"
        )
    try:
        content = yaml.load(path.read_text(), Loader=UniqueKeys)
    except OSError:
        raise
    except Exception as error:  # an invalid tag or date can raise anything
        raise UserError(f"{path_in_messages(path)} is not valid YAML: {error}") from error
    if not isinstance(content, dict) or "extends" not in content:
        return content
    base = content.pop("extends")
    if base in (scale, *extending):
        raise UserError(f"{path_in_messages(path)}: extends {base!r}, which extends this one: one of them must stand alone")
    return merge_sections(read(str(base), folder, (*extending, scale)), content)


def merge_sections(base: Any, changes: dict) -> Any:
    """Merge sections entry by entry and entries field by field; an entry that is null is taken out."""
    if not isinstance(base, dict):
        return changes
    content = base | changes
    for section, entries in changes.items():
        if isinstance(entries, dict) and isinstance(base.get(section), dict):
            merged = base[section] | {name: merge_entry(base[section].get(name), entry) for name, entry in entries.items()}
            content[section] = {name: entry for name, entry in merged.items() if name not in entries or entry is not None}
    return content


def merge_entry(base: Any, changes: Any) -> Any:
    """Merge an entry field by field; what is no mapping is replaced."""
    return base | changes if isinstance(base, dict) and isinstance(changes, dict) else changes


def path_in_messages(path: Path) -> str:
    """Shorten a path in the repository to the part below its root."""
    return str(path.relative_to(ROOT)) if path.is_relative_to(ROOT) else str(path)


class UniqueKeys(yaml.SafeLoader):
    """A YAML loader that refuses a repeated key, which would silently replace the earlier one."""

    def construct_mapping(self, node, deep=False):
        """Construct a mapping. Raises ConstructorError for a repeated key."""
        keys = [key.value for key, _ in node.value if isinstance(key, yaml.ScalarNode)]
        for key, count in Counter(keys).items():
            if count > 1:
                raise yaml.constructor.ConstructorError(None, None, f"key {key!r} is repeated", node.start_mark)
        return super().construct_mapping(node, deep)


def explain(fault: dict) -> str:
    """Put one pydantic fault into words: its key and the remedy."""
    where = [str(part) for part in fault["loc"] if part != "[key]"]
    if fault["type"] == "extra_forbidden":
        return f"unknown key {'.'.join(where)}: {nearest(where[-1], known_keys(where[:-1]))}"
    return f"{'.'.join(where) or 'the file'}: {fault['msg'].lower()}"


def known_keys(where: list[str]) -> list[str]:
    """List the keys allowed at a place in the declaration."""
    sections = {"datasets": Dataset, "networks": Network, "recipes": Recipe, "runs": Run}
    sections |= {"evaluations": Evaluation, "table1": Row, "figures": Figure}
    model = sections.get(where[0], Experiment) if where else Experiment
    return list(model.model_fields)
