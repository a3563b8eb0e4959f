"""Measure energy per image of any network of the suite, over a whole split: count its multiply-accumulates (MAC) and
accumulates (AC) where they happen, in one pass. 4.6 pJ and 0.9 pJ each: 45 nm, Horowitz 2014, ISSCC.

Dimensions: T timesteps, N images, B batch, K tokens, D channels of a token, H heads.

The first convolution and the head are MACs. Every other layer costs 0.9 pJ x rate x operations, where rate is the share of
its inputs that are not zero: zero inputs cost nothing. Only live tokens count: merged and halted ones cost nothing.
Operations: of a linear layer inputs x outputs; of a 3x3 convolution 9 x Cin x Cout x height x width, where padding
counts as operations; of attention K D D/H for k^T v, at the rate of k, and K D D/H for q (k^T v), at the rate of q. A network
without spikes (ViT) is all MACs: there q k^T and its product with v are K K D operations each.

The literature differs in what it charges for layers whose inputs are counts of spikes rather than spikes, hence CONVENTIONS:

nonzero: as above, whatever the inputs. A count is one accumulate.
count: the mean input stands for the rate, so an input of 3 is three accumulates. Tokens merged by sums then save nothing in
    the layers that read them.
mac: those layers (q, k, v and the hidden layer of Spikformer's MLP) are charged a MAC for every operation, zero inputs
    included, as SpikingJelly 2.0's `op_counter.MACCounter` counts for inputs that are not all 0 or 1. It looks at the
    numbers, and takes counts for spikes where none of them exceeds 1; here the layer decides. All else as in `nonzero`.

Matching is the cost of merging itself, in each block that merges: (A x B + A + B) x D MACs, products and squared norms, in every
convention: both factors are counts, or real numbers. As Algorithm 1 has it, A are the live even tokens at t = 1 and the live
sources, found there, from then on; B are the live odd ones. With `partner` fixed nothing is compared after t = 1.

Not counted: norms (batch norm is folded into weights), biases, softmax and other activations, membrane updates, residual
additions, pooling, means over tokens, adding merged tokens, ranking, Eq. 3's sigmoid and Eq. 8's weighting.

Reading: the image is repeated T times, so the first convolution is charged at every timestep. Spikformer's published formula
has it once: its row stands apart, divide it by T. The head is charged at every timestep too, since each has its logits.
Reading: k^T v goes at the rate of k, q (k^T v) at the rate of q: what is multiplied with is read whether it is zero or not.
"""

import inspect
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager, nullcontext
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor, nn

from models.energy_taps import COUNTS, NUMBERS, Drive, EnergyTap
from pipeline.core.energy_units import CONVENTIONS, PJ_PER_UJ
from pipeline.evaluation.energy_layers import MODULES, taps_of

MAC_PJ, AC_PJ = 4.6, 0.9  # pJ per operation, 32 bits, 45 nm: Horowitz 2014, ISSCC


@dataclass(frozen=True)
class Energy:
    """Energy of one pass over a split, by layer and by image.

    layers: one row per layer, in network order; its lists have a value for each timestep alone. `operations`, `live_tokens`
    (for a convolution: positions) and `pJ`, by convention, are means per image; `rate` and `count` are means over all live
    inputs.
    images: float32 [conventions, modules, T, N], pJ of each image in each timestep alone.
    """

    layers: list[dict]
    images: np.ndarray


@torch.no_grad()
def measure_energy(
    network: nn.Module,
    batches: Iterable[tuple[Tensor, Tensor]],
    *,
    device,
    dtype: torch.dtype = torch.float32,
    arithmetic: Callable = nullcontext,
) -> Energy:
    """Run a network in evaluation mode over batches of images and labels, as `pipeline.evaluation.measure.measure` does.

    AT-SNN runs masked, not packed: what is not live is 0 there and counts for nothing. Raises ValueError for a network with
    layers that no energy tap names.
    """
    account, was_training = Account(taps_of(network)), network.training
    network.eval()
    try:
        with account.listening(network):
            for images, _ in batches:
                with arithmetic():
                    network(images.to(device, dtype))
                account.close()
    finally:
        network.train(was_training)
    return account.energy()


def summary(energy: Energy) -> dict:
    """Sum up uJ per image after each timestep, [T] cumulated: by convention, and of the `modules` in `nonzero`."""
    mean = energy.images.mean(axis=-1, dtype=np.float64) / PJ_PER_UJ
    by_convention = {name: values.tolist() for name, values in zip(CONVENTIONS, mean.sum(axis=1).cumsum(axis=1))}
    return by_convention | {"modules": dict(zip(MODULES, mean[0].cumsum(axis=1).tolist()))}


def at_stop(energy: Energy, stop: np.ndarray) -> dict[str, float]:
    """Average uJ per image, by convention, where image i stops after timestep stop[i], counted from 1: stop [N]."""
    executed = np.arange(1, energy.images.shape[2] + 1)[:, None] <= stop
    executed_energy = energy.images.sum(axis=1, dtype=np.float64) * executed
    return dict(zip(CONVENTIONS, (executed_energy.sum(axis=1).mean(axis=1) / PJ_PER_UJ).tolist()))


