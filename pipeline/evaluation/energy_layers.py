"""List what a network's pass multiplies: its backbone's layers, and what AT-SNN compares to merge."""
# Tested in tests/pipeline/evaluation/test_energy.py

from dataclasses import replace

import torch
from torch import Tensor, nn

from models.at_snn import ATSNN
from models.backbone import Backbone, backbone_of
from models.energy_taps import NUMBERS, Drive, EnergyTap, drive

MODULES = ("sps", "ssa", "mlp", "head", "matching")  # parts of a network, by their names in tables of energy


def taps_of(network: nn.Module) -> list[EnergyTap]:
    """List the rows of a network's energy account, in its order. Raises ValueError where they leave out a layer with weights."""
    backbone, taps = backbone_of(network), []
    if not isinstance(backbone, Backbone):
        raise ValueError(
            f"no energy is known for a {type(backbone).__name__}: make it a Backbone with energy_taps() (models.backbone)"
        )
    merges = isinstance(network, ATSNN) and network.gamma
    for tap in backbone.energy_taps():
        if merges and tap.block and tap.block not in {earlier.block for earlier in taps}:
            taps.append(match_tap(tap.block, network))
        taps.append(tap)
    if unknown := [tap for tap in taps if tap.module not in MODULES]:
        raise ValueError(f"a row of {unknown[0].name} is of module {unknown[0].module!r}: name one of {', '.join(MODULES)}")
    counted = {layer for tap in taps for layer in tap.weights}
    uncounted = [
        name or type(module).__name__
        for name, module in network.named_modules()
        if module not in counted
        and any(
            p.ndim > 1 and parameter not in backbone.added_parameters for parameter, p in module.named_parameters(recurse=False)
        )
    ]
    if uncounted:
        kind = type(backbone).__name__
        raise ValueError(f"these layers have weights and no energy: {', '.join(uncounted)}; {kind}.energy_taps() must name them")
    return taps


def match_tap(block: int, merging: ATSNN) -> EnergyTap:
    """Tap the comparisons of Algorithm 1 in a block: (A x B + A + B) x D operations for A live even tokens at t = 1, live sources
    from then on, and B live odd tokens.
    """

    def read(arguments: dict, _: Tensor | None) -> Drive:
        u, live, position = arguments["tokens"].u, arguments["tokens"].live, arguments["tokens"].position
        source = (position[:, :, None] != arguments["left"][:, None]).all(dim=-1)
        compared = source.expand_as(live).clone()
        compared[0, :, 0::2] = True
        targets = torch.arange(u.shape[2], device=u.device) % 2 == 1
        count_a, count_b = ((live & mask).sum(dim=-1).double().cpu().numpy() for mask in (compared, targets))
        operations = (count_a * count_b + count_a + count_b) * u.shape[-1]
        if merging.partner == "fixed":
            operations[1:] = 0
        return replace(drive(u, 1, live), operations=operations)

    return EnergyTap("matching", block, "match", NUMBERS, merging, read)
