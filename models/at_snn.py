"""Put AT-SNN into a transformer: merging (Algorithm 1) and two-dimensional halting (Eqs. 3-10).

Dimensions: T timesteps, B batch, L blocks, K0 tokens after patch splitting, K tokens in the tensor now, D channels,
KL tokens that no merge removed, C classes. Merged tokens leave the tensor; halted ones stay in it as zero rows, which no
block uses.
Source: Kang et al., AT-SNN: Adaptive Tokens for Vision Transformer on Spiking Neural Network.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Int, Shaped
from torch import Tensor, nn

from models import halting, merging
from models.backbone import BN_ROWS
from models.neuron import wide

HEAD_NORMS = ("tokens", "initial")


class Trace(NamedTuple):
    """History of each token, by its position after patch splitting; detached.

    executed: live after block l's merge, so computed by block l. halt_block: 1..L, 0 where a merge removed the token
    before it halted. remainder and probability: 0 where nothing was executed. survivors: positions that no merge
    removed, ascending, halted ones included. channel_0: u_0 / n, which Eq. 3 scores, 0 where nothing was executed.
    tokens: K^l, the number of tokens left by merging in block l, halted ones included. merge_block: the block, 1..L,
    whose merge removed the token, the same at every t; 0 where none did.
    """

    executed: Bool[Tensor, "L T B K0"]
    halt_block: Int[Tensor, "T B K0"]
    remainder: Float[Tensor, "T B K0"]
    probability: Float[Tensor, "L T B K0"]
    survivors: Int[Tensor, "B KL"]
    channel_0: Float[Tensor, "L T B K0"]
    tokens: tuple[int, ...]
    merge_block: Int[Tensor, "B K0"]


class ATSNNOutput(NamedTuple):
    """Logits of every timestep, the ponder loss (Eq. 10) and the tokens' history."""

    logits: Float[Tensor, "T B C"]
    ponder_loss: Float[Tensor, ""]
    trace: Trace | None  # None unless asked for


@dataclass
class Tokens:
    """Tokens in the tensor now, and the sums of scores that halting keeps for each."""

    u: Float[Tensor, "T B K D"]  # spike counts: the residual stream
    n: Float[Tensor, "T B K"]  # number of tokens merged into this one, itself included; 0 once halted
    live: Bool[Tensor, "T B K"]
    score_sum: Float[Tensor, "T B K"]  # sum of each timestep's own scores over the blocks so far
    total: Float[Tensor, "T B K"]  # H(l-1, t)
    position: Int[Tensor, "B K"]  # of each token after patch splitting

    @classmethod
    def start(cls, u: Float[Tensor, "T B K D"]) -> "Tokens":
        """Return the tokens after patch splitting: all live, unmerged and without scores."""
        ones = u.new_ones(u.shape[:3])
        position = torch.arange(u.shape[2], device=u.device).expand(u.shape[1:3])
        return cls(u, ones, ones.bool(), torch.zeros_like(ones), torch.zeros_like(ones), position)

    def spread(self, value: Shaped[Tensor, "T B K"], tokens: int) -> Shaped[Tensor, "T B K0"]:
        """Return the value by position after patch splitting, 0 where a merge removed the token; `tokens` is K0."""
        zeros = value.new_zeros(*value.shape[:2], tokens)
        return zeros.scatter(2, self.position.expand(value.shape), value)


@dataclass
class Past:
    """State that timesteps computed in an earlier call leave to later ones, by block."""

    match: dict[int, merging.Match] = field(default_factory=dict)  # Algorithm 1 at t = 1
    scores: dict[int, Float[Tensor, "B K"]] = field(default_factory=dict)  # summed over the earlier timesteps, for Eq. 4

    def keep(self, images: Bool[Tensor, " B"]) -> None:
        """Keep the state of the given images (a mask) and drop that of the others."""
        for l, m in self.match.items():
            self.match[l] = merging.Match(m.source[images], m.target[:, images], m.found[:, images], m.kept[images])
        self.scores = {l: scores[images] for l, scores in self.scores.items()}


