"""From a model's name in a config to a folder with a digest."""

from pathlib import Path

from artifacts import Checkpoint, checkpoints
from tasks.workspace import Workspace, expand

PATTERNS = ["*.json", "*.safetensors", "*.txt", "*.model", "*.jinja"]
"""What is fetched from the hub: no pickled weights, no code."""


class ModelMissing(ValueError):
    """The model cannot be found; the message says where it was looked for."""


def resolve(name: str, revision: str | None, workspace: Workspace, *, download: bool = True) -> Checkpoint:
    """Return the model folder of a local path or a hub name, hashed once and remembered.

    Raises:
        ModelMissing: neither a folder nor a hub model that can be had.
        CheckpointIncomplete: the folder lacks weights, config or tokenizer.
    """
    folder = expand(Path(name))
    if not folder.is_dir():
        if name.startswith(("/", ".", "$", "~")) or name.count("/") != 1:
            raise ModelMissing(
                f"no model folder {folder}; expected a Hugging Face folder with config.json and *.safetensors"
                + (" (the demo's own model is built by `odr demo`)" if "demo" in name else "")
            )
        folder = _from_hub(name, revision, download)
    return checkpoints.register(folder, hash_cache=workspace.hashes)


def _from_hub(name: str, revision: str | None, download: bool) -> Path:
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError

    try:
        return Path(snapshot_download(name, revision=revision, allow_patterns=PATTERNS, local_files_only=not download))
    except (LocalEntryNotFoundError, HfHubHTTPError, OSError) as error:
        raise ModelMissing(_missing(name, error, download)) from error


def _missing(name: str, error: Exception, download: bool) -> str:
    if not download:
        return f"model {name} is not on this machine; `odr run` downloads it, or set `model` to a local folder"
    return (
        f"model {name} is not on this machine and the hub did not give it ({type(error).__name__}); "
        "check the name and the connection, or set `model` to a local folder"
    )
