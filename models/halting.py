"""Compute adaptive halting in two dimensions, block and timestep: Eqs. 3-7, 9 and 10 as pure functions.

Dimensions: T timesteps, B batch, K tokens, D channels. Blocks l and timesteps t count from 1 in formulas.
"""

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from models.neuron import wide

AXES = ("2d", "1d")
READINGS = ("inclusive", "printed", "example")


def channel_0(token: Float[Tensor, "T B K D"], count: Float[Tensor, "T B K"]) -> Float[Tensor, "T B K"]:
    """Compute u_0 / n, which Eq. 3 scores: a token's first element per token merged into it; 0 for a zero row (n = 0)."""
    return wide(token[..., 0]) / count.clamp_min(1)


def score(mean_u_0: Float[Tensor, "T B K"], live: Bool[Tensor, "T B K"], alpha: float, beta: float) -> Float[Tensor, "T B K"]:
    """Compute Eq. 3 from `mean_u_0` = u_0 / n: the halting score h = sigmoid(alpha u_0 / n + beta), in (0, 1); 0 if not live."""
    return torch.where(live, torch.sigmoid(alpha * mean_u_0 + beta), 0)


def require(name: str, value: str, allowed: tuple[str, ...]) -> None:
    """Raise ValueError unless the value of option `name` is an allowed one."""
    if value not in allowed:
        raise ValueError(f"{name} {value!r} is unknown: use one of {', '.join(allowed)}")


def timestep_terms(before: Float[Tensor, "T B K"], h: Float[Tensor, "T B K"], reading: str) -> Float[Tensor, "T B K"]:
    """Compute each timestep's term of the sum over timesteps in Eq. 4: its scores of blocks 1..l, or 1..l-1."""
    return before + h if reading == "inclusive" else before


def halting_sum(
    before: Float[Tensor, "T B K"],
    h: Float[Tensor, "T B K"],
    *,
    axes: str = "2d",
    reading: str = "inclusive",
    earlier: Float[Tensor, "B K"] | float = 0.0,
) -> Float[Tensor, "T B K"]:
    """Compute Eq. 4, H(l, t), from `before`, each timestep's own sum of h over blocks 1..l-1, and block l's `h`.

    With axes `2d` sums run over timesteps 1..t too, with `1d` (Fig. 9) over the same timestep only. Where the timesteps
    given are not the first ones, `earlier` is the sum of the `timestep_terms` of those before them.

    Reading: `inclusive` counts block l itself, S(l, t), as ACT and A-ViT do: remainders stay positive.
    Reading: `printed` stops at block l-1, S(l-1, t), as Eq. 4 has it.
    Reading: `example` is S(l-1, t) + h(l, t), the worked example of section 3.1 and the count of Eq. 9.
    """
    require("axes", axes, AXES)
    require("reading", reading, READINGS)
    total = timestep_terms(before, h, reading)
    if axes == "2d":
        total = earlier + total.cumsum(0)
    return total + h if reading == "example" else total


def halts(total: Float[Tensor, "T B K"], live: Bool[Tensor, "T B K"], epsilon: float, *, last: bool) -> Bool[Tensor, "T B K"]:
    """Find the tokens that halt at this block, Eq. 5: the live ones that reach 1 - epsilon; at the last block all live ones."""
    return live if last else live & (total >= 1 - epsilon)


def remainder(total_before: Float[Tensor, "T B K"]) -> Float[Tensor, "T B K"]:
    """Compute Eq. 6, r = 1 - H(N-1, t): the probability left for the block where a token halts."""
    return 1 - total_before


def probability(
    h: Float[Tensor, "T B K"], r: Float[Tensor, "T B K"], live: Bool[Tensor, "T B K"], halting: Bool[Tensor, "T B K"]
) -> Float[Tensor, "T B K"]:
    """Compute Eq. 7: p = h for a live token that goes on, r for one that halts here, 0 for one that halted before."""
    return torch.where(halting, r, torch.where(live, h, 0))


def blocks_until_halt(halt_block: Int[Tensor, "T *tokens"]) -> Int[Tensor, "T *tokens"]:
    """Compute Eq. 9, NB = t (N - 1) + 1: the number of scores summed until the token halted; it has no gradient."""
    t = torch.arange(1, len(halt_block) + 1, device=halt_block.device).reshape(-1, *(1,) * (halt_block.ndim - 1))
    return t * (halt_block - 1) + 1


def ponder_loss(halt_block: Int[Tensor, "T B K"], r: Float[Tensor, "T B K"]) -> Float[Tensor, ""]:
    """Compute Eq. 10: the mean of NB + r over timesteps, images and the tokens that no merge removed."""
    return (blocks_until_halt(halt_block) + r).mean()