def picojoule(input_kind: str, drive: Drive) -> np.ndarray:
    """Compute a layer's energy in pJ by convention from its kind of inputs and its drive: float64 [conventions, T, B]."""
    dense = MAC_PJ * drive.operations
    if input_kind == NUMBERS:
        return np.stack([dense] * len(CONVENTIONS))
    fan_out = np.divide(drive.operations, drive.inputs, out=np.zeros_like(dense), where=drive.inputs > 0)
    nonzero, count = AC_PJ * drive.nonzero * fan_out, AC_PJ * drive.total * fan_out
    return np.stack([nonzero, count, dense if input_kind == COUNTS else nonzero])


@dataclass
class Account:
    """The sums over images of what the taps read, batch by batch."""

    taps: list[EnergyTap]
    drives: dict[EnergyTap, Drive] = field(default_factory=dict)  # read so far in the current batch
    live: dict[nn.Module, Tensor | None] = field(default_factory=dict)  # the `live` of each block's last call
    # over images: the parts of Drive [T], pJ [conventions, T]
    sums: dict[EnergyTap, list[np.ndarray]] = field(default_factory=dict)
    images: list[np.ndarray] = field(default_factory=list)  # by batch: Energy.images

    @contextmanager
    def listening(self, network: nn.Module) -> Iterator[None]:
        """Read every call of a tapped layer within the block; afterwards the network is as it was."""
        with ExitStack() as undo:
            matching = [tap for tap in self.taps if tap.module == "matching"]
            for block in {tap.within: None for tap in self.taps if tap.within}:
                handle = block.register_forward_pre_hook(self.remember_live, with_kwargs=True)
                undo.callback(handle.remove)
            for layer in {tap.layer: None for tap in self.taps if tap.module != "matching"}:
                handle = layer.register_forward_hook(self.reader(layer), with_kwargs=True)
                undo.callback(handle.remove)
            if matching:
                merge = network.merge

                def merge_and_read(tokens, number, past):
                    tap, merged = next(tap for tap in matching if tap.block == number), merge(tokens, number, past)
                    self.drives[tap] = tap.read({"tokens": tokens, "left": merged.position}, None)
                    return merged

                network.merge = merge_and_read  # a method: it has no hooks
                undo.callback(delattr, network, "merge")
            yield

    def remember_live(self, block: nn.Module, args: tuple, kwargs: dict) -> None:
        """Keep the `live` that a block is called with, for its layers that do not take it themselves."""
        self.live[block] = inspect.signature(block.forward).bind(*args, **kwargs).arguments.get("live")

    def reader(self, layer: nn.Module) -> Callable:
        """Make the hook that reads all taps of a layer at its call. It asserts that there is one call in a pass."""
        signature, taps = inspect.signature(layer.forward), [tap for tap in self.taps if tap.layer is layer]
        within = taps[0].within

        def hook(_, args: tuple, kwargs: dict, output: Tensor) -> None:
            arguments = signature.bind(*args, **kwargs).arguments
            if within:
                arguments |= {"live": self.live.get(within)}
            for tap in taps:
                assert tap not in self.drives, f"{tap.module} {tap.block} {tap.name} ran twice in a pass"
                self.drives[tap] = tap.read(arguments, output)

        return hook

    def close(self) -> None:
        """Add a finished batch to the sums, and keep its images' energy. Raises ValueError where a tapped layer never ran."""
        never_ran = [
            f"{tap.module} {tap.block} {tap.name}" for tap in self.taps if tap not in self.drives and tap.module != "matching"
        ]
        if never_ran:
            raise ValueError(f"these layers never ran, so something else did their work: {', '.join(never_ran)}")
        images = None
        for tap, drive in self.drives.items():
            energy = picojoule(tap.inputs, drive)
            images = np.zeros((len(CONVENTIONS), len(MODULES), *energy.shape[1:])) if images is None else images
            images[:, MODULES.index(tap.module)] += energy
            parts = (drive.tokens, drive.inputs, drive.nonzero, drive.total, drive.operations, energy)
            batch_sums = [part.sum(axis=-1) for part in parts]
            earlier_sums = self.sums.get(tap, [0.0] * len(batch_sums))
            self.sums[tap] = [old + new for old, new in zip(earlier_sums, batch_sums)]
        self.images.append(images.astype(np.float32))
        self.drives = {}

    def energy(self) -> Energy:
        """Return the energy of all batches that were closed."""
        images = np.concatenate(self.images, axis=-1)
        return Energy([layer_row(tap, self.sums[tap], images.shape[-1]) for tap in self.taps if tap in self.sums], images)


def layer_row(tap: EnergyTap, sums: list[np.ndarray], images: int) -> dict:
    """Make a layer's row of `Energy.layers` from its sums over so many images."""
    tokens, inputs, nonzero, total, operations, energy = sums
    row = {"module": tap.module, "block": tap.block, "layer": tap.name}
    row |= {"operations": (operations / images).tolist(), "live_tokens": (tokens / images).tolist()}
    row |= {"rate": (nonzero / np.maximum(inputs, 1)).tolist(), "count": (total / np.maximum(inputs, 1)).tolist()}
    return row | {"pJ": dict(zip(CONVENTIONS, (energy / images).tolist()))}
