"""Where a computation that is not finite began.

A spiking neuron hides it: NaN is below every threshold, so the loss of a network with lost weights may look sound.
"""

from collections.abc import Callable

import torch
from torch import Tensor, nn


def first_not_finite(network: nn.Module, run: Callable[[], object]) -> str:
    """The first layer, in the order of computing, that returns what is not finite when `run` calls the network; in words.

    Where its weights are not finite themselves, that is said: a gradient was lost in the step before.
    """
    found: list[tuple[str, nn.Module]] = []

    def listen(name: str, module: nn.Module):
        def note(_module, _given, output) -> None:
            if not found and any(not x.isfinite().all() for x in tensors(output)):
                found.append((name or "the network's output", module))

        return module.register_forward_hook(note)

    hooks = [listen(name, module) for name, module in network.named_modules()]
    try:
        with torch.no_grad():
            run()
    finally:
        for hook in hooks:
            hook.remove()
    if not found:
        return "the loss alone: every layer's output is finite"
    name, module = found[0]
    damaged = any(not p.isfinite().all() for p in module.parameters())
    return f"first in layer {name}" + (
        ", whose weights are not finite: a gradient was lost in the step before" if damaged else ""
    )


def lost_weights(network: nn.Module) -> str:
    """The last weight, or running mean or variance, that is not finite, or nothing: a lost gradient goes to all before it."""
    named = {name: x for name, x in network.state_dict().items() if x.is_floating_point()}
    if bool(torch.stack([x.sum() for x in named.values()]).isfinite().all()):
        return ""
    return next((name for name, x in reversed(named.items()) if not x.isfinite().all()), "")


def tensors(output) -> list[Tensor]:
    """The tensors of floats that a layer returned, however it holds them."""
    if isinstance(output, Tensor):
        return [output] if output.is_floating_point() else []
    parts = output.values() if isinstance(output, dict) else output if isinstance(output, (tuple, list)) else vars_of(output)
    return [x for part in parts for x in tensors(part)]


def vars_of(output) -> list:
    return [x for x in getattr(output, "__dict__", {}).values() if isinstance(x, (Tensor, tuple, list, dict))]
