"""Which files of a folder are the model, and whether they are all there.

Only safetensors weights are read: a pickled `.bin` file runs whatever code it holds when it is opened.
"""

from pathlib import Path

from artifacts.errors import CheckpointIncomplete, CheckpointMissing
from artifacts.plain_json import parse

_NAMED = (
    "config.json",
    "generation_config.json",
    "chat_template.jinja",
    "tokenizer.json",
    "tokenizer.model",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "vocab.json",
    "merges.txt",
)
_INDEX = "*.safetensors.index.json"
_WEIGHTS = "*.safetensors"
_TOKENIZERS = (("tokenizer.json",), ("tokenizer.model",), ("vocab.json", "merges.txt"))


def model_files(folder: Path) -> list[Path]:
    """Return the files that decide what the model computes.

    Raises:
        CheckpointMissing: there is no such folder.
        CheckpointIncomplete: no config.json, no safetensors, a shard that the index names is missing, or no
        tokenizer.
    """
    if not folder.is_dir():
        raise CheckpointMissing(
            f"There is no folder {folder}, expected a model in Hugging Face format. "
            f"Download it first (hf download NAME --local-dir {folder}) or correct the path."
        )
    files = [folder / name for name in _NAMED if (folder / name).is_file()]
    names = {file.name for file in files}
    if "config.json" not in names:
        raise CheckpointIncomplete(
            f"{folder} has no config.json, expected a model in Hugging Face format. Copy it there."
        )
    weights, indices = list(folder.glob(_WEIGHTS)), list(folder.glob(_INDEX))
    for index in indices:
        _check_shards(index, {file.name for file in weights})
    if not weights:
        raise CheckpointIncomplete(_no_weights(folder))
    if not any(names.issuperset(needed) for needed in _TOKENIZERS):
        raise CheckpointIncomplete(
            f"{folder} has no tokenizer: no tokenizer.json, tokenizer.model, or vocab.json and merges.txt. "
            f"Save it: AutoTokenizer.from_pretrained(BASE_MODEL).save_pretrained({str(folder)!r})."
        )
    return [*files, *weights, *indices]


def _check_shards(index: Path, present: set[str]) -> None:
    try:
        shards = {str(name) for name in parse(index.read_bytes())["weight_map"].values()}
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise CheckpointIncomplete(f"{index} is not readable ({error!r}). Download or save the model again.") from error
    if missing := sorted(shards - present):
        raise CheckpointIncomplete(
            f"{index.parent} lacks {missing[0]}, expected all {len(shards)} shards of {index.name} "
            f"({len(missing)} missing). Download or save the model again."
        )


def _no_weights(folder: Path) -> str:
    pickled = sorted(file.name for file in folder.glob("*.bin"))
    found = f"{pickled[0]}, pickled weights, which are not read" if pickled else "no weights"
    return (
        f"{folder} has {found}; expected *.safetensors. Convert once where you trust the file: "
        f'python -c "from transformers import AutoModelForCausalLM as M; '
        f'M.from_pretrained({str(folder)!r}).save_pretrained({str(folder)!r})"'
    )
