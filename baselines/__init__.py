"""Define the contract of the methods that are compared, one file each, found by its name.

A method has TITLE, PARENTS (the methods whose weights it starts from; None: from the seed) and Options (a
MethodOptions). One that trains has build(backbone, options) -> network and loss(output, target, options); its network's
output has `logits` [T, B, C]. One that stops early has confidence(logits) -> [T, N], of the mean logits [T, N, C] of
timesteps 1..t, in numpy: an image stops at the first t where it reaches a threshold that is chosen on held-out images.
One that is made for certain backbones only names them in BACKBONES; one with ADAPTS_TOKENS merges or halts tokens, so it needs a
backbone with TOKENS (`models`).
One without a loss trains nothing: it stops the networks of its PARENTS early.
Importing a method imports no torch: the declaration is read without it.
"""

from pydantic import BaseModel, ConfigDict


class MethodOptions(BaseModel):
    """Options of a method, besides the recipe; subclasses add the fields."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


SYMBOLS = {"gamma": "γ", "alpha": "α", "beta": "β", "epsilon": "ε", "delta": "δ", "weight": "λ"}


def label(title: str, options: MethodOptions) -> str:
    """Name a method in tables, with its required options and those that differ from their default."""
    changed = options.model_dump(exclude_defaults=True)
    return f"{title} ({options_text(changed)})" if changed else title


def options_text(options: dict) -> str:
    """Write options with their values in the symbols of the paper."""
    texts = {key: f"{value:g}" if isinstance(value, float) else value for key, value in options.items()}
    return ", ".join(f"{SYMBOLS.get(key, key)} = {text}" for key, text in texts.items())
