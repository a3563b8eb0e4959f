"""Convert published checkpoints into the networks of `models.spikformer` and `models.spikingformer`.

Formats: `cifar10/model.py` of github.com/ZK-Zhou/spikformer and of github.com/zhouchenlin2096/Spikingformer. There q, k and v
are three layers, here one of three times the width; Spikingformer's linear layers are convolutions of kernel size 1 there,
whose weights end in dimensions of size 1; everything else is a change of names.
"""

import re
from collections.abc import Mapping
from typing import NamedTuple

import torch
from torch import Tensor

from models.neuron import wide
from models.spikformer.network import Spikformer, SpikingTransformer
from models.spikingformer.network import Spikingformer

FLOATS = (torch.float16, torch.bfloat16, torch.float32, torch.float64)


class Layers(NamedTuple):
    """Published layers that one layer here is made of, in order; `{}` stands for the kind of part: a norm or the layer itself."""

    names: tuple[str, ...]
    kind: str = "conv"  # name of the layer itself; a norm is "bn"
    ones: int = 0  # dimensions of size 1 at the end of its published weight


class Format(NamedTuple):
    """Published names of a network's layers, by their names here."""

    title: str
    network: type[SpikingTransformer]
    last_conv: str  # name of a weight with as many rows as the network is wide
    splitting: dict[str, Layers]
    block: dict[str, Layers]  # within each block


SPIKFORMER = Format(
    "Spikformer",
    Spikformer,
    "patch_embed.proj_conv3.weight",
    {f"stages.{i}": Layers((f"proj_{{}}{i or ''}",)) for i in range(4)} | {"position": Layers(("rpe_{}",))},
    {
        "attention.qkv": Layers(("attn.q_{}", "attn.k_{}", "attn.v_{}"), "linear"),
        "attention.projection": Layers(("attn.proj_{}",), "linear"),
        "mlp.hidden": Layers(("mlp.fc1_{}",), "linear"),
        "mlp.output": Layers(("mlp.fc2_{}",), "linear"),
    },
)
SPIKINGFORMER = Format(
    "Spikingformer",
    Spikingformer,
    "patch_embed.block4_conv.weight",
    {f"stages.{i}": Layers((f"block{i}_{{}}",)) for i in range(4)} | {"output": Layers(("block4_{}",))},
    {
        "attention.qkv": Layers(("attn.q_{}", "attn.k_{}", "attn.v_{}"), ones=1),
        "attention.projection": Layers(("attn.proj_{}",), ones=1),
        "mlp.hidden": Layers(("mlp.mlp1_{}",), ones=2),
        "mlp.output": Layers(("mlp.mlp2_{}",), ones=2),
    },
)


def from_official_spikformer(state_dict: Mapping, *, heads: int = 12, timesteps: int = 4, image_size: int = 32) -> Spikformer:
    """Build the network of a published checkpoint, in evaluation mode; depth, width and classes are read off its tensors.

    state_dict: the tensors by their published names, or the whole checkpoint that holds them under `state_dict`;
    a prefix `module.` is dropped, and so are the LayerNorms `norm1` and `norm2`, which the published module never calls.
    Number of heads, timesteps and image size can't be read off the weights, so they are given.
    Raises ValueError naming every tensor that is unknown, missing or of another shape.
    """
    return convert(SPIKFORMER, state_dict, heads=heads, timesteps=timesteps, image_size=image_size)


def from_official_spikingformer(
    state_dict: Mapping, *, heads: int = 12, timesteps: int = 4, image_size: int = 32
) -> Spikingformer:
    """Build the network of a published Spikingformer checkpoint as `from_official_spikformer` does; LayerNorms are unused too."""
    return convert(SPIKINGFORMER, state_dict, heads=heads, timesteps=timesteps, image_size=image_size)


