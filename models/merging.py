"""Merge similar tokens (Algorithm 1), with the same sources at every timestep.

Dimensions: T timesteps, B batch, K tokens before the merge, G tokens merged away, M = K - G survivors, D channels,
I even and J odd positions among the K tokens. All functions are pure; no gradient flows through the choice of tokens.
"""

from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Int, Shaped
from torch import Tensor

from models import native
from models.native import fused
from models.neuron import wide

PARTNERS = ("per_timestep", "fixed")
NORM_FLOOR = 1e-24  # of |a|^2 |b|^2, so that a zero token has similarity 0


class Match(NamedTuple):
    """Pairs of tokens to merge, source into target, as positions among the K tokens."""

    source: Int[Tensor, "B G"]
    target: Int[Tensor, "T B G"]
    found: Bool[Tensor, "T B G"]  # false where no target is live: the source is dropped there
    kept: Int[Tensor, "B M"]  # the positions that stay, ascending


def merged_per_block(tokens: int, gamma: int) -> int:
    """Compute how many of the tokens a block merges away (line 1 of Algorithm 1)."""
    return min(gamma, tokens // 2)


def similarity(a: Float[Tensor, "*batch I D"], b: Float[Tensor, "*batch J D"]) -> Float[Tensor, "*batch I J"]:
    """Compute sign(cos) cos^2 between token vectors, in float64, which orders pairs as the cosine does.

    Counts are integers, so exact ties are common; a square root would let rounding decide them. In float64, products
    and sums of counts are exact, and a tie stays a tie on every device.
    """
    a, b = a.detach().double(), b.detach().double()
    dot = a @ b.mT
    norms = a.square().sum(-1)[..., :, None] * b.square().sum(-1)[..., None, :]
    return dot * dot.abs() / norms.clamp_min(NORM_FLOOR)


def match(
    token: Float[Tensor, "T B K D"],
    live: Bool[Tensor, "T B K"],
    gamma: int,
    partner: str = "per_timestep",
    first: Match | None = None,
) -> Match:
    """Choose sources among even positions, each with its most similar live target among odd ones (lines 1-11 of Algorithm 1).

    The gamma best sources are chosen at t = 1 and are the same at every t. Ties go to the lower index. Where the timesteps
    given do not start at t = 1, `first` is the match of the call that did.

    Reading: similarities are computed once per timestep, not again as targets grow.
    Reading: `per_timestep` chooses the target anew at each t (the printed algorithm); `fixed` keeps that of t = 1, and a
    source whose target of t = 1 is halted at t, or that had none, is lost at t.
    """
    compiled = native.supports(token)
    similarities = fused.similarity(wide(token), NORM_FLOOR) if compiled else similarity(token[:, :, 0::2], token[:, :, 1::2])
    similarities = similarities.masked_fill(~live[:, :, None, 1::2], -torch.inf)
    best, target_index = similarities.max(dim=-1)  # the first of equal maxima
    if first is None:
        source_index = best[0].argsort(dim=-1, descending=True, stable=True)[:, : merged_per_block(token.shape[2], gamma)]
    else:
        source_index = first.source // 2
    index_at_t = source_index.expand(len(token), -1, -1)
    target = 2 * target_index.gather(-1, index_at_t) + 1
    found = best.gather(-1, index_at_t) > -torch.inf
    if partner == "fixed":
        target_1, found_1 = (target, found) if first is None else (first.target, first.found)  # at t = 1
        target = target_1[:1].expand_as(target)
        found = found_1[:1] & live.gather(-1, target)
    return Match(2 * source_index, target, found, survivors(2 * source_index, token.shape[2]))


def survivors(source: Int[Tensor, "B G"], tokens: int) -> Int[Tensor, "B M"]:
    """Return the positions that are no source, ascending."""
    removed = torch.zeros(len(source), tokens, dtype=torch.uint8, device=source.device).scatter(1, source, 1)
    return removed.argsort(dim=1, stable=True)[:, : tokens - source.shape[1]]


def removed_in(positions: list[Int[Tensor, "B _"]], tokens: int) -> Int[Tensor, "B K0"]:
    """Return the block, from 1, whose merge removed each of `tokens` tokens, 0 where none did.

    positions: those of the tokens left in each block, one tensor per block.
    """
    blocks = torch.zeros(len(positions[0]), tokens, dtype=torch.long, device=positions[0].device)
    for position in positions:
        blocks.scatter_add_(1, position, torch.ones_like(position))
    return torch.where(blocks < len(positions), blocks + 1, 0)


def add_sources(x: Float[Tensor, "T B K *D"], merge: Match) -> Float[Tensor, "T B M *D"]:
    """Add sources to their targets, x_target += x_source (line 9 of Algorithm 1), and remove them: token vectors or counts."""
    source = take(x, merge.source)
    added = source * align(merge.found, source)
    kept = take(x, merge.kept)
    target_in_kept = torch.searchsorted(merge.kept.expand(len(x), -1, -1).contiguous(), merge.target.contiguous())
    return kept.flatten(0, 2).index_add(0, rows_of(target_in_kept, kept.shape[2]), added.flatten(0, 2)).view(kept.shape)


def take(x: Shaped[Tensor, "T B K *D"], index: Int[Tensor, "*TB M"]) -> Shaped[Tensor, "T B M *D"]:
    """Take x at token positions `index` [B, M] or [T, B, M]."""
    index = index.expand(len(x), *index.shape[-2:])
    return x.flatten(0, 2).index_select(0, rows_of(index, x.shape[2])).view(*index.shape, *x.shape[3:])


def rows_of(position: Int[Tensor, "T B M"], tokens: int) -> Int[Tensor, " rows"]:
    """Compute the tokens' indices once timesteps, images and tokens are one axis: copying whole rows is faster than elements."""
    image_index = torch.arange(position.shape[0] * position.shape[1], device=position.device).view(*position.shape[:2], 1)
    return (image_index * tokens + position).flatten()


def align(x: Shaped[Tensor, "T B M"], to: Tensor) -> Tensor:
    """Give x trailing axes of length 1 until it has as many axes as `to`."""
    return x.reshape(*x.shape, *(1,) * (to.ndim - x.ndim))
