"""`anim presets`: what there is, and what each sets."""

from dataclasses import dataclass
from typing import Annotated

import typer

from animcli.cli.init import toml_value
from animcli.cli.options import complete_preset
from animcli.cli.plan import Act, Answer, Desk, Planned, Request, Thread
from animcli.errors import PresetError
from animcli.presets import Preset, advice, find_presets, load_preset
from animcli.settings import keys_of, line_of, read_toml

app = typer.Typer(help="What a render preset sets, and why.", rich_markup_mode=None)


@app.command("list")
def list_presets() -> Request:
    """Every preset, and when to use it."""
    return Act(all_presets)


@app.command()
def show(
    name: Annotated[str, typer.Argument(metavar="NAME", autocompletion=complete_preset)],
    origin: Annotated[
        bool, typer.Option("--origin", help="Say where each value comes from.")
    ] = False,
) -> Request:
    """The values that a render with this preset would use here."""
    return ShowPreset(name, origin)


def all_presets(desk: Desk) -> Answer:
    """A line for each preset."""
    lines: list[str] = []
    data: list[dict[str, object]] = []
    presets = find_presets(desk.project.root)
    widest = max(map(len, presets))
    for name, path in sorted(presets.items()):
        preset = load_preset(name, desk.project.root)
        lines.append(f"{name:<{widest}}  {preset.about}. {advice(path)}")
        about = {"about": preset.about, "advice": advice(path), "renderer": preset.renderer}
        data.append({"name": name, **about, "file": str(path)})
    return Answer(tuple(lines), tuple(data))


@dataclass(frozen=True)
class ShowPreset:
    """`anim presets show`."""

    name: str
    origin: bool

    def plan(self, desk: Desk, thread: Thread) -> Planned:
        """Answers in its turn."""
        return Planned((Act(self.show),), thread)

    def show(self, desk: Desk) -> Answer:
        """The keys that the preset's renderer listens to."""
        settings = desk.layers.settle({"preset": self.name}, self.name)
        file = find_presets(desk.project.root)[self.name]
        _, text = read_toml(file, PresetError)
        lines: list[str] = []
        data: list[dict[str, object]] = []
        for key in keys_of(Preset):
            if not settings.preset.listens_to(key):
                continue
            in_preset = f"preset {self.name}" if line_of(text, key) else "default"
            origin = settings.origins.get(key, in_preset)
            value = getattr(settings.preset, key)
            spelled = f"{key} = {toml_value(value)}".rstrip()
            lines.append(f"{spelled:<28} # {origin}" if self.origin else spelled)
            data.append({"key": key, "value": value, "origin": origin})
        return Answer(tuple(lines), tuple(data))
