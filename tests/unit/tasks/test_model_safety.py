"""Models that hold code or pickles: refused with what to do, and what they hold never runs."""

import json
import pickle
import shutil
from pathlib import Path

import pytest
import torch

from artifacts import CheckpointIncomplete
from tasks.models import ModelNeedsCode, resolve
from tasks.workers import policy
from tasks.workers.template import load_tokenizer

CODE = "from pathlib import Path\nPath(__file__).with_name('sprung').touch()\n"


@pytest.fixture
def folder(tmp_path, model_folder):
    return Path(shutil.copytree(model_folder, tmp_path / "model"))


def edit(file, **fields):
    found = json.loads(file.read_text()) if file.exists() else {}
    file.write_text(json.dumps(found | fields))


class _Trap:
    """Touches a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self):
        return Path.touch, (self.path,)


def test_a_model_of_its_own_code_is_refused_before_anything_starts(folder, workspace):
    (folder / "modeling_odd.py").write_text(CODE)
    edit(folder / "config.json", model_type="odd", auto_map={"AutoConfig": "modeling_odd.OddConfig"})

    with pytest.raises(ModelNeedsCode, match=r"model_type 'odd' is code of its own \(auto_map\), which is never run"):
        resolve(str(folder), None, workspace)

    assert not list(folder.rglob("sprung"))


def test_a_tokenizer_of_its_own_code_is_refused_before_anything_starts(folder, workspace):
    (folder / "tokenizer.json").rename(folder / "tokenizer.model")
    edit(folder / "tokenizer_config.json", auto_map={"AutoTokenizer": ["tokenization_odd.OddTokenizer", None]})

    with pytest.raises(ModelNeedsCode, match="its tokenizer is code of its own"):
        resolve(str(folder), None, workspace)


def test_code_beside_a_known_architecture_is_not_run(folder, workspace):
    (folder / "odd.py").write_text(CODE)
    edit(folder / "config.json", auto_map={"AutoConfig": "odd.Config", "AutoModelForCausalLM": "odd.Model"})
    edit(folder / "tokenizer_config.json", auto_map={"AutoTokenizer": ["odd.Tokenizer", None]})

    assert resolve(str(folder), None, workspace).bytes > 0
    assert policy.load(str(folder), "policy", torch.float32) is not None
    assert load_tokenizer(str(folder)).chat_template

    assert not list(folder.rglob("sprung"))


def test_pickled_weights_are_not_opened_even_beside_other_safetensors(folder, workspace, tmp_path):
    """`model.safetensors` is gone, but some file of that ending is there: a loader that falls back takes the pickle."""
    (folder / "model.safetensors").rename(folder / "adapter.safetensors")
    (folder / "pytorch_model.bin").write_bytes(pickle.dumps(_Trap(tmp_path / "sprung")))

    with pytest.raises(OSError, match=r"no file named model\.safetensors"):
        policy.load(str(folder), "policy", torch.float32)
    (folder / "adapter.safetensors").unlink()
    with pytest.raises(CheckpointIncomplete, match=r"pytorch_model\.bin, pickled weights, which are not read.*Convert"):
        resolve(str(folder), None, workspace)

    assert not (tmp_path / "sprung").exists()


@pytest.mark.parametrize("content", ["{", "[" * 100_000])
def test_a_config_that_is_no_json_is_refused(folder, workspace, content):
    (folder / "config.json").write_text(content)

    with pytest.raises(CheckpointIncomplete, match=r"config\.json is not readable .*Download or save the model again"):
        resolve(str(folder), None, workspace)
