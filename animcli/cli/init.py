"""`anim init`: a project with its settings spelled out."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from animcli.cli.config import HOMES
from animcli.cli.options import metavar
from animcli.cli.plan import Action, Command, Context, PipelineState, Plan, Report
from animcli.errors import OutputError
from animcli.presets import Preset, load_preset, shipped_presets
from animcli.settings import constraint_of, settings_in, type_of


def init(
    folder: Annotated[
        Path, typer.Argument(metavar="FOLDER", help="Made if it isn't there.")
    ] = Path(),
) -> Command:
    """Make a project: an anim.toml that names every setting.

    The nearest folder upwards with an anim.toml is the project; its cache is .anim in it.
    Without one, the working folder is.
    """
    return Init(folder)


FILE_HEAD = """\
# Settings of this project. A flag or an ANIM_* variable goes before what stands here, and
# what stands here before the preset. Take the `#` away to set a key.
"""


@dataclass(frozen=True)
class Init:
    """`anim init`."""

    folder: Path

    def plan(self, context: Context, state: PipelineState) -> Plan:
        """Writes the file in its turn."""
        return Plan((Action(self.write),), state)

    def write(self, context: Context) -> Report:
        """Write `anim.toml`, unless there is one."""
        from animcli.files import make_folder, write_file
        from animcli.pipeline.project import SETTINGS

        path = self.folder / SETTINGS
        if path.exists() and not context.options.force:
            raise OutputError(f"{path} exists already", "--force replaces it")
        if not context.options.dry_run:
            make_folder(self.folder)
            write_file(path, settings_text().encode())
        return Report((str(path),), ({"path": str(path)},))


def settings_text() -> str:
    """An `anim.toml` that sets nothing and names every key with its default."""
    shipped = (path.stem for path in sorted(shipped_presets().glob("*.toml")))
    presets = [load_preset(name) for name in shipped]
    blocks = [FILE_HEAD]
    for name, home in HOMES.items():
        each = settings_in(home)[name]
        comment = f"# {constraint_of(each).help}"
        kind = type_of(home, name)
        if kind is not bool:
            comment += f" ({metavar(name, kind)})"
        value = toml_value(each.default)
        said = [getattr(preset, name) for preset in presets] if home is Preset else []
        if any(other != each.default for other in said):
            comment += " Presets differ."
        blocks.append(f"{comment}\n# {name} = {value}".rstrip() + "\n")
    return "\n".join(blocks)


def toml_value(value: object) -> str:
    """A value as TOML spells it; nothing for none."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return str(value).lower()
    return str(value) if isinstance(value, int | float) else f'"{value}"'
