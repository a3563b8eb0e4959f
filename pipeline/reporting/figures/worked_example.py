"""Trace nine tokens through three blocks and two timesteps (Fig. 4): merging and halting, as the implementation does them.

Dimensions: T timesteps, K0 = 9 tokens, L blocks, D channels. Tokens are numbered from 0 here and from 1 in the picture.
"""
# Tested in tests/pipeline/reporting/figures/test_examples.py

from pipeline.campaign.campaign import Campaign
from pipeline.campaign.identity import Evaluation
from pipeline.reporting.drawing import canvas

TITLE = "Merging and halting, token by token (Fig. 4)"
DEFINITION = (
    "The network's own merging and halting (γ = 2, α = 5, β = -10, ε = 0.01) of nine tokens, three by three. Blocks are stand-ins that "
    "add given counts; all that is drawn is read from the trace of the pass. A cell has the token's H(l, t), the scores summed up over "
    "blocks 1 to l and timesteps 1 to t; a token halts at the block where it reaches 1 - ε, and the next block runs without it. "
    "Reading: a halted token may be merged away later, but has nothing left to give. At the last block every token that is left halts."
)
MOST_EVALUATIONS = 0
SIDE, GAMMA = 3, 2
FILL = {"computed": canvas.COMPUTED, "halted": (canvas.HALTED, 0.45), "merged": (canvas.MERGED, 0.45)}
# Counts of each token, row by row of the picture. Channel 0 decides on halting, the others on which tokens are alike:
# sky above, an object in the middle, ground below.
LIKENESS = ((4, 0, 0), (4, 0, 0), (4, 0, 0), (0, 4, 2), (0, 4, 0), (0, 4, 1), (1, 0, 4), (0, 0, 4), (0, 1, 4))
START = ((1, 2, 1, 0, 0, 0, 1, 1, 1), (2, 2, 2, 0, 0, 0, 0, 0, 0))  # channel 0 after patch splitting, by timestep
ADDED = (  # to channel 0, by block and timestep
    ((0, 1, 0, 1, 1, 0, 1, 1, 1), (0, 2, 0, 1, 1, 1, 1, 1, 1)),
    ((0, 2, 0, 1, 0, 1, 0, 1, 0), (0, 0, 0, 1, 0, 0, 0, 2, 0)),
    ((0, 0, 0, 0, 0, 1, 0, 0, 0), (0, 0, 0, 0, 0, 1, 0, 0, 0)),
)


def draw(campaign: Campaign, evaluations: list[Evaluation]):
    """Draw a row per timestep: the tokens before the first block and after each block."""
    grids = read_grids()
    made = "Computed by the network's own merging and halting from counts made up for this: no training, no evaluation."
    return paint(grids), {"caption": caption(grids), "made": made, "gamma": GAMMA, "grids": grids}


def run_pass():
    """Run the pass; return its trace, the matches of each block's merge, and the network."""
    import torch

    from models.at_snn import ATSNN, Past

    backbone = torch.nn.Module()  # adaptation needs only its blocks and classify
    backbone.blocks, backbone.classify = ADDED, torch.nn.Identity()
    network = ATSNN(backbone, gamma=GAMMA)
    start, added = torch.tensor(START, dtype=torch.float64), torch.tensor(ADDED, dtype=torch.float64)
    likeness = torch.tensor(LIKENESS, dtype=torch.float64).expand(*start.shape, -1)
    u = torch.cat((start[..., None], likeness), dim=-1)[:, None]  # [T, 1, K0, D]

    def compute(number, tokens):
        u = tokens.u.clone()
        u[..., 0] += added[number - 1][:, tokens.position[0]][:, None] * tokens.live
        return u

    past = Past()
    return network.adapt(u, compute, past).trace, past.match, network


def read_grids() -> list[dict]:
    """Read a grid per timestep and block: each token's sum of scores and fate, and the merges as [source, target]."""
    trace, matches, network = run_pass()
    sums, grids = scores(trace, network), []
    for t in range(len(START)):
        for l in range(len(ADDED)):
            merged = [0 < block <= l + 1 for block in trace.merge_block[0].tolist()]
            executed, halted = trace.executed[l, t, 0].tolist(), trace.halt_block[t, 0].tolist()
            fate = ["merged" if m else "computed" if e else "halted" for m, e in zip(merged, executed)]
            score_blocks = [min(l, block - 1) if block else l for block in halted]  # a halted token keeps the sum it halted with
            score = [None if m else sums[a, t, 0, k].item() for k, (m, a) in enumerate(zip(merged, score_blocks))]
            grid = {"timestep": t + 1, "block": l + 1, "fate": fate, "halts_here": [block == l + 1 for block in halted]}
            grids.append(grid | {"score": score, "merges": merges(trace, matches[l + 1], l, t)})
    return grids


def scores(trace, network):
    """Compute H(l, t) at the exit of each block, by the network's own formulas: [L, T, 1, K0]."""
    import torch

    from models import halting

    h = torch.stack([halting.score(f, e, network.alpha, network.beta) for f, e in zip(trace.channel_0, trace.executed)])
    before = h.cumsum(0) - h
    return torch.stack([halting.halting_sum(b, x, axes=network.axes, reading=network.reading) for b, x in zip(before, h)])


