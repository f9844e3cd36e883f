"""A digest of the code that a stage's result depends on.

The modules are found by following first-party imports from the stage's entry points, so none can be forgotten.
What only carries data or reports progress is left out, as are comments, docstrings and formatting: an edit
there does not throw results away.
"""

import ast
import hashlib
import importlib.util
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parent.parent
FOLLOWED = ("tasks.workers", "tasks.pairing", "tasks.objectives", "eval_math", "artifacts.rows")
INFRASTRUCTURE = frozenset(f"tasks.workers.{name}" for name in ("failure", "jobs", "progress", "supervise"))


class Source(NamedTuple):
    """What of a module's text counts; read once per process, as the stages share most of their modules."""

    dump: str
    """Its syntax tree without what only documents."""
    imports: tuple[str, ...]
    """Modules and names, absolute."""


@cache
def code_digest(*entry_points: str) -> str:
    """16 hex digits over the syntax trees of the entry points and what they import."""
    digest = hashlib.sha256()
    for module in sorted(modules_behind(*entry_points)):
        digest.update(f"{module}\n{_read(module).dump}\n".encode())
    return digest.hexdigest()[:16]


def modules_behind(*entry_points: str) -> set[str]:
    """The entry points and all first-party modules below them that shape a result."""
    found: set[str] = set()
    queue = list(entry_points)
    while queue:
        module = queue.pop()
        if module in found or _path(module) is None:
            continue
        found.add(module)
        queue += [name for name in _read(module).imports if name.startswith(FOLLOWED) and name not in INFRASTRUCTURE]
    return found


def _path(module: str) -> Path | None:
    base = ROOT / module.replace(".", "/")
    for candidate in (base.with_suffix(".py"), base / "__init__.py"):
        if candidate.exists():
            return candidate
    if module.startswith(FOLLOWED):
        return None  # a name imported from a module, not a module
    spec = importlib.util.find_spec(module)  # a user's own module, such as a reward
    return Path(spec.origin) if spec and spec.origin and spec.origin.endswith(".py") else None


@cache
def _read(module: str) -> Source:
    path = _path(module)
    assert path is not None
    tree = ast.parse(path.read_text(encoding="utf-8"))
    imports: list[str] = []
    for node in ast.walk(tree):
        body = getattr(node, "body", None)
        if isinstance(body, list):
            # A string that is a statement of its own documents; it computes nothing.
            node.body = [  # type: ignore[attr-defined]
                item for item in body if not (isinstance(item, ast.Expr) and isinstance(item.value, ast.Constant))
            ]
        imports += _imports(node)
    return Source(ast.dump(tree), tuple(dict.fromkeys(imports)))


def _imports(node: ast.AST) -> Iterator[str]:
    if isinstance(node, ast.Import):
        yield from (alias.name for alias in node.names)
    elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
        yield node.module
        yield from (f"{node.module}.{alias.name}" for alias in node.names)
        if node.module == "artifacts":  # its front door; of what lies behind it only the rows shape a result
            yield "artifacts.rows"
