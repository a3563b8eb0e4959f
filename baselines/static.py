"""STATIC: the network as it is, every token and every timestep. With a parent it is the control with equal training."""

from pydantic import BaseModel, ConfigDict

TITLE = "STATIC"


class Options(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


def label(options: Options) -> str:
    return TITLE


def build(backbone, options: Options):
    return backbone


def loss(output, target, options: Options):
    """Cross-entropy of the mean of the logits over T (Eq. 1). output.logits [T, B, C], target probabilities [B, C]."""
    from torch.nn.functional import cross_entropy

    return cross_entropy(output.logits.mean(0), target)
