"""`anim presets`: what there is, and what each sets."""

from dataclasses import dataclass
from typing import Annotated

import typer

from animcli.cli.init import toml_value
from animcli.cli.options import complete_preset
from animcli.cli.plan import Action, Command, Context, PipelineState, Plan, Report
from animcli.errors import PresetError
from animcli.presets import Preset, advice, based_on, find_presets, load_preset
from animcli.settings import read_toml, settings_in

app = typer.Typer(
    help="Render presets: their settings, and when to use them.", rich_markup_mode=None
)


@app.command("list")
def list_presets() -> Command:
    """Every preset, and when to use it."""
    return Action(all_presets)


@app.command()
def show(
    name: Annotated[str, typer.Argument(metavar="NAME", autocompletion=complete_preset)],
    origin: Annotated[
        bool, typer.Option("--origin", help="Say where each value comes from.")
    ] = False,
) -> Command:
    """The values that a render with this preset would use here."""
    return ShowPreset(name, origin)


def all_presets(context: Context) -> Report:
    """A line for each preset."""
    lines: list[str] = []
    data: list[dict[str, object]] = []
    presets = find_presets(context.project.root)
    widest = max(map(len, presets))
    for name, path in sorted(presets.items()):
        try:
            preset, first = load_preset(name, context.project.root), advice(path)
        except (PresetError, UnicodeDecodeError) as error:  # one of them harms no other
            lines.append(f"{name:<{widest}}  can't be read: {error}")
            data.append({"name": name, "file": str(path), "error": str(error)})
            continue
        lines.append(f"{name:<{widest}}  {preset.about}. {first}")
        about = {"about": preset.about, "advice": first, "renderer": preset.renderer}
        data.append({"name": name, **about, "file": str(path)})
    return Report(tuple(lines), tuple(data))


@dataclass(frozen=True)
class ShowPreset:
    """`anim presets show`."""

    name: str
    origin: bool

    def plan(self, context: Context, state: PipelineState) -> Plan:
        """Answers in its turn."""
        return Plan((Action(self.show),), state)

    def show(self, context: Context) -> Report:
        """The keys that the preset's renderer listens to."""
        settings = context.config.resolve({"preset": self.name}, self.name)
        found = find_presets(context.project.root)
        files = based_on(found[self.name], found)
        lines: list[str] = []
        data: list[dict[str, object]] = []
        for key in settings_in(Preset):
            if not settings.preset.supports(key):
                continue
            setting = (file for file in files if key in read_toml(file, PresetError)[0])
            file = next(setting, None)
            in_preset = f"preset {file.stem}" if file else "default"
            origin = settings.origins.get(key, in_preset)
            value = getattr(settings.preset, key)
            spelled = f"{key} = {toml_value(value)}".rstrip()
            lines.append(f"{spelled:<28} # {origin}" if self.origin else spelled)
            data.append({"key": key, "value": value, "origin": origin})
        return Report(tuple(lines), tuple(data))