def convert(form: Format, state_dict: Mapping, **settings: int) -> SpikingTransformer:
    """Build the network of a checkpoint of this format. Raises ValueError for settings or tensors that do not fit."""
    for name, value in settings.items():
        if type(value) is not int or value < 1:
            raise ValueError(f"{name} is {value!r}, but must be a whole number of at least 1")
    official = published_tensors(form, state_dict)
    for anchor in (form.last_conv, "head.weight"):
        if not isinstance(official.get(anchor), Tensor) or official[anchor].ndim == 0:
            raise ValueError(f"not a published {form.title} checkpoint: {anchor} is missing or no matrix")
    block_numbers = {int(m[1]) for name in official if (m := re.match(r"block\.(\d+)\.", name))}
    if gaps := [f"block.{number}.*" for number in range(max(block_numbers, default=0) + 1) if number not in block_numbers]:
        more = f" and {len(gaps) - 5} others" if len(gaps) > 5 else ""
        raise ValueError(f"this checkpoint does not fit a published {form.title}: missing {', '.join(gaps[:5])}{more}")
    depth, width, classes = len(block_numbers), len(official[form.last_conv]), len(official["head.weight"])
    if width % settings["heads"]:
        raise ValueError(f"heads is {settings['heads']}, which does not divide the width of this checkpoint, {width}")
    model = form.network(depth=depth, width=width, classes=classes, **settings)
    new_state = model.state_dict()
    sources = {name: published_names(form, name) for name in new_state}
    check_tensors(form, official, expected_shapes(new_state, sources))
    state = {}
    for name, layers in sources.items():
        tensors = [official[source] for source in layers.names]
        state[name] = tensors[0] if tensors[0].ndim == 0 else torch.cat(tensors).view(new_state[name].shape)
    model.to(wide(official["head.weight"]).dtype).load_state_dict(state)
    return model.eval()


def published_tensors(form: Format, state_dict: Mapping) -> dict[str, Tensor]:
    """Return the checkpoint's tensors by published name: unwrapped, without `module.` and the unused LayerNorms."""
    inner = state_dict.get("state_dict", state_dict) if isinstance(state_dict, Mapping) else None
    if not isinstance(inner, Mapping) or not all(isinstance(name, str) for name in inner):
        raise ValueError(f"not a published {form.title} checkpoint: it holds no dictionary of tensors by name")
    tensors = {name.removeprefix("module."): tensor for name, tensor in inner.items()}
    if len(tensors) < len(inner):
        raise ValueError(f"not a published {form.title} checkpoint: it has a tensor both with and without the prefix module.")
    return {name: x for name, x in tensors.items() if not re.fullmatch(r"block\.\d+\.norm[12]\.(weight|bias)", name)}


def published_names(form: Format, name: str) -> Layers:
    """Name the published tensors that the tensor `name` here is made of, and count the dimensions of size 1 they have more."""
    root, _, rest = name.partition(".")
    if root == "head":
        return Layers((name,))
    layer, kind, part = rest.rsplit(".", 2)
    if root == "sps":
        prefix, layers = "patch_embed.", form.splitting[layer]
    else:
        number, _, layer = layer.partition(".")
        prefix, layers = f"block.{number}.", form.block[layer]
    kind_name = "bn" if kind == "bn" else layers.kind
    ones = layers.ones if (kind, part) == ("linear", "weight") else 0
    return Layers(tuple(f"{prefix}{layer.format(kind_name)}.{part}" for layer in layers.names), ones=ones)


def expected_shapes(new_state: dict[str, Tensor], sources: dict[str, Layers]) -> dict[str, tuple[int, ...]]:
    """Compute the shape that each published tensor must have to become the tensors here."""
    shapes = {}
    for name, (names, _, ones) in sources.items():
        rows, *other_sizes = new_state[name].shape or (None,)
        shape = () if rows is None else (rows // len(names), *other_sizes, *(1,) * ones)
        shapes |= {source: shape for source in names}
    return shapes


def fault_of(name: str, tensor: Tensor) -> str:
    """Describe the fault in a tensor's values, or return an empty string."""
    if name.endswith("num_batches_tracked"):
        return ""
    if tensor.dtype not in FLOATS or tensor.layout != torch.strided or tensor.is_meta:
        return f"is no plain tensor of floats, but {tensor.dtype}, {tensor.layout}, {tensor.device.type}"
    if not bool(tensor.isfinite().all()):
        return "has NaN or infinite values"
    return "has a negative variance" if name.endswith("running_var") and bool((tensor < 0).any()) else ""


def check_tensors(form: Format, official: dict[str, Tensor], shapes: dict[str, tuple[int, ...]]) -> None:
    """Raise ValueError that names every tensor that is unknown, missing, of another shape or has wrong values."""
    unknown, missing = sorted(official.keys() - shapes.keys()), sorted(shapes.keys() - official.keys())
    wrong = [
        f"{name} is {tuple(getattr(official[name], 'shape', ()))}, not {shape}"
        for name, shape in shapes.items()
        if name in official and tuple(getattr(official[name], "shape", (None,))) != shape
    ]
    faults = [f"unknown {', '.join(unknown)}"] * bool(unknown) + [f"missing {', '.join(missing)}"] * bool(missing) + wrong
    if not faults:
        faults = [f"{name} {fault}" for name, x in official.items() if (fault := fault_of(name, x))]
    if faults:
        raise ValueError(f"this checkpoint does not fit a published {form.title}: " + "; ".join(faults))
