"""The clipped squared error of a critic, and what is logged of it.

    L_t = 1/2 max((V - G)^2, (V_old + clip(V - V_old, -eps_v, eps_v) - G)^2)

V_old are the values before training, G the returns. Explained variance of a step, from the means that are logged:
1 - [errors/squared - (returns/mean - values/mean)^2] / [returns/squared - returns/mean^2]. Shapes: N sequences, T
tokens, M tokens without padding.
"""

import torch
from torch import Tensor

from tasks.objectives import Batch, Objective


def value_loss(objective: Objective, batch: Batch, value_clip: float) -> tuple[Tensor, dict[str, Tensor]]:
    """[N, T] L_t, and one detached number per token of each metric."""
    predicted_NT, return_NT = (
        column * batch.mask for column in (objective.predictions(batch), objective.column(batch, "returns"))
    )
    old_NT = objective.column(batch, "values") * batch.mask
    held_NT = old_NT + (predicted_NT - old_NT).clamp(-value_clip, value_clip)
    squared_NT, held_squared_NT = (predicted_NT - return_NT) ** 2, (held_NT - return_NT) ** 2
    metrics = {
        "values/mean": predicted_NT,
        "returns/mean": return_NT,
        "returns/squared": return_NT**2,
        "errors/squared": squared_NT,
        "clip_fraction": (held_squared_NT > squared_NT).to(squared_NT.dtype),
    }
    rows = batch.mask.bool()
    return 0.5 * torch.maximum(squared_NT, held_squared_NT), {
        name: values_NT[rows].detach() for name, values_NT in metrics.items()
    }
