"""Low-rank adapters: put on before training, added to the weights when the result is written (`saving`).

What trains is small, what is saved is an ordinary model: the sampler and the next iteration need not know.
"""

from typing import Any

from tasks.objectives import Trained
from tasks.settings import Lora

ADAPTER = "default"
"""Name that peft gives to the only adapter of a model."""


def adapted(model: Any, lora: Lora, trains: Trained) -> Any:
    """The model with everything frozen but the adapter; a critic's head, which is new, trains as it is."""
    from peft import LoraConfig, get_peft_model

    targets = lora.target_modules if isinstance(lora.target_modules, str) else list(lora.target_modules)
    config = LoraConfig(
        task_type="CAUSAL_LM" if trains == "policy" else "TOKEN_CLS",
        r=lora.rank,
        lora_alpha=lora.alpha,  # type: ignore[arg-type] - peft divides by the rank and takes any number
        lora_dropout=lora.dropout,
        target_modules=targets,
        modules_to_save=None if trains == "policy" else ["score"],
    )
    return get_peft_model(model, config)
