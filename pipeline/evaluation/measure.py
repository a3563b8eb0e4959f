"""Measure a network in one forward pass over a split: accuracy after each timestep, tokens of each block, where tokens halt.

Dimensions: N images, T timesteps, L blocks, K0 tokens after patch splitting. Logits are causal in t, so one pass at T
answers every smaller T.
"""

from collections.abc import Callable, Iterable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from torch import Tensor

from models.at_snn import ATSNN
from models.backbone import backbone_of
from models.packed import PackedATSNN, can_pack
from pipeline.core.errors import UserError

BIN = 0.5  # width of the histogram of channel 0, whose values are integers until tokens merge


class NotFinite(UserError):
    """Logits that are not finite; the message says of which image and timestep."""


@dataclass(frozen=True)
class Measurement:
    """The result of one pass. Token arrays are None for a network that runs every token in every block."""

    labels: np.ndarray  # int64 [N]
    logits: np.ndarray  # float32 at least [T, N, C]
    depth: int
    ponder: float | None = None
    tokens: np.ndarray | None = None  # [L] K^l / K0: share of the K0 tokens that merging leaves in each block
    executed: np.ndarray | None = None  # [L, T] share of the K0 tokens computed, mean over images
    image_tokens: np.ndarray | None = None  # [T, N] share of the K0 tokens computed, mean over blocks
    blocks: np.ndarray | None = None  # uint8 [N, K0] number of blocks that computed the token, over all timesteps
    halt_block: np.ndarray | None = None  # uint8 [T, N, K0] block where the token halted, 0 where a merge removed it before
    merge_block: np.ndarray | None = None  # uint8 [N, K0] block where a merge removed the token, 0 where none did
    channel_0: np.ndarray | None = None  # int64 [L, bins] computed tokens by u_0 / n, bins of width BIN from 0

    @property
    def means(self) -> np.ndarray:
        """Average the logits of timesteps 1..t, for every t: float64 [T, N, C]."""
        steps = np.arange(1, len(self.logits) + 1)[:, None, None]
        return self.logits.astype(np.float64).cumsum(0) / steps

    @property
    def correct(self) -> np.ndarray:
        """Tell whether the prediction after timestep t is right, for every t: bool [T, N]."""
        return self.means.argmax(-1) == self.labels

    def summary(self) -> dict:
        """Return the metrics of the pass, by name; lists run over timesteps (accuracy, tokens) or blocks."""
        accuracy = self.correct.mean(axis=1) * 100
        content = {"images": len(self.labels), "accuracy_by_timestep": accuracy.tolist(), "accuracy": float(accuracy[-1])}
        timesteps = np.arange(1, len(accuracy) + 1)
        if self.executed is None:
            ones = [1.0] * self.depth
            return content | {"average_tokens_by_timestep": [1.0] * len(accuracy), "average_tokens": 1.0} | per_block(ones, ones)
        average = self.executed.mean(axis=0).cumsum() / timesteps
        content |= {"average_tokens_by_timestep": average.tolist(), "average_tokens": float(average[-1]), "ponder": self.ponder}
        return content | per_block(self.tokens.tolist(), self.executed.mean(axis=1).tolist())


def per_block(tokens: list[float], executed: list[float]) -> dict:
    """Return the shares of the K0 tokens in each block: computed, merged away so far, halted so far."""
    merged, halted = [1 - k for k in tokens], [k - x for k, x in zip(tokens, executed)]
    return {"tokens_by_block": executed, "merged_by_block": merged, "halted_by_block": halted}


@torch.no_grad()
def measure(
    network: torch.nn.Module,
    batches: Iterable[tuple[Tensor, Tensor]],
    *,
    device,
    dtype: torch.dtype = torch.float32,
    arithmetic: Callable = nullcontext,
    gather: Callable[[list], list] = list,
) -> Measurement:
    """Run a network in evaluation mode over batches of images and labels; its training mode is restored.

    `arithmetic` makes the context that chooses the precision of products, as
    `pipeline.evaluation.device.ComputeDevice.autocast` does. Where each of several processes has some of the batches, `gather`
    collects the results of all (pipeline.training.processes). AT-SNN computes live tokens only, where the backbone's blocks can.
    Raises NotFinite if a logit is not finite.
    """
    was_training, batch_results = network.training, []
    network.eval()
    depth = len(getattr(backbone_of(network), "blocks", ()))
    adaptive = isinstance(network, ATSNN)
    run = partial(PackedATSNN(network), trace=True) if adaptive and can_pack(network) else network
    for images, target in batches:
        images = images.to(device, dtype)
        with arithmetic():
            output = run(images)
        batch_results.append((target.numpy(), output.logits.cpu().numpy(), condense(output) if adaptive else None))
    network.train(was_training)
    labels, logits, traces = zip(*gather(batch_results))
    token_arrays = combine(traces) if adaptive else {}
    measurement = Measurement(np.concatenate(labels), np.concatenate(logits, axis=1), depth, **token_arrays)
    for timestep, image in np.argwhere(~np.isfinite(measurement.logits).all(axis=-1))[:1]:
        raise NotFinite(f"the logits of image {image + 1} at timestep {timestep + 1} are not finite: use another precision")
    return measurement


def condense(output) -> dict:
    """Reduce the trace of one batch [B] to the arrays of a Measurement; sums over images where `combine` takes means."""
    trace = output.trace
    images, positions = trace.executed.shape[2:]
    return {
        "ponder": output.ponder_loss.item() * images,
        "tokens": np.array(trace.tokens) / positions,
        "executed": trace.executed.double().mean(dim=3).sum(dim=2).cpu().numpy(),
        "image_tokens": trace.executed.double().mean(dim=(0, 3)).cpu().numpy(),
        "blocks": trace.executed.sum(dim=(0, 1)).cpu().numpy().astype(np.uint8),
        "halt_block": trace.halt_block.cpu().numpy().astype(np.uint8),
        "merge_block": trace.merge_block.cpu().numpy().astype(np.uint8),
        "channel_0": histogram(trace),
    }


def histogram(trace) -> np.ndarray:
    """Count computed tokens by u_0 / n, over timesteps and images: [L, bins]; values above the last bin count in it."""
    bins = int(2 * (1 + len(trace.executed)) / BIN) + 1  # a stream holds at most 2 + 2l after block l
    index = (trace.channel_0 / BIN).floor().long().clamp(0, bins - 1)
    rows = [torch.bincount(i[done], minlength=bins) for i, done in zip(index, trace.executed)]
    return torch.stack(rows).cpu().numpy()


def combine(batches: Sequence[dict]) -> dict:
    """Join the reduced traces of all batches: concatenate arrays over images, average `executed` and `ponder`, add histograms."""
    images = sum(len(batch["blocks"]) for batch in batches)
    joined = {
        key: np.concatenate([b[key] for b in batches], axis=axis)
        for key, axis in (("blocks", 0), ("halt_block", 1), ("merge_block", 0), ("image_tokens", 1))
    }
    means = {key: sum(b[key] for b in batches) / images for key in ("executed", "ponder")}
    return joined | means | {"tokens": batches[0]["tokens"], "channel_0": sum(b["channel_0"] for b in batches)}
