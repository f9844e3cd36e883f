"""What the package as a whole promises: it executes no text, stands alone, and imports fast."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import eval_math

SOURCES = sorted(Path(eval_math.__file__).parent.rglob("*.py"))
ALGEBRA = Path(eval_math.__file__).parent / "algebra"
FORBIDDEN_CALLS = {"eval", "exec", "compile", "__import__", "sympify", "parse_expr", "parse_latex", "system", "popen"}
FORBIDDEN_MODULES = {"pickle", "marshal", "shelve", "signal", "multiprocessing", "sympy", "prefect", "mlflow", "torch",
                     "vllm", "artifacts", "tasks", "flows"}  # fmt: skip


def _violations(source: str) -> list[str]:
    found: list[str] = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Call):
            name = getattr(node.func, "id", None)
            owner = getattr(getattr(node.func, "value", None), "id", None)
            attribute = getattr(node.func, "attr", None)
            if name in FORBIDDEN_CALLS or (attribute in FORBIDDEN_CALLS and owner != "re"):
                found.append(f"line {node.lineno}: calls {name or attribute}")
        elif isinstance(node, ast.Import):
            found += [f"imports {alias.name}" for alias in node.names if alias.name.split(".")[0] in FORBIDDEN_MODULES]
        elif isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] in FORBIDDEN_MODULES:
            found.append(f"imports {node.module}")
    return found


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: f"{path.parent.name}/{path.name}")
def test_no_module_can_execute_text_or_unpickle(path: Path) -> None:
    found = _violations(path.read_text(encoding="utf-8"))

    # Computer algebra has a process of its own; `import eval_math` never reaches it (see below).
    assert [each for each in found if not (path.parent == ALGEBRA and each == "imports sympy")] == []


@pytest.mark.parametrize("line", ["eval('1')", "os.system('x')", "import pickle", "from sympy import sympify"])
def test_the_scan_sees_a_violation(line: str) -> None:
    assert _violations(line)


def test_a_hostile_answer_leaves_no_trace(tmp_path: Path) -> None:
    target = tmp_path / "executed"
    payloads = [
        f"__import__('os').system('touch {target}')",
        f"open('{target}','w')",
        rf"\pi*open('{target}','w').close()",
        f"({{}}).__class__, open('{target}','w')",
        f"exec(\"open('{target}','w')\")",
        f'f\'{{open("{target}","w")}}\'',
    ]
    golds = ["5", r"\pi", r"\begin{pmatrix}1\\2\end{pmatrix}", "1,2", "x+1"]

    for payload in payloads:
        for gold in golds:
            assert eval_math.grade(rf"\boxed{{{payload}}}", gold, eval_math.Policy.reward()).correct is False

    assert not target.exists()


def test_the_package_imports_fast_and_loads_nothing_heavy() -> None:
    code = (
        "import sys, time; start = time.process_time(); import eval_math; spent = time.process_time() - start;"
        "print(spent, *[name for name in ('mpmath', 'sympy', 'datasets', 'torch', 'prefect') if name in sys.modules])"
    )

    runs = [subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True) for _ in range(3)]

    words = [run.stdout.split() for run in runs]
    assert all(len(each) == 1 for each in words), words


def test_the_readme_example_holds() -> None:
    import doctest

    assert doctest.testmod(eval_math).failed == 0
    assert doctest.testmod(eval_math).attempted > 0


def test_modules_are_short() -> None:
    long = {path.name: count for path in SOURCES if (count := len(path.read_text().splitlines())) > 215}

    assert long == {}
