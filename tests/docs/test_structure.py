"""The house: one file a thing, none too long or too short, and no long constructors."""

import ast
from pathlib import Path

import pytest

import animcli

PACKAGE = Path(animcli.__file__).parent
FILES = sorted(PACKAGE.rglob("*.py"))
SHORT = ("__init__.py", "__main__.py")
MOST_LINES, FEWEST_LINES, MOST_POSITIONAL = 500, 40, 6


def name_of(path: Path) -> str:
    return path.relative_to(PACKAGE).as_posix()


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_a_file_is_one_thing_of_a_readable_length(path: Path) -> None:
    lines = len(path.read_text(encoding="utf-8").splitlines())
    assert lines <= MOST_LINES
    assert lines >= FEWEST_LINES or path.name in SHORT


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_a_constructor_takes_few_arguments_by_position(path: Path) -> None:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    classes = [each for each in ast.walk(tree) if isinstance(each, ast.ClassDef)]
    long = {each.name: positional(each) for each in classes}
    assert {name: count for name, count in long.items() if count > MOST_POSITIONAL} == {}


def positional(kind: ast.ClassDef) -> int:
    """Arguments that a class takes by position: of its `__init__`, or a dataclass's."""
    for each in kind.body:
        if isinstance(each, ast.FunctionDef) and each.name == "__init__":
            return len(each.args.args) - 1
    marks = " ".join(ast.unparse(each) for each in kind.decorator_list)
    if "dataclass" not in marks or "kw_only" in marks:
        return 0
    count = 0
    for each in kind.body:
        if not isinstance(each, ast.AnnAssign):
            continue
        told = ast.unparse(each)
        if "KW_ONLY" in told:
            break
        count += "ClassVar" not in told and "init=False" not in told
    return count
