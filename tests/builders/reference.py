"""Writes what can be written by itself of the documents.

    python tests/builders/reference.py

In docs/reference, commands.md is the help of every command and training.md every setting of
training; presets.md and environment.md end in tables, and what stands above them is written
by hand.
"""

import io
import os
from collections.abc import Iterator
from contextlib import redirect_stdout
from pathlib import Path

from typer.core import TyperGroup

from animcli.cli.config import PREFIX, Options
from animcli.cli.init import toml_value
from animcli.cli.main import COMMANDS, main
from animcli.presets import Preset, advice, load_preset, shipped_presets
from animcli.registry import Trait, renderers_with
from animcli.settings import constraint_of, settings_in
from animcli.training.settings import DEFAULTS, settings_parts

DOCS = Path(__file__).resolve().parents[2] / "docs"
REFERENCE = DOCS / "reference"

HEAD = """\
# Commands

Made from the help of each command by `python tests/builders/reference.py`; a test compares.
"""


def commands(group: TyperGroup = COMMANDS, above: tuple[str, ...] = ()) -> Iterator[str]:
    """Every command, `weights pull` among them, in the order of the help."""
    for name, command in group.commands.items():
        yield " ".join([*above, name])
        if isinstance(command, TyperGroup):
            yield from commands(command, (*above, name))


def help_of(command: str) -> str:
    """What `anim COMMAND --help` prints, 80 columns wide."""
    os.environ["COLUMNS"] = "80"
    with redirect_stdout(io.StringIO()) as printed:
        assert main([*command.split(), "--help"]) == 0
    return printed.getvalue().rstrip()


def reference() -> str:
    """The page."""
    blocks = [HEAD, f"```text\n{help_of('')}\n```\n"]
    for command in commands():
        blocks.append(f"## anim {command}\n\n```text\n{help_of(command)}\n```\n")
    return "\n".join(blocks)


TABLES = """\
## Presets that come with animcli

| preset | renders with | is | use it |
|---|---|---|---|
"""

KEYS = """
## Keys

Those marked ° are for renderers that denoise. The other marks: ¹ Cinemo; ² what follows a
skeleton or DensePose in windows; ³ what denoises in windows; ⁴ animcli's own networks; ⁵
what hears a prompt; ⁶ IP-Adapter's; ⁷ ControlNet's; ⁸ Wan's; ⁹ wan-animate-replace; ᶜ
cutout; ᴾ Animate Anyone, MagicAnimate and Cinemo. Other renderers ignore them in variables
and in `anim.toml`, and refuse them as flags and in a preset.

| key | default | is |
|---|---|---|
"""
MARKS = {
    ("cinemo",): "¹",
    renderers_with(Trait.KEYFRAMES): "²",
    renderers_with(Trait.WINDOWED): "³",
    renderers_with(Trait.OWN_NETWORKS): "⁴",
    renderers_with(Trait.PROMPT): "⁵",
    renderers_with(Trait.IP_ADAPTER): "⁶",
    renderers_with(Trait.CONTROLNET): "⁷",
    renderers_with(Trait.WAN): "⁸",
    renderers_with(Trait.REPLACES): "⁹",
    ("cutout",): "ᶜ",
    renderers_with(Trait.PUBLISHED): "ᴾ",
}


def tables() -> str:
    """The end of the page of presets."""
    page = TABLES
    for path in sorted(shipped_presets().rglob("*.toml")):
        preset = load_preset(path.stem)
        page += f"| `{path.stem}` | {preset.renderer} | {preset.about} | {advice(path)} |\n"
    page += KEYS
    for name, each in settings_in(Preset).items():
        constraint = constraint_of(each)
        mark = MARKS.get(constraint.only, "°" if constraint.diffusion else "")
        default = toml_value(each.default) or "none"
        page += f"| `{name}`{mark} | `{default}` | {constraint.help} |\n"
    return page


VARIABLES = """\
## Keys

Of every render; those of a preset, such as `ANIM_STEPS`, are its [keys](presets.md#keys).

| variable | default | is |
|---|---|---|
"""


def variables() -> str:
    """The end of the page of environment variables."""
    rows = [
        f"| `{PREFIX}{name.upper()}` | `{toml_value(each.default) or 'none'}` | "
        f"{constraint_of(each).help} |\n"
        for name, each in settings_in(Options).items()
    ]
    return VARIABLES + "".join(rows)


TRAINING = """\
# Training settings

Made by `python tests/builders/reference.py`; a test compares. `train.toml` has a table for
the model, one for the data and one for each stage. What it doesn't say is as below.
[Training](../guide/training.md) says what to do with it.
"""


def training_tables() -> str:
    """The page of training settings."""
    page = TRAINING
    for name, settings in DEFAULTS.items():
        page += f"\n## {name}\n\n"
        page += "| table | key | default | is |\n|---|---|---|---|\n"
        for table, field in settings.tables().items():
            for part in settings_parts(getattr(settings, field)).values():
                for key, each in settings_in(type(part)).items():
                    value = toml_value(getattr(part, key))
                    help = constraint_of(each).help
                    page += f"| `[{table}]` | `{key}` | `{value}` | {help} |\n"
    return page


if __name__ == "__main__":
    (REFERENCE / "commands.md").write_text(reference())
    for page, end in (("presets.md", tables()), ("environment.md", variables())):
        by_hand, _, _ = (REFERENCE / page).read_text().partition(end.splitlines()[0])
        (REFERENCE / page).write_text(by_hand + end)
    (REFERENCE / "training.md").write_text(training_tables())
