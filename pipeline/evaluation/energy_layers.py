"""List what a network's pass multiplies: its backbone's layers, and what AT-SNN compares to merge."""

from dataclasses import replace

import torch
from torch import Tensor, nn

from models.at_snn import ATSNN
from models.backbone import Backbone, backbone_of
from models.energy_taps import NUMBERS, Drive, EnergyTap, drive

MODULES = ("sps", "ssa", "mlp", "head", "matching")  # parts of a network, as tables of energy name them


def taps_of(network: nn.Module) -> list[EnergyTap]:
    """List every row of a network's account, in its order. Raises ValueError where that leaves weights out."""
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
    counted = {layer for tap in taps for layer in tap.weights}
    left = [
        name or type(module).__name__
        for name, module in network.named_modules()
        if module not in counted
        and any(p.ndim > 1 and own not in backbone.added_parameters for own, p in module.named_parameters(recurse=False))
    ]
    if left:
        kind = type(backbone).__name__
        raise ValueError(f"these layers have weights and no energy: {', '.join(left)}; {kind}.energy_taps() must name them")
    return taps


def match_tap(block: int, merging: ATSNN) -> EnergyTap:
    """What Algorithm 1 compares, and each of it with itself: live even tokens at t = 1, then live sources, with live odd ones."""

    def read(given: dict, _: Tensor | None) -> Drive:
        u, live, position = given["tokens"].u, given["tokens"].live, given["tokens"].position
        source = (position[:, :, None] != given["left"][:, None]).all(dim=-1)
        compared = source.expand_as(live).clone()
        compared[0, :, 0::2] = True
        targets = torch.arange(u.shape[2], device=u.device) % 2 == 1
        ours, odd = ((live & which).sum(dim=-1).double().cpu().numpy() for which in (compared, targets))
        operations = (ours * odd + ours + odd) * u.shape[-1]
        if merging.partner == "fixed":
            operations[1:] = 0
        return replace(drive(u, 1, live), operations=operations)

    return EnergyTap("matching", block, "match", NUMBERS, merging, read)
