"""Declare a vision transformer without spikes (Dosovitskiy et al. 2020, https://arxiv.org/abs/2010.11929) without torch.

Its network is in `network.py`, which imports timm and so takes seconds.
"""

from pydantic import Field, field_validator

from models import MOST_TIMESTEPS, TransformerSettings, network_names

TITLE = "ViT"
TOKENS = True


class Settings(TransformerSettings):
    """Settings of a ViT, which has one timestep."""

    timesteps: int = Field(default=1, ge=1, le=MOST_TIMESTEPS)

    @field_validator("timesteps")
    @classmethod
    def _has_no_time(cls, timesteps: int) -> int:
        if timesteps != 1:
            raise ValueError(f"{timesteps} timesteps on a ViT, which has no time: write timesteps: 1")
        return timesteps


def build(*, classes: int, image_size: int, **settings):
    """Build a ViT for images of `image_size` x `image_size` pixels; settings: the fields of Settings."""
    from models.vit.network import ViT

    return ViT(classes=classes, image_size=image_size, **settings)


__getattr__ = network_names("models.vit.network")  # from models.vit import ...
