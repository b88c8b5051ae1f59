"""The code is written in the field's words, and each of its words means one thing."""

import ast
import re
from collections import defaultdict
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

import animcli

PACKAGE = Path(animcli.__file__).parent
MODULES = sorted(PACKAGE.rglob("*.py"))
QUESTIONS = ("how", "what", "when", "where", "whether", "which", "who", "why")

FIELD = (
    "keypoints",
    "bbox",
    "ControlNet",
    "ReferenceNet",
    "PoseGuider",
    "scheduler",
    "alphas_cumprod",
    "kv_cache",
    "cfg_batch",
    "classifier-free guidance",
    "context window",
    "out_channels",
    "zero_conv",
    "GEGLU",
    "rng",
    "Trainer",
    "EMA",
    "dataset",
    "DensePose",
    "motion bucket",
    "ssim",
    "HDR",
    "letterbox",
    "UNet",
    "VAE",
    "LoRA",
    "latents",
    "timestep",
    "crop",
    "checkpoint",
    "IP-Adapter",
    "frame rate",
)

SHARED = {
    "app": "Typer apps of the commands",
    "retarget": "the command, and what it does",
    "main": "entry points of programs",
    "extract_pose": "the command, and the function for Python",
    "render": "the command, and the function for Python",
    "verify": "commands of `cache` and `weights`",
    "DRAW_THRESHOLD": "one for each detector, read by name",
    "predictor": "one for each diffusion renderer",
    "Array": "arrays of floats",
    "Mask": "masks (h, w) of booleans",
    "Pixels": "pictures (h, w, 3) uint8",
    "Progress": "the same signature, in rooms that don't see each other",
    "StageName": "the same choice, where torch isn't to be loaded",
}
"""Public names that several modules have, and why that is no second meaning."""


def name_of(module: Path) -> str:
    return module.relative_to(PACKAGE).as_posix()


@cache
def tree_of(module: Path) -> ast.Module:
    return ast.parse(module.read_text(encoding="utf-8"))


def documented(node: ast.AST, above: str = "") -> Iterator[tuple[str, str]]:
    """Qualified name and docstring of a module, its classes, functions and constants."""
    if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
        if text := ast.get_docstring(node):
            yield above, text
        for first, second in zip(node.body, node.body[1:], strict=False):
            if not isinstance(first, ast.Assign | ast.AnnAssign):
                continue
            if isinstance(second, ast.Expr) and isinstance(second.value, ast.Constant):
                yield f"{above}, line {first.lineno}", str(second.value.value)
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            yield from documented(child, f"{above}.{child.name}")


def targets(node: ast.AST) -> Iterator[str]:
    """Names that a statement assigns."""
    if isinstance(node, ast.Assign):
        yield from (each.id for each in node.targets if isinstance(each, ast.Name))
    elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
        yield node.target.id


def defined(module: Path) -> Iterator[str]:
    """Public names at the top of a module."""
    for node in tree_of(module).body:
        if isinstance(node, ast.ClassDef | ast.FunctionDef):
            names = [node.name]
        else:
            names = list(targets(node))
        yield from (name for name in names if not name.startswith("_"))


def words_of(module: Path) -> Iterator[str]:
    """Names of classes, functions, parameters and fields, and the docstrings."""
    for node in ast.walk(tree_of(module)):
        if isinstance(node, ast.ClassDef | ast.FunctionDef):
            yield node.name
        if isinstance(node, ast.arg):
            yield node.arg
        yield from targets(node)
    yield from (text for _, text in documented(tree_of(module)))


@pytest.mark.parametrize("module", MODULES, ids=name_of)
def test_a_docstring_begins_with_a_noun_or_a_verb(module: Path) -> None:
    asking = [
        f"{name}: {text.splitlines()[0]}"
        for name, text in documented(tree_of(module))
        if text.split()[0].rstrip(",:").lower() in QUESTIONS
    ]
    assert asking == []


def test_no_public_name_has_two_meanings() -> None:
    homes: defaultdict[str, list[str]] = defaultdict(list)
    for module in MODULES:
        for name in sorted(set(defined(module))):
            homes[name].append(name_of(module))
    twice = {name: found for name, found in sorted(homes.items()) if len(found) > 1}
    assert {name: found for name, found in twice.items() if name not in SHARED} == {}
    assert [name for name in sorted(SHARED) if name not in twice] == []


@pytest.mark.parametrize("word", FIELD)
def test_a_word_of_the_field_leads_to_its_definition(word: str) -> None:
    lower = re.IGNORECASE if word.islower() else 0
    pattern = re.compile(
        rf"(?<![A-Za-z0-9]){word.replace(' ', '[ _]')}(?![A-Za-z0-9])", lower
    )
    assert any(pattern.search(text) for module in MODULES for text in words_of(module))
