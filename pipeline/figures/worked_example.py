"""The worked example (Fig. 4): nine tokens through AT-SNN, drawn from what the implementation does with them.

Dimensions: T timesteps, L blocks, K0 = 9 tokens, 3 x 3.
"""

from pipeline import canvas
from pipeline.campaign import Campaign
from pipeline.identity import Evaluation

TITLE = "Nine tokens, merged and halted (Fig. 4)"
DEFINITION = (
    "AT-SNN with γ = 2, ε = 0.01, α = 5 and β = -10 on nine tokens, three blocks and two timesteps, computed by models.at_snn on "
    "hand-made tokens; the blocks are stand-ins that add to each token's first channel. Number in a cell: the halting scores that "
    "the token has summed up after the block, over blocks and timesteps; at 0.99 it halts there (bold). Purple: merged away, the arrow leads to "
    "the token that took it. Blue: halted in an earlier block. Unlike the paper's drawing, scores are summed over timesteps too "
    "(Eq. 4), and a merged token leaves the tensor."
)
MOST_EVALUATIONS = 0
SIDE, GAMMA, BLOCKS, TIMESTEPS = 3, 2, 3, 2
# Tokens alike in the channels after the first; 0, 1 and 2 are equal, so the first and the third join the second
LOOKS = ((4, 0, 0), (4, 0, 0), (4, 0, 0), (0, 3, 1), (1, 3, 0), (0, 1, 3), (0, 2, 2), (1, 0, 3), (2, 1, 2))
# What each block adds to the first channel of a token (per token merged into it): background grows faster than the object
ADDED = ((1, 2, 1, 1, 1, 3, 1, 2, 1), (1, 0, 1, 0, 1, 0, 1, 0, 0), (1, 0, 1, 1, 0, 0, 0, 0, 1))


def draw(campaign: Campaign, evaluations: list[Evaluation]):
    """A row of 3 x 3 grids per timestep, a grid per block."""
    told = run()
    figure, axes = canvas.panels(TIMESTEPS, BLOCKS, width=7.5, height=5.3)
    for t in range(TIMESTEPS):
        for l in range(BLOCKS):
            paint(axes[t, l], told, l, t)
            axes[t, l].set_title(f"t = {t + 1}, block {l + 1}: {told['tokens'][l]} tokens left", fontsize=9)
    merged = ", ".join(f"{source + 1} into {target + 1}" for source, target in told["merges"][0][0])
    early = [sorted(l for l in halt_block if 0 < l < BLOCKS) for halt_block in told["halt_block"]]
    words = [f"in blocks {', '.join(map(str, blocks))} at t = {t}" for t, blocks in enumerate(early, start=1)]
    caption = f"In block 1 tokens {merged} are merged. Tokens halt early {' and '.join(words)}, where scores of t = 1 count too."
    return figure, {"caption": caption} | told


def run() -> dict:
    """The example's trace, by original position: `summed` [L, T, K0], `merges` [L][T] pairs of source and target, and the rest."""
    import torch
    from torch import nn

    from models import halting
    from models.at_snn import ATSNN, Past

    class Nine(nn.Module):
        blocks, classify = range(BLOCKS), nn.Identity()

    added = torch.tensor(ADDED, dtype=torch.float64)

    def compute(number: int, tokens):
        first = added[number - 1, tokens.position] * tokens.n
        return torch.cat([tokens.u[..., :1] + first[..., None] * tokens.live[..., None], tokens.u[..., 1:]], dim=-1)

    looks = torch.tensor(LOOKS, dtype=torch.float64)
    u = torch.cat([torch.zeros(len(looks), 1, dtype=torch.float64), looks], dim=1).expand(TIMESTEPS, 1, -1, -1)
    model, past = ATSNN(Nine(), gamma=GAMMA), Past()
    trace = model.adapt(u.clone(), compute, past).trace
    scored = zip(trace.channel_0, trace.executed)
    h = torch.stack([halting.score(first, executed, model.alpha, model.beta) for first, executed in scored])
    told = {"summed": h.cumsum(0).cumsum(1)[:, :, 0].tolist(), "executed": trace.executed[:, :, 0].tolist()}
    told |= {"halt_block": trace.halt_block[:, 0].tolist(), "merge_block": trace.merge_block[0].tolist()}
    told |= {"tokens": list(trace.tokens), "merges": []}
    for number in range(1, BLOCKS + 1):
        found, merged = past.match[number], trace.merge_block[0]
        position = ((merged == 0) | (merged >= number)).nonzero().flatten()  # of the tokens that this block's merge chose from
        pairs = [zip(position[found.source[0]].tolist(), position[found.target[t, 0]].tolist()) for t in range(TIMESTEPS)]
        told["merges"].append([sorted(pair) for pair in pairs])
    return told


def paint(axis, told: dict, l: int, t: int) -> None:
    """The tokens in block l + 1 at timestep t + 1."""
    for token in range(SIDE * SIDE):
        row, column = divmod(token, SIDE)
        merged = 0 < told["merge_block"][token] <= l + 1
        computed = told["executed"][l][t][token]
        fill = canvas.MERGED if merged else "white" if computed else canvas.HALTED
        cell = {"facecolor": fill, "edgecolor": canvas.GREY, "alpha": 1 if computed else 0.45}
        axis.add_patch(canvas.pyplot().Rectangle((column, SIDE - 1 - row), 1, 1, **cell))
        text = f"{told['summed'][l][t][token]:.2f}" if computed else "merged" if merged else "halted"
        weight = "bold" if computed and told["halt_block"][t][token] == l + 1 else "normal"
        axis.text(column + 0.5, SIDE - 0.5 - row, text, ha="center", va="center", fontsize=9, weight=weight)
        axis.text(column + 0.06, SIDE - 0.08 - row, token + 1, ha="left", va="top", fontsize=6.5, color="#404040")
    for source, target in told["merges"][l][t]:
        (r0, c0), (r1, c1) = divmod(source, SIDE), divmod(target, SIDE)
        arrow = {
            "arrowstyle": "-|>",
            "color": canvas.BLACK,
            "lw": 1.2,
            "shrinkA": 10,
            "shrinkB": 12,
            "connectionstyle": "arc3,rad=0.25",
        }
        axis.annotate("", (c1 + 0.5, SIDE - 0.5 - r1), (c0 + 0.5, SIDE - 0.5 - r0), arrowprops=arrow)
    axis.set(xlim=(-0.05, SIDE + 0.05), ylim=(-0.05, SIDE + 0.05), aspect="equal")
    axis.set_axis_off()
