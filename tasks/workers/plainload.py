"""Checkpoints are data: whatever loads one in this process, no pickle of it can run code.

PyTorch's restricted unpickler builds tensors, plain containers and the classes it is given, and refuses all else.
DeepSpeed asks for the unrestricted one; the variable overrides that, for every library of the process.
"""

import os
import re
import zipfile
from pathlib import Path

import torch
from transformers.trainer_pt_utils import safe_globals

SUFFIXES = {".pt", ".pth"}


def restrict() -> None:
    """From now on `torch.load` unpickles nothing but training state, whatever its caller asks for."""
    from deepspeed.runtime.fp16.loss_scaler import LossScaler
    from deepspeed.runtime.zero.config import ZeroStageEnum
    from deepspeed.utils.tensor_fragment import fragment_address

    os.environ["TORCH_FORCE_WEIGHTS_ONLY_LOAD"] = "1"
    os.environ.pop("TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD", None)
    torch.serialization.add_safe_globals([LossScaler, ZeroStageEnum, fragment_address])


def refusal(checkpoint: Path) -> str | None:
    """Why a file of it cannot be loaded as plain state, in one clause; None if all can. Tensors are not read."""
    for path in sorted(checkpoint.rglob("*")):
        if path.suffix not in SUFFIXES:
            continue
        try:
            with safe_globals():  # what a random state is made of
                torch.load(path, map_location="cpu", weights_only=True, mmap=zipfile.is_zipfile(path))
        except Exception as error:  # what unpickling raises depends on what it finds
            found = re.search(r"GLOBAL (\S+)", str(error))
            what = f"asks for {found[1]}, which is no training state" if found else "is no training state"
            return f"{path.relative_to(checkpoint)} {what}"
    return None
