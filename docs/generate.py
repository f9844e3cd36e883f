"""Write docs/reference/*.md from the code: every command, setting, objective and column.

python docs/generate.py            # `make docs`; a test fails while what is written is not what the code says
"""

import ast
import dataclasses
import inspect
import sys
import types
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import typer
import typer.core
from pydantic import BaseModel
from pydantic_core import PydanticUndefined

from artifacts import rows, scores
from artifacts.schema import arrow_schema
from tasks import objectives

REFERENCE = Path(__file__).parent / "reference"
NOTE = "<!-- Written by docs/generate.py: change the code, then run `make docs`. -->"


def pages() -> dict[str, str]:
    """Text of every generated page by its file name."""
    return {
        "commands.md": commands(), "settings.md": settings(), "objectives.md": algorithms(), "tables.md": tables(),
    }  # fmt: skip


def commands() -> str:
    """One section per command, from what `--help` says."""
    from flows import cli

    group = typer.main.get_command(cli.app)
    assert isinstance(group, typer.core.TyperGroup)
    lines = [NOTE, "", "# Commands", "", inspect.cleandoc(cli.__doc__ or ""), ""]
    for name, command in sorted(group.commands.items()):
        lines += [
            f"## odr {name}",
            "",
            *_paragraphs(command.help or ""),
            "",
            "| argument | default | |",
            "|---|---|---|",
        ]
        for parameter in command.params:
            if parameter.name != "help":
                lines.append(_row(_spelled(parameter), _shown(parameter.default), getattr(parameter, "help", "") or ""))
        lines.append("")
    return "\n".join(lines)


def _paragraphs(text: str) -> list[str]:
    """Help as Markdown: an example in a block of its own."""
    found: list[str] = []
    for line in inspect.cleandoc(text).splitlines():
        head, marker, example = line.partition("Example: ")
        if marker:
            line = f"{head.strip()}\n\n```sh\n{example}\n```".lstrip("\n")
        found += [line]
    return "\n".join(found).replace("\n\n\n", "\n\n").splitlines()


def _spelled(parameter: Any) -> str:
    if parameter.param_type_name == "argument":
        return f"`{(parameter.metavar or parameter.name).upper()}`"
    return " ".join(f"`{name}`" for name in (*parameter.opts, *parameter.secondary_opts))


def settings() -> str:
    """One section per class of settings, the run's own first."""
    from flows.config import RunConfig

    lines = [
        NOTE, "", "# Settings", "",
        "What a config may say; `odr run CONFIG train.learning_rate=1e-5` sets one by its dotted name. A field of a",
        "stage is part of that stage's cache key; a field of `machine` is part of none.", "",
    ]  # fmt: skip
    for place, kind in _classes("", RunConfig):
        title = f"`{place}`" if place else "The run"
        lines += [
            f"## {title}",
            "",
            inspect.cleandoc(kind.__doc__ or ""),
            "",
            "| field | type | default | |",
            "|---|---|---|---|",
        ]
        for name, field in kind.model_fields.items():
            default = field.get_default(call_default_factory=True) if not field.is_required() else PydanticUndefined
            shown = "required" if default is PydanticUndefined else _shown(default)
            said = field.description or ""
            limits = ", ".join(_limit(each) for each in field.metadata if _limit(each))
            lines.append(_row(f"`{name}`", _type(field.annotation) + (f", {limits}" if limits else ""), shown, said))
        lines.append("")
    return "\n".join(lines)


def _classes(place: str, kind: type[BaseModel]) -> Iterator[tuple[str, type[BaseModel]]]:
    yield place, kind
    for name, field in kind.model_fields.items():
        for inner in _models(field.annotation):
            yield from _classes(f"{place}.{name}" if place else name, inner)


