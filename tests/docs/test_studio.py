"""What the page promises has tests of the names that stand beside it."""

import ast
import re
from pathlib import Path

TESTS = Path(__file__).resolve().parents[1] / "web"
PAGE = TESTS.parents[1] / "docs" / "reference" / "studio.md"
ROW = re.compile(r"^\| (?!-|what people do|threat)(.+) \|$", re.MULTILINE)


def rows(section: str) -> list[list[str]]:
    """Cells of the table below a heading, without its head."""
    _, _, rest = PAGE.read_text().partition(f"## {section}\n")
    table, _, _ = rest.partition("\n## ")
    found = (match[1].split(" | ") for match in ROW.finditer(table))
    return [cells for cells in found if not cells[0].startswith("--")]


def names_in(path: Path) -> set[str]:
    """Names of the tests of a file."""
    body = ast.parse(path.read_text()).body
    names = {each.name for each in body if isinstance(each, ast.FunctionDef)}
    return {name for name in names if name.startswith("test_")}


def test_every_promise_has_a_test_that_is_there() -> None:
    there = {path.name for path in TESTS.glob("test_*.py")}
    there = there.union(*(names_in(TESTS / name) for name in there))
    for section, least in (("In the browser", 18), ("Who is kept out", 10)):
        found = rows(section)
        assert len(found) >= least
        for cells in found:
            named = re.findall(r"`(test_\w+(?:\.py)?)`", cells[-1])
            assert named, cells[0]
            assert set(named) <= there, cells[0]


def test_every_test_of_what_is_kept_out_stands_beside_a_threat() -> None:
    named = set(
        re.findall(r"`(test_\w+)`", " ".join(row[-1] for row in rows("Who is kept out")))
    )
    for name in ("test_security.py", "test_late_requests.py"):
        assert names_in(TESTS / name) <= named