def merges(trace, match, l: int, t: int) -> list[list[int]]:
    """List the merges of block l + 1 as [source, target], in original positions; sources that had halted are left out."""
    merge_block = trace.merge_block[0].tolist()
    remaining = [k for k, block in enumerate(merge_block) if not 0 < block <= l]  # before this merge
    pairs = [[remaining[s], remaining[g]] for s, g in zip(match.source[0].tolist(), match.target[t, 0].tolist())]
    halted = {k for k, block in enumerate(trace.halt_block[t, 0].tolist()) if 0 < block <= l}
    return sorted(pair for pair in pairs if pair[0] not in halted)


def caption(grids: list[dict]) -> str:
    """Write the caption: what to look at, and what differs from the paper's drawing."""
    first = grids[0]["merges"]
    sources, target = " and ".join(str(s + 1) for s, _ in first), first[0][1] + 1
    depth = len(ADDED)
    early_halts = [{k + 1 for k, h in enumerate(g["halts_here"]) if h} for g in grids if g["block"] < depth]
    by_timestep = [sorted(set().union(*early_halts[t * (depth - 1) : (t + 1) * (depth - 1)])) for t in range(len(START))]
    halts = "; ".join(f"at t = {t}: {', '.join(map(str, tokens))}" for t, tokens in enumerate(by_timestep, 1))
    text = f"In block 1 tokens {sources} merge into token {target}, at every timestep. Tokens that halt before the last block: {halts}. "
    return text + (
        "Other than in the paper's drawing, scores add up over timesteps too (Eq. 4), merged tokens leave the tensor instead of "
        "being set to zero, and the counts are made up for this example."
    )


def paint(grids: list[dict]):
    """Draw the grids, timesteps as rows and blocks as columns."""
    timesteps, depth = len(START), len(ADDED)
    figure, axes = canvas.panels(timesteps, depth + 1, width=2.3 * (depth + 1), height=2.35 * timesteps + 0.5)
    for row, t in zip(axes, range(1, timesteps + 1)):
        row[0].text(-0.12, 0.5, f"t = {t}", transform=row[0].transAxes, ha="right", va="center", fontsize=12, weight="bold")
        draw_cells(row[0], ["computed"] * SIDE**2, [f"token {k + 1}" for k in range(SIDE**2)])
        for axis, grid in zip(row[1:], (g for g in grids if g["timestep"] == t)):
            text = ["" if score is None else f"{score:.2f}" for score in grid["score"]]
            draw_cells(axis, grid["fate"], text, grid["halts_here"])
            for source, target in grid["merges"]:
                draw_arrow(axis, source, target)
    for axis, name in zip(axes[0], ("after patch splitting", *(f"block {l}" for l in range(1, depth + 1)))):
        axis.set_title(name, fontsize=11)
    legend(figure)
    return figure


def draw_cells(axis, fate: list[str], text: list[str], halts_here: list[bool] | None = None) -> None:
    """Draw nine cells; tokens that halt at this block have a thick edge."""
    rectangle = canvas.pyplot().Rectangle
    for k, (kind, words) in enumerate(zip(fate, text)):
        x, y = k % SIDE, k // SIDE
        axis.add_patch(rectangle((x, y), 1, 1, facecolor=FILL[kind], edgecolor="#555555", lw=0.8))
        halts = halts_here is not None and halts_here[k]
        if halts:
            axis.add_patch(rectangle((x + 0.04, y + 0.04), 0.92, 0.92, fill=False, edgecolor=canvas.HALTED, lw=2.5))
        size = 8 if halts_here is None else 10
        axis.text(x + 0.5, y + 0.5, words, ha="center", va="center", fontsize=size, weight="bold" if halts else "normal")
    axis.set(xlim=(-0.03, SIDE + 0.03), ylim=(SIDE + 0.03, -0.03), aspect="equal")
    axis.set_axis_off()


def draw_arrow(axis, source: int, target: int) -> None:
    """Draw an arrow from the middle of the source's cell to the edge of the target's number."""
    (x, y), (a, b) = ((k % SIDE + 0.5, k // SIDE + 0.5) for k in (source, target))
    distance = max(abs(a - x), abs(b - y))
    end = (a - 0.36 * (a - x) / distance, b - 0.36 * (b - y) / distance)
    axis.annotate("", end, (x, y), arrowprops={"arrowstyle": "-|>", "lw": 2, "color": canvas.BLACK, "shrinkA": 0, "shrinkB": 0})


def legend(figure) -> None:
    """Draw the legend of cells and arrows below the panels."""
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    edge = {"edgecolor": "#555555"}
    handles = [
        Patch(facecolor="white", label="computed, with its H(l, t)", **edge),
        Patch(facecolor="white", edgecolor=canvas.HALTED, lw=2.5, label="halts at this block"),
        Patch(facecolor=FILL["halted"], label="halted before", **edge),
        Patch(facecolor=FILL["merged"], label="merged away, halted or not", **edge),
        Line2D([], [], color=canvas.BLACK, marker=">", lw=2, label="adds its counts to"),
    ]
    figure.legend(handles=handles, loc="outside lower center", ncols=5, fontsize=9)
