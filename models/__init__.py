"""Define the networks, never their weights: transformers, what AT-SNN adds to them and, in this file, the contract of a backbone.

A backbone is a subfolder of this one, found by its name. Its `__init__.py` declares it and is read without torch:

TITLE: its name in tables.
TOKENS: whether it computes tokens in blocks. A method that merges or halts tokens asks for it (`ADAPTS_TOKENS` in `baselines`).
Settings: a NetworkSettings with the backbone's options, each with a default, and validators whose ValueErrors say what to do.
build(*, classes, image_size, **settings): makes the network of these settings; its class is in `network.py` beside it.

The network takes images [B, 3, S, S] of S = 32 or 64 pixels; its output has `logits` [T, B, C], one per timestep. Its base class is
`models.backbone.Backbone`: it lists which layers multiply, for energy, and which spike, for warnings. A network with TOKENS is a
`TokenBackbone`: it has `embed(images) -> [T, B, K, D]`, K = 64 tokens in row-major order for images of either size, `blocks`, called as `block(u, live, bn_rows)`, and a `head`; a block that
can be computed on live rows alone has `on_live_rows(u, rows)` (`models.packed`, whose `until` asks `embed` for one timestep more
at a time: `embed(image, 1, membranes)`).

To a network belong its neuron (threshold, decay, reset), its norms, its stem (from image to tokens or feature maps), its output
(from features to logits) and its initial weights. To a method (`baselines`) belong the loss, the parent whose weights it starts
from, which tokens are merged or halted, and when an image stops. The recipe belongs to the declaration.
"""

import importlib
from collections.abc import Callable

from pydantic import BaseModel, ConfigDict, Field, model_validator

TOKEN_COUNT = 64  # K, of every network with TOKENS
MOST_TIMESTEPS, MOST_BLOCKS, MOST_CHANNELS = 1000, 1000, 2**16  # more is a slip of the keys


class NetworkSettings(BaseModel):
    """Options of every network; a backbone adds its own.

    A field that is added later names, as `before`, its value for networks from before it existed, so that ids of runs stay:
    `Field(default=..., json_schema_extra={"before": ...})`.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    timesteps: int = Field(default=4, ge=1, le=MOST_TIMESTEPS)

    @property
    def size(self) -> str:
        """Return the size, which stands behind the backbone's TITLE in the name of an architecture."""
        raise NotImplementedError


class TransformerSettings(NetworkSettings):
    """Settings of a network of `depth` equal blocks on tokens of `width` channels, with `heads` attention heads."""

    depth: int = Field(default=4, ge=1, le=MOST_BLOCKS)
    width: int = Field(default=384, ge=1, le=MOST_CHANNELS)
    heads: int = Field(default=12, ge=1, le=MOST_CHANNELS)

    @property
    def size(self) -> str:
        return f"{self.depth}-{self.width}"

    @model_validator(mode="after")
    def _heads_divide_the_width(self):
        if self.width % self.heads:
            raise ValueError(f"width {self.width} must be a multiple of heads ({self.heads})")
        return self


class SpikingTransformerSettings(TransformerSettings):
    """Settings of a transformer whose patch splitting starts with an eighth of the width."""

    @model_validator(mode="after")
    def _width_can_be_split(self):
        if self.width % 8:
            raise ValueError(f"width {self.width} must be a multiple of 8, which patch splitting needs")
        return self


def network_names(module: str) -> Callable[[str], object]:
    """Make a `__getattr__` for a backbone's folder, which imports `module` when one of its names is first asked for."""

    def get(name: str) -> object:
        if name.startswith("_"):
            raise AttributeError(name)
        return getattr(importlib.import_module(module), name)

    return get