def _models(annotation: Any) -> list[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [model for inner in get_args(annotation) for model in _models(inner)]


def _limit(constraint: Any) -> str:
    signs = {"ge": "at least", "gt": "above", "le": "at most", "lt": "below", "pattern": "matching"}
    for name, words in signs.items():
        if getattr(constraint, name, None) is not None:
            return f"{words} {getattr(constraint, name)}"
    return ""


def _type(annotation: Any) -> str:
    origin, arguments = get_origin(annotation), get_args(annotation)
    if annotation is type(None):
        return "null"
    if origin is Annotated:
        return _type(arguments[0])
    if origin in (Union, types.UnionType):
        return " or ".join(_type(each) for each in arguments)
    if origin is Literal:
        return " or ".join(f"`{each}`" for each in arguments)
    if origin in (list, tuple):
        return f"list of {_type(arguments[0])}"
    if origin is dict:
        return "mapping"
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return "section"
    return {"str": "text", "bool": "true or false", "int": "integer", "float": "number", "Path": "path"}.get(
        getattr(annotation, "__name__", str(annotation)), getattr(annotation, "__name__", str(annotation))
    )


def tables() -> str:
    """One section per table, its columns with the comments of their fields."""
    lines = [NOTE, "", "# Tables", "", "Every artifact that is a table: Parquet files with these columns.", ""]
    for module in (rows, scores):
        for name, kind in inspect.getmembers(module, inspect.isclass):
            if kind.__module__ != module.__name__:
                continue
            comments = dict(_comments(kind))
            lines += [
                f"## {name}", "", inspect.cleandoc(kind.__doc__ or ""), "",
                f"Folder `store/{kind.KIND}`, version {kind.VERSION}, key "
                + ", ".join(f"`{column}`" for column in kind.KEY) + ".", "",
                "| column | type | |", "|---|---|---|",
            ]  # fmt: skip
            for field in arrow_schema(kind):
                kinds = str(field.type).replace("dictionary<values=string, indices=int32, ordered=0>", "string")
                nullable = " or null" if field.nullable else ""
                lines.append(_row(f"`{field.name}`", kinds + nullable, comments.get(field.name, "")))
            lines.append("")
    return "\n".join(lines)


def algorithms() -> str:
    """One section per objective: its file's docstring and its hyperparameters."""
    lines = [
        NOTE, "", "# Objectives", "",
        "`objective=grpo` runs one, `objective={name: dpo, beta: 0.2}` with another hyperparameter; `odr objectives`",
        "has them in one table, `configs/objectives/` as files to lay over a config.", "",
    ]  # fmt: skip
    for name in objectives.available():
        kind = objectives.find(name)
        title, _, said = inspect.cleandoc(sys.modules[kind.__module__].__doc__ or "").partition("\n")
        needs = ", ".join(f"`{column}`" for column in kind.needs) or "none"
        lines += [
            f"## {name}", "", title, "", f"Rows: `{kind.rows}`. Reference: `{kind.reference}`. Columns: {needs}.", "",
            "```text", said.strip(), "```", "",
        ]  # fmt: skip
        comments = {name: text for base in reversed(kind.__mro__[:-1]) for name, text in _comments(base)}
        known = [field for field in dataclasses.fields(kind) if field.name in comments]
        if known:
            lines += ["| hyperparameter | default | |", "|---|---|---|"]
        for field in known:
            default = "required" if field.default is dataclasses.MISSING else _shown(field.default)
            lines.append(_row(f"`{field.name}`", default, comments[field.name]))
        lines += [""] if known else []
    return "\n".join(lines)


def _comments(kind: type) -> Iterator[tuple[str, str]]:
    """(field, the string below it) of a class, from its source."""
    (tree,) = ast.parse(inspect.cleandoc(inspect.getsource(kind))).body
    assert isinstance(tree, ast.ClassDef)
    for field, below in zip(tree.body, tree.body[1:], strict=False):
        if isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name) and isinstance(below, ast.Expr):
            yield field.target.id, str(ast.literal_eval(below.value))


def _shown(default: Any) -> str:
    if isinstance(default, BaseModel):
        return "as below"
    if default is None or callable(default):
        return ""
    return f"`{list(default) if isinstance(default, tuple) else default}`" if default != "" else '`""`'


def _row(*cells: str) -> str:
    return "| " + " | ".join(" ".join(cell.split()).replace("|", "\\|").replace("<", "&lt;") for cell in cells) + " |"


if __name__ == "__main__":
    REFERENCE.mkdir(exist_ok=True)
    for name, text in pages().items():
        (REFERENCE / name).write_text(text.rstrip() + "\n", encoding="utf-8")
        print(REFERENCE / name)  # noqa: T201
