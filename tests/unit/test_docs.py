"""The documents say what the code does: links lead somewhere, commands parse, the reference is current."""

import re
import runpy
from pathlib import Path

import click
import pytest
import typer

from tests.documents import PAGES, ROOT, commands, words

OURS = [(page, line) for page in PAGES for line in commands(page) if words(line)[:1] == ["odr"]]


def test_the_reference_is_what_the_code_says() -> None:
    pages = runpy.run_path(str(ROOT / "docs" / "generate.py"))["pages"]()

    written = {name: (ROOT / "docs" / "reference" / name).read_text(encoding="utf-8") for name in pages}

    assert written == {name: text.rstrip() + "\n" for name, text in pages.items()}, "run `make docs`"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_to_files_and_headings(page: Path) -> None:
    text = re.sub(r"^```.*?^```", "", page.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)

    for target in re.findall(r"\]\(([^)\s]+)\)", re.sub(r"`[^`\n]*`", "", text)):
        if target.startswith(("http://", "https://")):
            continue
        path, _, anchor = target.partition("#")
        linked = (page.parent / path).resolve() if path else page
        assert linked.exists(), f"{page.name} links to {target}"
        if anchor:
            assert anchor in headings(linked), f"{page.name} links to {target}"


def headings(page: Path) -> set[str]:
    """Anchors as code hosts make them of headings."""
    found = re.findall(r"^#+ (.*)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in found}


@pytest.mark.parametrize(("page", "line"), OURS, ids=lambda value: value if isinstance(value, str) else value.name)
def test_a_command_in_the_documents_parses_and_its_config_loads(page: Path, line: str, monkeypatch, tmp_path) -> None:
    from flows.cli import app
    from flows.config import load

    monkeypatch.chdir(ROOT)
    monkeypatch.setenv("ODR_HOME", str(tmp_path))
    name, *arguments = words(line)[1:]
    command = typer.main.get_command(app).commands[name]  # type: ignore[attr-defined]

    parsed = parse(command, name, arguments)

    if name in ("run", "plan"):
        load(Path(parsed["config"]), list(parsed["overrides"] or []))


def parse(command: click.Command, name: str, arguments: list[str]) -> dict[str, object]:
    """Parameters of a command line, without running it.

    Raises:
        click.UsageError: it is no such command line.
    """
    return command.make_context(name, arguments).params


def test_every_command_is_documented() -> None:
    from flows.cli import app

    known = set(typer.main.get_command(app).commands)  # type: ignore[attr-defined]

    assert known == {words(line)[1] for _, line in OURS}
