"""Rules that hold for the package as a whole."""

import ast
import pickle
import sys
from pathlib import Path

import pytest

import artifacts
from artifacts import errors

SOURCES = sorted(Path(artifacts.__file__).parent.glob("*.py"))
TREE = [value for value in vars(errors).values() if isinstance(value, type)]


def imported(source):
    for node in ast.walk(ast.parse(source.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name.split(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield (node.module or "").split(".")[0]


@pytest.mark.parametrize("source", SOURCES, ids=lambda source: source.name)
def test_modules_need_only_the_standard_library_and_pyarrow_and_never_pickle(source):
    names = set(imported(source))

    assert names <= {*sys.stdlib_module_names, "pyarrow", "artifacts"}
    assert not names & {"pickle", "marshal", "shelve"}


@pytest.mark.parametrize("source", SOURCES, ids=lambda source: source.name)
def test_modules_stay_short(source):
    assert len(source.read_text().splitlines()) <= 200


@pytest.mark.parametrize("error", TREE, ids=lambda error: error.__name__)
def test_errors_cross_process_boundaries_and_are_drawn_in_the_tree(error):
    again = pickle.loads(pickle.dumps(error("what, expected, cure")))

    assert type(again) is error
    assert str(again) == "what, expected, cure"
    assert isinstance(again, errors.ArtifactError)
    assert error.__name__ in (errors.__doc__ or "")


def test_every_public_name_exists():
    assert all(hasattr(artifacts, name) for name in artifacts.__all__)
    assert {error.__name__ for error in TREE} <= set(artifacts.__all__)
