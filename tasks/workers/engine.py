"""What is changed in a DeepSpeed engine before it trains."""

from typing import Any

import torch.distributed as dist

BUCKET = 1 << 25
"""Gradient elements that ZeRO 0 copies into one buffer to average them. Its own 5e8 is a second copy of them all."""


def prepare(engine: Any) -> None:
    """Have it keep the gradient's norm, and average gradients in small buckets or, alone, not at all."""
    _keep_plain_norm(engine)
    average = engine.buffered_allreduce_fallback

    def bucketed(grads: Any = None, elements_per_buffer: int = BUCKET) -> None:
        # An average over one process changes nothing, but DeepSpeed copies every gradient there and back for it.
        if dist.get_world_size() > 1:
            average(grads=grads, elements_per_buffer=min(elements_per_buffer, BUCKET))

    engine.buffered_allreduce_fallback = bucketed


def _keep_plain_norm(engine: Any) -> None:
    """ZeRO 0 in float32 computes the gradient's norm to clip by it, and forgets it: keep it where others do."""

    def clip() -> None:
        engine._global_grad_norm = clip_grad_norm_(
            parameters=engine.module.parameters(), max_norm=engine.gradient_clipping(), mpu=engine.mpu
        )

    from deepspeed.runtime.utils import clip_grad_norm_

    engine.clip_fp32_gradients = clip
