"""Lines of the six files that a newcomer reads first.

python -m tests.bench.lines
"""

from pathlib import Path

ROOT = Path(__file__).parents[2]
FIRST = (
    "README.md",
    "flows/iteration.py",
    "artifacts/rows.py",
    "tasks/objectives/dpo.py",
    "tests/unit/tasks/test_objectives.py",
    "configs/demo.yaml",
)


def readme_tree() -> int:
    """Lines of the commented tree in the README."""
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    return len(text.split("<!-- tree -->")[1].strip().splitlines())


def main() -> None:
    """Print one line per file and the sum."""
    counts = {name: len((ROOT / name).read_text(encoding="utf-8").splitlines()) for name in FIRST}
    counts["README.md"] = readme_tree()
    for name, count in counts.items():
        print(f"{count:5} {name}{' (its tree)' if name == 'README.md' else ''}")
    print(f"{sum(counts.values()):5} in all")


if __name__ == "__main__":
    main()
