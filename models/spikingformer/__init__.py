"""Declare Spikingformer (Zhou et al. 2023, https://arxiv.org/abs/2304.11954) without torch; its network is in `network.py`."""

from models import SpikingTransformerSettings, network_names

TITLE = "Spikingformer"
TOKENS = True
Settings = SpikingTransformerSettings


def build(*, classes: int, image_size: int, **settings):
    """Build a Spikingformer for images of `image_size` x `image_size` pixels; settings: the fields of Settings."""
    from models.spikingformer.network import Spikingformer

    return Spikingformer(classes=classes, image_size=image_size, **settings)


__getattr__ = network_names("models.spikingformer.network")  # from models.spikingformer import ...
