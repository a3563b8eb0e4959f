"""AT-SNN: adaptive tokens by merging and two-dimensional halting (Kang et al.); the network is `models.at_snn.ATSNN`."""
# Tested in tests/baselines/test_losses.py

from typing import Annotated, Literal

from pydantic import Field

from baselines import MethodOptions
from models import TOKEN_COUNT

TITLE = "AT-SNN"
PARENTS = ("static",)
ADAPTS_TOKENS = True
MOST_MERGED = TOKEN_COUNT // 2  # by a block: the even tokens, each into an odd one
Gamma = Annotated[
    int,
    Field(
        ge=0,
        le=MOST_MERGED,
        description=f"a whole number from 0 to {MOST_MERGED}, as a block merges at most half of the {TOKEN_COUNT} tokens",
        examples=[10],
    ),
]
NoGamma = Annotated[int, Field(ge=0, le=0, description="0, as nothing is merged", examples=[0])]


class Options(MethodOptions):
    """Options of `models.at_snn.ATSNN`, and delta, the weight of the ponder loss; defaults are the paper's."""

    gamma: Gamma
    alpha: float = 5.0
    beta: float = -10.0
    epsilon: float = Field(default=0.01, ge=0, lt=1)
    axes: Literal["2d", "1d"] = "2d"
    reading: Literal["inclusive", "printed", "example"] = "inclusive"
    partner: Literal["per_timestep", "fixed"] = "per_timestep"
    head_norm: Literal["tokens", "initial"] = "tokens"
    bn_rows: Literal["all", "live"] = "all"
    delta: float = Field(default=1e-3, ge=0)


def build(backbone, options: Options):
    """Build the AT-SNN network of a backbone."""
    from models.at_snn import ATSNN

    return ATSNN(backbone, **options.model_dump(exclude={"delta"}))


def loss(output, target, options: Options):
    """Compute Eq. 11: cross-entropy of the mean logits over T (Eq. 8) plus delta_p times the ponder loss (Eq. 10).

    output.logits [T, B, C], target probabilities [B, C].
    """
    from torch.nn.functional import cross_entropy

    from models.at_snn import overall_loss

    return overall_loss(cross_entropy(output.logits.mean(0), target), output.ponder_loss, options.delta)
