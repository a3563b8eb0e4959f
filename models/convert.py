"""Published Spikformer checkpoints into `models.spikformer.Spikformer`.

Format: github.com/ZK-Zhou/spikformer, `cifar10/model.py`. There q, k and v are three layers, here one of three times the
width; everything else is a change of names.
"""

import re
from collections.abc import Mapping

import torch
from torch import Tensor

from models.neuron import wide
from models.spikformer import Spikformer

PARTS_OF_BN = ("weight", "bias", "running_mean", "running_var", "num_batches_tracked")


def from_official_spikformer(state_dict: Mapping, *, heads: int = 12, timesteps: int = 4, image_size: int = 32) -> Spikformer:
    """The network of a published checkpoint, in evaluation mode, with depth, width and classes read off its tensors.

    state_dict: the tensors by their published names, or the whole checkpoint that holds them under `state_dict`;
    a prefix `module.` is dropped, and so are the LayerNorms `norm1` and `norm2`, which the published module never calls.
    Head count, timesteps and image size leave no mark in the weights, so they are given.
    Raises ValueError naming every tensor that is unknown, missing or of another shape.
    """
    official = published_tensors(state_dict)
    for anchor in ("patch_embed.proj_conv3.weight", "head.weight"):
        if not isinstance(official.get(anchor), Tensor) or official[anchor].ndim == 0:
            raise ValueError(f"not a published Spikformer checkpoint: {anchor} is missing or no matrix")
    width, classes = len(official["patch_embed.proj_conv3.weight"]), len(official["head.weight"])
    depth = 1 + max((int(m[1]) for name in official if (m := re.match(r"block\.(\d+)\.", name))), default=-1)
    model = Spikformer(depth=depth, width=width, heads=heads, classes=classes, timesteps=timesteps, image_size=image_size)
    sources = official_sources(depth)
    check_tensors(official, expected_shapes(model, sources))
    state = {}
    for name, origin in sources.items():
        tensors = [official[part] for part in origin]
        state[name] = tensors[0] if tensors[0].ndim == 0 else torch.cat(tensors)
    model.to(wide(official["head.weight"]).dtype).load_state_dict(state)
    return model.eval()


def published_tensors(state_dict: Mapping) -> dict[str, Tensor]:
    """The checkpoint's tensors by published name: unwrapped, without `module.` and the unused LayerNorms."""
    inner = state_dict.get("state_dict", state_dict) if isinstance(state_dict, Mapping) else None
    if not isinstance(inner, Mapping) or not all(isinstance(name, str) for name in inner):
        raise ValueError("not a published Spikformer checkpoint: it holds no dictionary of tensors by name")
    names = {name.removeprefix("module."): tensor for name, tensor in inner.items()}
    return {name: x for name, x in names.items() if not re.fullmatch(r"block\.\d+\.norm[12]\.(weight|bias)", name)}


def official_sources(depth: int) -> dict[str, list[str]]:
    """For every tensor of our network, the published tensors it is made of, in order."""
    sources = {f"head.{part}": [f"head.{part}"] for part in ("weight", "bias")}
    convs = {f"sps.stages.{i}": f"proj_{{}}{i or ''}" for i in range(4)} | {"sps.position": "rpe_{}"}
    for ours, theirs in convs.items():
        sources[f"{ours}.conv.weight"] = [f"patch_embed.{theirs.format('conv')}.weight"]
        sources |= {f"{ours}.bn.{part}": [f"patch_embed.{theirs.format('bn')}.{part}"] for part in PARTS_OF_BN}
    layers = {"attention.qkv": ("attn.q", "attn.k", "attn.v"), "attention.projection": ("attn.proj",)}
    layers |= {"mlp.hidden": ("mlp.fc1",), "mlp.output": ("mlp.fc2",)}
    for i in range(depth):
        for ours, theirs in layers.items():
            for kind, parts in (("linear", ("weight", "bias")), ("bn", PARTS_OF_BN)):
                for part in parts:
                    sources[f"blocks.{i}.{ours}.{kind}.{part}"] = [f"block.{i}.{layer}_{kind}.{part}" for layer in theirs]
    return sources


def expected_shapes(model: Spikformer, sources: dict[str, list[str]]) -> dict[str, tuple[int, ...]]:
    """The shape each published tensor must have for the model."""
    shapes = {}
    for name, tensor in model.state_dict().items():
        origin = sources[name]
        shape = (tensor.shape[0] // len(origin), *tensor.shape[1:]) if tensor.ndim else ()
        shapes |= {part: shape for part in origin}
    return shapes


def check_tensors(official: dict[str, Tensor], shapes: dict[str, tuple[int, ...]]) -> None:
    unknown, missing = sorted(official.keys() - shapes.keys()), sorted(shapes.keys() - official.keys())
    wrong = [
        f"{name} is {tuple(getattr(official[name], 'shape', ()))}, not {shape}"
        for name, shape in shapes.items()
        if name in official and tuple(getattr(official[name], "shape", (None,))) != shape
    ]
    faults = [f"unknown {', '.join(unknown)}"] * bool(unknown) + [f"missing {', '.join(missing)}"] * bool(missing) + wrong
    if faults:
        raise ValueError("this checkpoint does not fit a published Spikformer: " + "; ".join(faults))
