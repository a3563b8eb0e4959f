"""Read, validate and check a scale's declaration, workflow/experiments/<scale>.yaml. Imports no torch.

A declaration that `extends` another says only what differs: its sections are merged entry by entry.
"""

import re
from pathlib import Path
from typing import Any

from pipeline.campaign.check_declaration import check
from pipeline.campaign.declaration import Experiment, Network
from pipeline.campaign.read_yaml import read_yaml
from pipeline.core.catalogue import Catalogue
from pipeline.core.errors import UserError, nearest
from pipeline.core.paths import ROOT
from pipeline.core.validation import shown, validated

EXPERIMENTS = ROOT / "workflow" / "experiments"


def load(scale: str, catalogue: Catalogue, folder: Path = EXPERIMENTS) -> Experiment:
    """Read and check the declaration of a scale. Raises UserError with file, key and the nearest valid name."""
    content = read(scale, folder)
    try:
        experiment = validate(content, catalogue)
        check(experiment, scale, catalogue)
    except UserError as error:
        raise UserError(f"{origin(folder / f'{scale}.yaml')}: {error}") from error
    return experiment


def origin(path: Path) -> str:
    """Name a declaration, and the one that it extends, of which a fault may be."""
    content = read_yaml(path, path_in_messages(path))
    base = content.get("extends") if isinstance(content, dict) else None
    return f"{path_in_messages(path)} (or {base}.yaml, which it extends)" if base else path_in_messages(path)


def validate(content: Any, catalogue: Catalogue) -> Experiment:
    """Build a declaration from a file's content, with all settings of its networks. Raises UserError that names each fault."""
    experiment = validated(Experiment, content)
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
    name = path_in_messages(path)
    content = read_yaml(path, name)
    if content is None:
        raise UserError(f"{name} is empty: declare a scale in it, as {path_in_messages(EXPERIMENTS / 'smoke.yaml')} does")
    if not isinstance(content, dict) or "extends" not in content:
        return content
    base = content.pop("extends")
    if not isinstance(base, str):
        raise UserError(f"{name}: extends must be the name of another scale, as in smoke, but is {shown(base)}")
    if base in (scale, *extending):
        raise UserError(f"{name}: extends {base!r}, which extends this one: one of them must stand alone")
    base_content = read(base, folder, (*extending, scale))
    check_taken_out(base_content, content, name, base)
    return merge_sections(base_content, content)


def check_taken_out(base: Any, changes: dict, name: str, scale: str) -> None:
    """Check that every entry that is null, and so taken out, is one of the scale that is extended."""
    for section, entries in changes.items():
        base_entries = base.get(section) if isinstance(base, dict) else None
        if isinstance(entries, dict) and isinstance(base_entries, dict):
            for entry in (entry for entry, value in entries.items() if value is None and entry not in base_entries):
                raise UserError(
                    f"{name}: {section}.{entry} is empty, which takes an entry of {scale}.yaml out, and there is none: "
                    f"{nearest(entry, base_entries)}"
                )


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
    """Merge an entry field by field; what has no fields is replaced."""
    return base | changes if isinstance(base, dict) and isinstance(changes, dict) else changes


def path_in_messages(path: Path) -> str:
    """Shorten a path in the repository to the part below its root."""
    return str(path.relative_to(ROOT)) if path.is_relative_to(ROOT) else str(path)
