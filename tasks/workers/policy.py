"""Models of a training or scoring child, and what they say of every completion token of a packed stream.

    policy         log-probability of the token, in nats
    critic         value before the token        reward_model   score after the token

Shapes: N sequences, M completion tokens, C of one answer, E hidden.
"""

from collections.abc import Iterator
from contextlib import nullcontext
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.checkpoint import create_selective_checkpoint_contexts
from transformers import AutoConfig, AutoModelForCausalLM, AutoModelForTokenClassification
from transformers.modeling_layers import GradientCheckpointingLayer

from tasks.objectives import Trained
from tasks.workers import attention
from tasks.workers.collate import stretches
from tasks.workers.failure import BadInput
from tasks.workers.head import token_head
from tasks.workers.packing import Packed, pack
from tasks.workers.sequences import Sequences
from tasks.workers.template import NO_CODE


def load(folder: str, trains: Trained, dtype: torch.dtype, *, new_head: bool = True) -> Any:
    """A model of this kind from a Hugging Face folder, its attention packed, its dropout off.

    A critic or reward model made of a policy gets a head of zeros: it says 0 everywhere, whatever the seed.

    Raises:
        BadInput: the folder's architecture cannot be trained this way, or weights are missing; without `new_head` that
            of a critic or reward model counts as well.
    """
    config = AutoConfig.from_pretrained(folder, trust_remote_code=False)
    kinds = set(getattr(config.get_text_config(), "layer_types", None) or ["full_attention"])
    if unknown := kinds - {"full_attention", "sliding_attention"}:
        raise BadInput(f"{folder} has layers of kind {', '.join(sorted(unknown))}, which cannot be packed")
    options: dict[str, Any] = {"dtype": dtype, "attn_implementation": attention.NAME, **NO_CODE}
    config.attention_dropout = 0.0
    if trains == "policy":
        loaded: Any = AutoModelForCausalLM.from_pretrained(folder, config=config, output_loading_info=True, **options)
        model, found = loaded
        _check_complete(folder, model, set(found["missing_keys"]))
        token_head(model)
        return model
    config.num_labels, config.classifier_dropout = 1, 0.0
    model, found = AutoModelForTokenClassification.from_pretrained(
        folder, config=config, output_loading_info=True, **options
    )
    missing = set(found["missing_keys"])
    _check_complete(folder, model, {name for name in missing if not (new_head and name.startswith("score."))})
    if missing:
        _zero(model.score)
    return model


def checkpoint_activations(model: Any) -> None:
    """Make the activations of layers again in the backward pass: memory for time, in every layer but the last.

    Those of the last are needed as soon as the forward pass has ended, so nothing would be saved. What attention gives
    is kept in every layer: of all that a layer makes it costs most for its size, the more so the longer the answers.
    """
    keep = partial(create_selective_checkpoint_contexts, attention.KERNELS)
    model.gradient_checkpointing_enable({"use_reentrant": False, "context_fn": keep})
    layers = [layer for layer in model.modules() if isinstance(layer, GradientCheckpointingLayer)]
    for last in layers[-1:]:  # none in an architecture that checkpoints in its own way
        last.gradient_checkpointing = False


def load_frozen(folder: str, scores: Trained, dtype: str, device: torch.device) -> Any:
    """A model that is only asked; its parameters take no gradient. A reward model must have learned before."""
    model = load(folder, scores, getattr(torch, dtype), new_head=scores == "critic")
    return model.requires_grad_(False).eval().to(device)


def per_token(model: Any, trains: Trained, packed: Packed, reference: Any = None) -> tuple[Tensor, Tensor | None]:
    """[M] what the model says of each completion token, in float32, and [M] KL(reference || model) if there is one.

    `model` may be wrapped (by DeepSpeed, by LoRA). Both carry gradients to `model` alone.

    Raises:
        BadInput: the architecture does not compute what it seems to: it mixes the answers, or changes the logits.
    """
    inputs = packed.inputs()
    if trains != "policy":
        values_S = model(**inputs).logits[0, :, 0].float()
        _check_layers(model, inputs["layout"])
        return values_S[packed.before if trains == "critic" else packed.at], None
    head = token_head(transformers_model(model))
    head.labels = packed.labels
    head.reference = (None, None) if reference is None else _reference_states(reference, packed)
    logits = model(**inputs, logits_to_keep=packed.before).logits
    _check_layers(model, inputs["layout"])
    if logits.shape != head.answer.shape or logits.data_ptr() != head.answer.data_ptr():
        raise BadInput(
            f"{type(transformers_model(model)).__name__} changes the logits after its head, which training cannot do"
        )
    return logits[0, :, 0], logits[0, :, 1] if reference is not None else None


@torch.inference_mode()
def score(
    model: Any, scores: Trained, sequences: Sequences, rows: list[int], micro_tokens: int
) -> Iterator[tuple[int, np.ndarray]]:
    """Yield (sequence index, [C] float32) for the given rows, the largest streams first.

    Largest first, so that one that does not fit into memory fails at once.
    """
    device = next(model.parameters()).device
    for members in stretches(sequences, rows, micro_tokens):
        indices = [i for row in members for i in sequences.of_row(row)]
        packed = pack([sequences.prompts[i] for i in indices], [sequences.completions[i] for i in indices])
        found_M, _ = per_token(model, scores, packed.to(device))
        lengths = [len(sequences.completions[i]) for i in indices]
        for i, values in zip(indices, found_M.float().cpu().split(lengths), strict=True):
            yield i, values.numpy().copy()


def _reference_states(reference: Any, packed: Packed) -> tuple[Tensor, Tensor]:
    """([M, E], [V, E]): the frozen policy's hidden states where completion tokens are predicted, and its head."""
    with torch.no_grad():
        states = reference.get_decoder()(**packed.inputs()).last_hidden_state
    return states[0, packed.before], reference.get_output_embeddings().weight


def _check_layers(model: Any, layout: attention.Layout) -> None:
    """A layer that has not asked for the layout has let the answers see each other."""
    layers = transformers_model(model).config.get_text_config().num_hidden_layers
    if layout.asked != layers:
        name = type(transformers_model(model)).__name__
        raise BadInput(f"{layout.asked} of the {layers} layers of {name} know of packing: it cannot be trained")


def transformers_model(model: Any) -> Any:
    """The transformers model inside DeepSpeed's and LoRA's wrappers."""
    model = getattr(model, "module", model)
    return model.get_base_model() if hasattr(model, "get_base_model") else model


def _check_complete(folder: str, model: Any, missing: set[str]) -> None:
    """Weights that are not in the folder would be random ones."""
    if missing:
        raise BadInput(f"{folder} is no {type(model).__name__}: it lacks {', '.join(sorted(missing)[:3])}")


def _zero(linear: nn.Linear) -> None:
    """Also where ZeRO-3 has dealt the weights out while they were loaded."""
    parameters = list(linear.parameters())
    if any(hasattr(parameter, "ds_id") for parameter in parameters):
        import deepspeed

        gathered: Any = deepspeed.zero.GatheredParameters(parameters, modifier_rank=0)
    else:
        gathered = nullcontext()
    with gathered:
        for parameter in parameters:
            nn.init.zeros_(parameter)
