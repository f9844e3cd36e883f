"""From a model's name in a config to a folder with a digest."""

from pathlib import Path
from typing import Any

from artifacts import Checkpoint, CheckpointIncomplete, checkpoints
from artifacts.plain_json import parse
from tasks.workspace import Workspace, expand

PATTERNS = ["*.json", "*.safetensors", "*.txt", "*.model", "*.jinja"]
"""What is fetched from the hub: no pickled weights, no code."""


class ModelMissing(ValueError):
    """The model cannot be found; the message says where it was looked for."""


class ModelNeedsCode(ValueError):
    """The model is no architecture of transformers: it would bring code of its own, which is never run."""


def resolve(name: str, revision: str | None, workspace: Workspace, *, download: bool = True) -> Checkpoint:
    """Return the model folder of a local path or a hub name, hashed once and remembered.

    Raises:
        ModelMissing: neither a folder nor a hub model that can be had.
        ModelNeedsCode: its architecture or tokenizer is code in its folder or on the hub.
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
    _refuse_code(folder)
    return checkpoints.register(folder, hash_cache=workspace.hashes)


def _refuse_code(folder: Path) -> None:
    """Many folders name code although transformers knows their kind by now: those are loaded without it."""
    config, tokenizer = (_fields(folder / name) for name in ("config.json", "tokenizer_config.json"))
    if config.get("auto_map") and not _is_known(config.get("model_type")):
        what = f"model_type {config.get('model_type')!r}"
    elif "AutoTokenizer" in (tokenizer.get("auto_map") or ()) and not (folder / "tokenizer.json").is_file():
        what = "its tokenizer"
    else:
        return
    raise ModelNeedsCode(
        f"{folder}: {what} is code of its own (auto_map), which is never run; expected an architecture of the "
        f"installed transformers. Take a model of a built-in architecture, or a copy converted to one"
    )


def _fields(file: Path) -> dict[str, Any]:
    try:
        found = parse(file.read_bytes())
    except FileNotFoundError:
        return {}
    except ValueError as error:
        raise CheckpointIncomplete(f"{file} is not readable ({error}). Download or save the model again.") from error
    return found if isinstance(found, dict) else {}


def _is_known(model_type: Any) -> bool:
    from transformers import CONFIG_MAPPING

    return model_type in CONFIG_MAPPING


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
