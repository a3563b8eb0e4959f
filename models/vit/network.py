"""Define a vision transformer without spikes, to study halting apart from spikes: timm's, as a backbone at T = 1.

Dimensions: B batch, K = 64 tokens, D channels, C classes; the one timestep comes first, as in `models.spikformer`.
Importing this module imports timm, which takes seconds: import it only where it is needed.
Source: Dosovitskiy et al. 2020, https://arxiv.org/abs/2010.11929, in timm's `VisionTransformer`.
"""
# Tested in tests/models/vit/test_vit.py

import torch
from jaxtyping import Bool, Float
from timm.models import vision_transformer
from torch import Tensor

from models.backbone import TokenBackbone
from models.energy_taps import NUMBERS, EnergyTap, head_tap, read_dense, read_patches, read_product
from models.neuron import wide

PATCHES = {32: 4, 64: 8}  # by image size: 8 x 8 = 64 tokens either way


class Block(vision_transformer.Block):
    """timm's pre-norm block among live tokens; one that is not live is no key of the softmax, and its output is 0.

    `bn_rows` has no meaning here, since LayerNorm looks at one token at a time.
    """

    def forward(
        self, u: Float[Tensor, "1 B K D"], live: Bool[Tensor, "1 B K"] | None = None, bn_rows: str = "all"
    ) -> Float[Tensor, "1 B K D"]:
        if live is None:
            return super().forward(u[0])[None]
        keys = live | ~live.any(dim=2, keepdim=True)  # a softmax over no key at all would be NaN
        return torch.where(live[..., None], super().forward(u[0], attn_mask=keys[0, :, None, None])[None], 0)


class ViT(TokenBackbone):
    """timm's `VisionTransformer` without class token, with the same parameter names: blocks, the mean over tokens, LayerNorm
    and the head. `width` must be a multiple of `heads`; `image_size` is 32 or 64; there is one timestep.

    Reading: with halting, the mean over tokens is Eq. 8's sum over blocks, and the LayerNorm before the head comes after it.
    """

    added_parameters = ("pos_embed",)

    def __init__(
        self, *, depth: int = 12, width: int = 384, heads: int = 12, classes: int = 10, timesteps: int = 1, image_size: int = 32
    ):
        super().__init__()
        if timesteps != 1:
            raise ValueError(f"timesteps {timesteps} is not 1: nothing in this network changes over time")
        if depth < 1:
            raise ValueError(f"depth {depth} must be at least 1")
        if width % heads:
            raise ValueError(f"width {width} can't be divided into {heads} heads: choose heads that divide the width")
        if image_size not in PATCHES:
            raise ValueError(f"image_size {image_size} is not supported: use one of {sorted(PATCHES)}")
        self.timesteps, self.image_size = timesteps, image_size
        parts = vision_transformer.VisionTransformer(
            img_size=image_size,
            patch_size=PATCHES[image_size],
            num_classes=classes,
            embed_dim=width,
            depth=depth,
            num_heads=heads,
            class_token=False,
            global_pool="avg",
            block_fn=Block,
        )
        self.patch_embed, self.pos_embed, self.blocks = parts.patch_embed, parts.pos_embed, parts.blocks
        self.fc_norm, self.head = parts.fc_norm, parts.head

    def embed(self, image: Float[Tensor, "B 3 S S"]) -> Float[Tensor, "1 B K D"]:
        """Compute the patches' tokens with position embedding, in row-major order, in float32 at least.

        Raises ValueError for images of another size.
        """
        size = self.image_size
        if image.shape[-3:] != (3, size, size):
            raise ValueError(f"images of shape {tuple(image.shape[1:])} given, this network takes (3, {size}, {size})")
        return (wide(self.patch_embed(image)) + self.pos_embed)[None]

    def classify(self, feature: Float[Tensor, "1 B D"]) -> Float[Tensor, "1 B C"]:
        """Compute LayerNorm and head, outside autocast, as every backbone does."""
        with torch.autocast(feature.device.type, enabled=False):
            return self.head(self.fc_norm(feature))

    def energy_taps(self) -> list[EnergyTap]:
        """List patches (`sps`), each block's layers and products (attention is `ssa`), and the head: all inputs are numbers."""
        taps = [EnergyTap("sps", 0, "conv1", NUMBERS, self.patch_embed.proj, read_patches, (self.patch_embed.proj,))]
        for number, block in enumerate(self.blocks, start=1):
            layers = {("ssa", number, "qkv"): block.attn.qkv, ("ssa", number, "projection"): block.attn.proj}
            layers |= {("mlp", number, "hidden"): block.mlp.fc1, ("mlp", number, "output"): block.mlp.fc2}
            rows = [EnergyTap(*key, NUMBERS, layer, read_dense, (layer,), block) for key, layer in layers.items()]
            products = [
                EnergyTap("ssa", number, name, NUMBERS, block.attn.qkv, read_product, within=block) for name in ("qk", "qk_v")
            ]
            taps += [rows[0], *products, *rows[1:]]
        return [*taps, head_tap(self.head)]
