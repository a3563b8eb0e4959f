"""STATIC: the network as it is, every token at every timestep; the pretrained Spikformer is the paper's row."""
# Tested in tests/baselines/test_losses.py

from baselines import MethodOptions

TITLE = "STATIC"
PARENTS = (None,)

Options = MethodOptions


def build(backbone, options: Options):
    """Return the backbone unchanged."""
    return backbone


def loss(output, target, options: Options):
    """Compute cross-entropy of the mean logits over T (Eq. 1). output.logits [T, B, C], target probabilities [B, C]."""
    from torch.nn.functional import cross_entropy

    return cross_entropy(output.logits.mean(0), target)
