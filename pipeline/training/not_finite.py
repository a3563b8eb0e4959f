"""Find the layer or weight with which a computation stopped being finite.

Spiking neurons hide it: NaN is below every threshold, so the loss of a network whose weights are NaN may be finite.
"""

from collections.abc import Callable

import torch
from torch import Tensor, nn


def first_not_finite(network: nn.Module, run: Callable[[], object]) -> str:
    """Find the first layer, in the order of computing, whose output is not finite when `run` calls the network; name it in words.

    The words add whether its weights are not finite themselves: then a gradient was lost in the step before.
    """
    first: list[tuple[str, nn.Module]] = []  # that one layer, or none yet

    def listen(name: str, module: nn.Module):
        def check(_module, _inputs, output) -> None:
            if not first and any(not x.isfinite().all() for x in tensors(output)):
                first.append((name or "the network's output", module))

        return module.register_forward_hook(check)

    hooks = [listen(name, module) for name, module in network.named_modules()]
    try:
        with torch.no_grad():
            run()
    finally:
        for hook in hooks:
            hook.remove()
    if not first:
        return "the loss alone: every layer's output is finite"
    name, module = first[0]
    has_lost_weights = any(not p.isfinite().all() for p in module.parameters())
    return f"first in layer {name}" + (
        ", whose weights are not finite: a gradient was lost in the step before" if has_lost_weights else ""
    )


def lost_weights(network: nn.Module) -> str:
    """Name the last weight, or running mean or variance, that is not finite, or return an empty string.

    The last, as a gradient that is not finite spreads to all layers before it.
    """
    tensors_by_name = {name: x for name, x in network.state_dict().items() if x.is_floating_point()}
    if bool(torch.stack([x.sum() for x in tensors_by_name.values()]).isfinite().all()):
        return ""
    return next((name for name, x in reversed(tensors_by_name.items()) if not x.isfinite().all()), "")


def tensors(output) -> list[Tensor]:
    """List the floating-point tensors in a layer's output, within tuples, lists, dictionaries and objects too."""
    if isinstance(output, Tensor):
        return [output] if output.is_floating_point() else []
    parts = output.values() if isinstance(output, dict) else output if isinstance(output, (tuple, list)) else vars_of(output)
    return [x for part in parts for x in tensors(part)]


def vars_of(output) -> list:
    """List the attributes of an object that may hold tensors."""
    return [x for x in getattr(output, "__dict__", {}).values() if isinstance(x, (Tensor, tuple, list, dict))]
