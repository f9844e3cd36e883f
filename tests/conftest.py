"""What every test may use: a quiet environment, an empty data root, a tiny random model and its tokenizer."""

import os
import tempfile
from pathlib import Path

_PREFECT_HOME = tempfile.TemporaryDirectory(prefix="odr-prefect-", ignore_cleanup_errors=True)

# Read when the libraries are imported, so they must be set before any test module is. A user's setting wins.
_ENVIRONMENT = {
    "PREFECT_HOME": _PREFECT_HOME.name,
    "PREFECT_LOGGING_TO_API_WHEN_MISSING_FLOW": "ignore",
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    "PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS": "120",
    "PREFECT_CLI_PROMPT": "false",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_ENABLE_SYSTEM_METRICS_LOGGING": "false",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0",
    "HF_HUB_OFFLINE": "1",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "DO_NOT_TRACK": "1",
    "TOKENIZERS_PARALLELISM": "false",
    "TRL_EXPERIMENTAL_SILENCE": "1",
    "OMP_NUM_THREADS": "1",
}
for _name, _value in _ENVIRONMENT.items():
    os.environ.setdefault(_name, _value)

import pytest  # noqa: E402
from hypothesis import settings  # noqa: E402

settings.register_profile("odr", deadline=None, derandomize="CI" in os.environ)  # shared cores make deadlines lie
settings.load_profile("odr")

# Everything else is imported where it is needed: torch and Prefect cost seconds that most tests need not pay.


ALONE = ("resume", "stress", "training", "trl_parity", "up")
"""End-to-end tests that do not use the small campaign's data root."""
COPIES = (("kill", "lost_servers"), ("grading_alongside", "objectives", "secrets"), ("nightly", "stop", "tutorial"))
"""Those that use a copy of it, perhaps in another process than the rest; the groups take about equally long."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Copies come last of the end-to-end tests: until then the first process has made what there is to copy."""

    def place(item: pytest.Item) -> int:
        if item.path.parent.name != "e2e":
            return 2
        return 1 if _copy(item.path.stem.removeprefix("test_")) else 0

    items.sort(key=place)


def pytest_xdist_make_scheduler(config: pytest.Config, log: object) -> object:
    """For `pytest -n 3`: one process for each group of the tests on a small campaign, and for each other module."""
    from xdist.scheduler import LoadScopeScheduling

    class ByModule(LoadScopeScheduling):
        def _split_scope(self, nodeid: str) -> str:
            path = nodeid.partition("::")[0]
            name = Path(path).stem.removeprefix("test_")
            if not path.startswith("tests/e2e/") or name in ALONE:
                return path
            return f"the small campaign {_copy(name)}"

    return ByModule(config, log)


def _copy(name: str) -> int:
    """Which copy of the small campaign's data root a module uses; 0 for the first, which is no copy."""
    return next((number for number, names in enumerate(COPIES, 1) if name in names), 0)


@pytest.fixture
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """An empty data root, also found through $ODR_HOME."""
    from tasks.workspace import Workspace

    root = tmp_path / "odr"
    monkeypatch.setenv("ODR_HOME", str(root))
    return Workspace(root)


@pytest.fixture
def run(workspace, tmp_path: Path):
    """Where a stage's `.fn` runs when no server is wanted; grading stays in this process."""
    from tasks.caching import Run
    from tasks.machine import Machine

    workdir = tmp_path / "workdir"
    workdir.mkdir()
    return Run(workspace, Machine(grade_workers=0), "test", label="iteration 1", workdir=workdir)


@pytest.fixture(scope="session")
def tokenizer():
    """The demo's tokenizer: ChatML, digits are single tokens."""
    from flows.demo.tokenizer import build_tokenizer

    return build_tokenizer()


@pytest.fixture(scope="session")
def model(tokenizer):
    """A random Qwen2 of 30 thousand parameters in float32 whose next-token distributions are far from flat."""
    import torch
    from transformers import GenerationConfig, Qwen2Config, Qwen2ForCausalLM

    ids = {"pad_token_id": tokenizer.pad_token_id, "eos_token_id": tokenizer.eos_token_id, "bos_token_id": None}
    config = Qwen2Config(
        vocab_size=len(tokenizer),
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        intermediate_size=64,
        max_position_embeddings=128,
        tie_word_embeddings=True,
        initializer_range=0.3,
        dtype=torch.float32,
        **ids,
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = Qwen2ForCausalLM(config)
    model.generation_config = GenerationConfig(do_sample=True, temperature=1.0, **ids)
    return model.eval()


@pytest.fixture(scope="session")
def model_folder(tmp_path_factory: pytest.TempPathFactory, model, tokenizer) -> Path:
    """The tiny model and its tokenizer as a Hugging Face folder."""
    folder = tmp_path_factory.mktemp("model")
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def base(model_folder: Path):
    """The tiny model, registered."""
    from artifacts import checkpoints

    return checkpoints.register(model_folder)


@pytest.fixture(scope="session")
def prefect_server():
    """One temporary Prefect server for all tests that need the real engine; flows send no heartbeats."""
    from prefect.settings import PREFECT_FLOWS_HEARTBEAT_FREQUENCY, temporary_settings
    from prefect.testing.utilities import prefect_test_harness

    with (
        prefect_test_harness(server_startup_timeout=120),
        temporary_settings({PREFECT_FLOWS_HEARTBEAT_FREQUENCY: None}),
    ):
        yield
