"""Split an image into patches by four spiking convolutions with max pooling among them, as Spikformer and Spikingformer begin.

Dimensions: T timesteps, B batch, S image size, H W height and width, D channels.
"""

from jaxtyping import Float
from torch import Tensor, nn

from models.neuron import Membranes
from models.spiking_layers import SpikingConv, max_pool

POOLED_STAGES = {32: (2, 3), 64: (1, 2, 3)}  # by image size: 8 x 8 = 64 tokens either way


class PatchSplitting(nn.Module):
    """Four spiking convolutions with max pooling among them, from an image to 8 x 8 vectors of spikes."""

    def __init__(self, width: int, image_size: int = 32):
        super().__init__()
        if image_size not in POOLED_STAGES:
            raise ValueError(f"image_size {image_size} is not supported: use one of {sorted(POOLED_STAGES)}")
        channels = (3, width // 8, width // 4, width // 2, width)
        self.stages = nn.ModuleList(SpikingConv(a, b) for a, b in zip(channels[:-1], channels[1:]))
        self.image_size = image_size

    def split(
        self, image: Float[Tensor, "B 3 S S"], timesteps: int, membranes: Membranes | None = None
    ) -> Float[Tensor, "T B H W D"]:
        """Compute the spikes of the last stage, H = W = 8; image [B, 3, S, S] is the input of every timestep."""
        x = image.permute(0, 2, 3, 1).contiguous()[None]
        for index, stage in enumerate(self.stages):
            x = stage(x, timesteps, membranes)
            if index in POOLED_STAGES[self.image_size]:
                x = max_pool(x)
        return x
