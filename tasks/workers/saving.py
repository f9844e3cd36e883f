"""The trained model as a plain Hugging Face folder, whatever DeepSpeed and LoRA have made of it."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from tasks.workers.lora import ADAPTER
from tasks.workers.policy import transformers_model


def save(model: Any, folder: Path, *, write: bool) -> None:
    """Write the folder; the model cannot be trained on. Every process calls this, as ZeRO-3 gathers; one writes."""
    weights = dict(_weights(transformers_model(model), keep=write))
    if write:
        plain = model.unload() if hasattr(model, "unload") else model  # of an adapted one, the modules before it was
        plain.save_pretrained(folder, state_dict=weights)


@torch.no_grad()
def _weights(model: nn.Module, *, keep: bool) -> Iterator[tuple[str, Tensor]]:
    """(name in the plain model, weight in host memory); one module is gathered at a time."""
    import deepspeed

    seen: set[int] = set()
    for name, module, own in _modules(model):
        with deepspeed.zero.GatheredParameters(list(module.parameters(recurse=own is not module))):
            for key, value in own.named_parameters(recurse=own is not module):
                if keep and id(value) not in seen:  # a tied weight has one name in a file
                    yield f"{name}.{key}", _merged(module, key, value)
                seen.add(id(value))


def _merged(module: Any, key: str, value: Tensor) -> Tensor:
    if key == "weight" and hasattr(module, "get_delta_weight"):
        total = value.detach().float() + module.get_delta_weight(ADAPTER).float()
        return total.to("cpu", value.dtype)
    return value.detach().to("cpu", copy=True)


def _modules(module: Any, name: str = "") -> Iterator[tuple[str, nn.Module, nn.Module]]:
    """(name, module, what holds its parameters in the plain model); adapted modules are not entered."""
    if hasattr(module, "get_delta_weight"):
        yield name, module, module.get_base_layer()
    elif hasattr(module, "modules_to_save"):
        yield name, module, module.modules_to_save[ADAPTER]
    else:
        yield name, module, module
        for key, child in module.named_children():
            yield from _modules(child, f"{name}.{key}" if name else key)
