"""Networks, never their weights: spiking transformers, what AT-SNN adds to them, and the contract of a backbone.

A backbone is a folder of this one, found by its name. Its `__init__.py` declares it and is read without torch:

TITLE: its name in tables.
TOKENS: whether it computes tokens in blocks. A method that merges or halts tokens asks for it (`ADAPTS_TOKENS` in `baselines`).
Settings: a NetworkSettings with what can be chosen of it, the defaults, and what it refuses, as ValueErrors that say what to do.
build(*, classes, image_size, **settings): the network of these settings, which `network.py` beside it holds.

The network is a torch.nn.Module that takes images [B, 3, S, S] and returns what has `logits` [T, B, C], one per timestep. `models.backbone`
is its base class and says which layers a pass multiplies, for energy, and which spike, for warnings. One with TOKENS also has
`embed(images) -> [T, B, K, D]`, `blocks`, called as `block(u, live, bn_rows)`, and `classify([T, B, D]) -> [T, B, C]`; a block that
can be computed on live rows alone has `on_live_rows(u, rows)` (`models.packed`).

What belongs to a network: its neuron (threshold, decay, reset), its norms, its stem (how an image becomes tokens or feature maps), its
output (how features become logits), and how its weights start. What belongs to a method (`baselines`): the loss, whose weights it starts
from, which tokens are merged or halted, when an image stops. The recipe belongs to the declaration.
"""

import importlib
from collections.abc import Callable

from pydantic import BaseModel, ConfigDict, Field, model_validator


class NetworkSettings(BaseModel):
    """What can be chosen of every network; a backbone adds its own.

    A field that is added later is given the value that stands for how it was before, so that ids of runs stay:
    `Field(default=..., json_schema_extra={"before": ...})`.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    timesteps: int = Field(default=4, ge=1)

    @property
    def size(self) -> str:
        """Tell its size, which stands behind the backbone's TITLE in the name of an architecture."""
        raise NotImplementedError


class TransformerSettings(NetworkSettings):
    """Settings of a network of `depth` equal blocks on tokens of `width` channels, in `heads` parts for attention."""

    depth: int = Field(default=4, ge=1)
    width: int = Field(default=384, ge=1)
    heads: int = Field(default=12, ge=1)

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
    """Make the `__getattr__` of a backbone's folder: its network is imported once one of its names is asked for."""

    def get(name: str) -> object:
        if name.startswith("_"):
            raise AttributeError(name)
        return getattr(importlib.import_module(module), name)

    return get
