"""Declare Spikformer (Zhou et al. 2022, https://arxiv.org/abs/2209.15425) without torch; its network is in `network.py`."""

from models import SpikingTransformerSettings, network_names

TITLE = "Spikformer"
TOKENS = True
Settings = SpikingTransformerSettings


def build(*, classes: int, image_size: int, **settings):
    """Build a Spikformer for images of `image_size` x `image_size` pixels; settings: the fields of Settings."""
    from models.spikformer.network import Spikformer

    return Spikformer(classes=classes, image_size=image_size, **settings)


__getattr__ = network_names("models.spikformer.network")  # from models.spikformer import ...
