"""Algorithm 1: tokens that look alike are merged, the same sources at every timestep.

Dimensions: T timesteps, B batch, K tokens before the merge, G tokens merged away, M = K - G survivors, D channels,
I even and J odd positions among the K tokens. All functions are pure; no gradient flows through a choice.
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
    """Who merges into whom, as positions among the K tokens."""

    source: Int[Tensor, "B G"]
    target: Int[Tensor, "T B G"]
    found: Bool[Tensor, "T B G"]  # false where no target is live: the source is lost there
    kept: Int[Tensor, "B M"]  # ascending


def merged_per_block(tokens: int, gamma: int) -> int:
    """Line 1 of Algorithm 1: how many of the tokens a block merges away."""
    return min(gamma, tokens // 2)


def similarity(a: Float[Tensor, "*batch I D"], b: Float[Tensor, "*batch J D"]) -> Float[Tensor, "*batch I J"]:
    """sign(cos) cos^2 between token vectors, in float64, which orders pairs as the cosine does.

    Counts are integers, so exact ties are common; a square root would let rounding decide them. In float64 products
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
    """Lines 1-11 of Algorithm 1: sources among even positions, each with its most similar live target among odd ones.

    The gamma best sources are chosen at t = 1 and are the same at every t. Ties go to the lower index. Where the timesteps
    given are later ones, `first` is what was found when t = 1 was given.

    Reading: similarities are computed once per timestep, not again as targets grow.
    Reading: `per_timestep` chooses the target anew at each t (the printed algorithm); `fixed` keeps that of t = 1, and a
    source whose target of t = 1 is halted at t, or that had none, is lost at t.
    """
    served = native.supports(token)
    like = fused.similarity(wide(token), NORM_FLOOR) if served else similarity(token[:, :, 0::2], token[:, :, 1::2])
    like = like.masked_fill(~live[:, :, None, 1::2], -torch.inf)
    best, choice = like.max(dim=-1)  # the first of equal maxima
    if first is None:
        rank = best[0].argsort(dim=-1, descending=True, stable=True)[:, : merged_per_block(token.shape[2], gamma)]
    else:
        rank = first.source // 2
    every_rank = rank.expand(len(token), -1, -1)
    target = 2 * choice.gather(-1, every_rank) + 1
    found = best.gather(-1, every_rank) > -torch.inf
    if partner == "fixed":
        start = (target, found) if first is None else (first.target, first.found)
        target = start[0][:1].expand_as(target)
        found = start[1][:1] & live.gather(-1, target)
    return Match(2 * rank, target, found, survivors(2 * rank, token.shape[2]))


def survivors(source: Int[Tensor, "B G"], tokens: int) -> Int[Tensor, "B M"]:
    """The positions that no source holds, ascending."""
    gone = torch.zeros(len(source), tokens, dtype=torch.uint8, device=source.device).scatter(1, source, 1)
    return gone.argsort(dim=1, stable=True)[:, : tokens - source.shape[1]]


def removed_in(places: list[Int[Tensor, "B _"]], tokens: int) -> Int[Tensor, "B K0"]:
    """The block, from 1, whose merge took each of the `tokens` away, 0 where none did; `places` are those left in each block."""
    blocks = torch.zeros(len(places[0]), tokens, dtype=torch.long, device=places[0].device)
    for place in places:
        blocks.scatter_add_(1, place, torch.ones_like(place))
    return torch.where(blocks < len(places), blocks + 1, 0)


def add_sources(x: Float[Tensor, "T B K *D"], merge: Match) -> Float[Tensor, "T B M *D"]:
    """Line 9 of Algorithm 1, x_target += x_source, then the sources are taken out: for token vectors and their counts."""
    source = take(x, merge.source)
    added = source * align(merge.found, source)
    kept = take(x, merge.kept)
    where = torch.searchsorted(merge.kept.expand(len(x), -1, -1).contiguous(), merge.target.contiguous())
    return kept.flatten(0, 2).index_add(0, rows_of(where, kept.shape[2]), added.flatten(0, 2)).view(kept.shape)


def take(x: Shaped[Tensor, "T B K *D"], index: Int[Tensor, "*TB M"]) -> Shaped[Tensor, "T B M *D"]:
    """x at token positions `index` [B, M] or [T, B, M]."""
    index = index.expand(len(x), *index.shape[-2:])
    return x.flatten(0, 2).index_select(0, rows_of(index, x.shape[2])).view(*index.shape, *x.shape[3:])


def rows_of(position: Int[Tensor, "T B M"], tokens: int) -> Int[Tensor, " rows"]:
    """Where tokens lie once timesteps, images and tokens are one axis: whole rows move faster than their elements."""
    images = torch.arange(position.shape[0] * position.shape[1], device=position.device).view(*position.shape[:2], 1)
    return (images * tokens + position).flatten()


def align(x: Shaped[Tensor, "T B M"], to: Tensor) -> Tensor:
    """x with trailing axes of length 1 until it has as many as `to`."""
    return x.reshape(*x.shape, *(1,) * (to.ndim - x.ndim))
