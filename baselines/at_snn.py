"""AT-SNN: adaptive tokens by merging and two-dimensional halting (Kang et al.); the network is `models.at_snn.ATSNN`."""
# Tested in tests/baselines/test_losses.py

from typing import Literal

from pydantic import Field

from baselines import MethodOptions

TITLE = "AT-SNN"
PARENTS = ("static",)
ADAPTS_TOKENS = True


class Options(MethodOptions):
    """Options of `models.at_snn.ATSNN`, and delta, the weight of the ponder loss; defaults are the paper's."""

    gamma: int = Field(ge=0)
    alpha: float = 5.0
    beta: float = -10.0
    epsilon: float = Field(default=0.01, ge=0, lt=1)
    axes: Literal["2d", "1d"] = "2d"
    reading: Literal["inclusive", "printed", "example"] = "inclusive"
    partner: Literal["per_timestep", "fixed"] = "per_timestep"
    head_norm: Literal["tokens", "initial"] = "tokens"
    bn_rows: Literal["all", "live"] = "all"
    delta: float = 1e-3


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