class ATSNN(nn.Module):
    """A backbone whose tokens are merged and halted, in training and in evaluation alike.

    backbone: a network with tokens (`models`); only its weights are trained.
    gamma: tokens merged per block (0: none). alpha, beta: Eq. 3. epsilon: a token halts at 1 - epsilon. axes, reading:
    see `halting.halting_sum`; partner: see `merging.match`. Raises ValueError for a value outside its range.

    Reading: `head_norm` `tokens` divides Eq. 8 by K^l as printed, `initial` by K0.
    Reading: in training, `bn_rows` `all` lets batch norm see the zero rows of halted tokens, `live` leaves them out.
    Reading: merged tokens are removed, not kept as zero rows; in evaluation it makes no difference.
    """

    def __init__(
        self,
        backbone: nn.Module,
        *,
        gamma: int,
        alpha: float = 5.0,
        beta: float = -10.0,
        epsilon: float = 0.01,
        axes: str = "2d",
        reading: str = "inclusive",
        partner: str = "per_timestep",
        head_norm: str = "tokens",
        bn_rows: str = "all",
    ):
        super().__init__()
        halting.require("axes", axes, halting.AXES)
        halting.require("reading", reading, halting.READINGS)
        halting.require("partner", partner, merging.PARTNERS)
        halting.require("head_norm", head_norm, HEAD_NORMS)
        halting.require("bn_rows", bn_rows, BN_ROWS)
        if gamma < 0 or gamma != int(gamma):
            raise ValueError(f"gamma {gamma} is no count: give the number of tokens to merge per block, 0 for none")
        if not 0 <= epsilon < 1:
            raise ValueError(f"epsilon {epsilon} is outside [0, 1): a token halts where its scores reach 1 - epsilon")
        self.backbone, self.gamma = backbone, gamma
        self.alpha, self.beta, self.epsilon = alpha, beta, epsilon
        self.axes, self.reading, self.partner = axes, reading, partner
        self.head_norm, self.bn_rows = head_norm, bn_rows

    def forward(self, image: Float[Tensor, "B 3 S S"]) -> ATSNNOutput:
        return self.adapt(self.backbone.embed(image), self.compute)

    def compute(self, number: int, tokens: Tokens) -> Float[Tensor, "T B K D"]:
        """Compute block `number` (from 1) on all rows, those that are not live masked; before block 1 all are live."""
        return self.backbone.blocks[number - 1](tokens.u, tokens.live if number > 1 else None, self.bn_rows)

    def adapt(
        self,
        u: Float[Tensor, "T B K0 D"],
        compute: Callable[[int, Tokens], Float[Tensor, "T B K D"]],
        past: Past | None = None,
        trace: bool = True,
    ) -> ATSNNOutput:
        """Merge, compute, halt and accumulate (Eq. 8) through all blocks, from the tokens after patch splitting.

        compute(number, tokens) gives the output of block `number`. past: state of the timesteps before those given, where
        these are not all; it is updated in place. trace: whether to return the tokens' history.
        """
        tokens, initial_tokens, depth = Tokens.start(u), u.shape[2], len(self.backbone.blocks)
        feature = u.new_zeros(*u.shape[:2], u.shape[-1])
        halt_block = torch.zeros(tokens.live.shape, dtype=torch.long, device=u.device)
        remainder = torch.zeros_like(tokens.n)
        history, token_counts, positions = [], [], []
        for number in range(1, depth + 1):
            if merging.merged_per_block(tokens.u.shape[2], self.gamma):
                tokens = self.merge(tokens, number, past)
            u = compute(number, tokens)
            tokens, p, halting_here, channel_0 = self.halt(tokens, u, number, past)
            feature = feature + self.weigh(u, p, initial_tokens)
            halt_block = torch.where(tokens.spread(halting_here, initial_tokens), number, halt_block)
            remainder = remainder + tokens.spread(torch.where(halting_here, p, 0), initial_tokens)
            if trace:
                executed = tokens.live | halting_here
                token_counts.append(u.shape[2])
                positions.append(tokens.position)
                values = executed, p, torch.where(executed, channel_0, 0)
                history.append([tokens.spread(x, initial_tokens).detach() for x in values])
        survivors = tokens.position
        ponder = halting.ponder_loss(merging.take(halt_block, survivors), merging.take(remainder, survivors))
        logits = self.backbone.classify(feature)
        if not trace:
            return ATSNNOutput(logits, ponder, None)
        executed, p, channel_0 = (torch.stack(x) for x in zip(*history))
        merge_block = merging.removed_in(positions, initial_tokens)
        record = Trace(executed, halt_block, remainder.detach(), p, survivors, channel_0, tuple(token_counts), merge_block)
        return ATSNNOutput(logits, ponder, record)

    def merge(self, tokens: Tokens, number: int, past: Past | None) -> Tokens:
        """Merge the tokens before block `number` (Algorithm 1). A source's sums are dropped with it, a target keeps its own."""
        match = merging.match(tokens.u, tokens.live, self.gamma, self.partner, past and past.match.get(number))
        if past is not None:
            past.match.setdefault(number, match)
        u, n = (merging.add_sources(x, match) for x in (tokens.u, tokens.n))
        live, score_sum, total = (merging.take(x, match.kept) for x in (tokens.live, tokens.score_sum, tokens.total))
        return Tokens(u, n, live, score_sum, total, tokens.position.gather(1, match.kept))

    def halt(
        self, tokens: Tokens, u: Float[Tensor, "T B K D"], number: int, past: Past | None
    ) -> tuple[Tokens, Float[Tensor, "T B K"], Bool[Tensor, "T B K"], Float[Tensor, "T B K"]]:
        """Apply Eqs. 3-7 to the output u of block `number`.

        Returns the tokens for the next block, p, which tokens halt here, and u_0 / n, which Eq. 3 scores.
        """
        channel_0 = halting.channel_0(u, tokens.n)
        h = halting.score(channel_0, tokens.live, self.alpha, self.beta)
        earlier = past.scores.get(number, 0.0) if past is not None else 0.0
        total = halting.halting_sum(tokens.score_sum, h, axes=self.axes, reading=self.reading, earlier=earlier)
        if past is not None:
            past.scores[number] = earlier + halting.timestep_terms(tokens.score_sum, h, self.reading).sum(0)
        last = number == len(self.backbone.blocks)
        halting_here = halting.halts(total, tokens.live, self.epsilon, last=last)
        p = halting.probability(h, halting.remainder(tokens.total), tokens.live, halting_here)
        remaining = u if last else torch.where(halting_here[..., None], 0, u)  # after the last block it is not used
        n = torch.where(halting_here, 0, tokens.n)
        following = Tokens(remaining, n, tokens.live & ~halting_here, tokens.score_sum + h, total, tokens.position)
        return following, p, halting_here, channel_0

    def weigh(self, u: Float[Tensor, "T B K D"], p: Float[Tensor, "T B K"], initial_tokens: int) -> Float[Tensor, "T B D"]:
        """Compute one block's term of Eq. 8: (1/K^l) sum_k p u; K^l counts halted tokens too, merged sums aren't divided by n."""
        tokens = u.shape[2] if self.head_norm == "tokens" else initial_tokens
        with torch.autocast(u.device.type, enabled=False):
            return (wide(p)[:, :, None] @ u).squeeze(2) / tokens


def overall_loss(task: Float[Tensor, ""], ponder: Float[Tensor, ""], delta: float = 1e-3) -> Float[Tensor, ""]:
    """Compute Eq. 11: the cross-entropy of Eq. 8 plus delta_p times the ponder loss."""
    return task + delta * ponder
