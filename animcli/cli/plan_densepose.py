"""`anim extract-pose --kind densepose`: body parts instead of joints."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from animcli.cli.plan import Desk, Film, Motion, Planned, Thread, name_of
from animcli.cli.plan_motion import POSE
from animcli.cli.plan_video import encoding, named
from animcli.cli.settings import flag
from animcli.errors import DeviceError, UsageError
from animcli.stages.deliver import Step
from animcli.stages.densepose import DensePoseStage


@dataclass(frozen=True)
class ExtractDensePose:
    """`anim extract-pose --kind densepose`."""

    videos: tuple[Path, ...]
    out: Path | None
    keep_going: bool
    chosen: Mapping[str, object]

    def plan(self, desk: Desk, thread: Thread) -> Planned:
        """A DensePose video for each video; the frames of one alone are handed on."""
        for name in self.chosen.keys() - {"device"}:
            raise UsageError(f"{flag(name)} is about joints, and --kind densepose has none")
        options = desk.layers.options(self.chosen)
        device = "cpu" if options.device == "auto" else options.device
        if device == "mps":
            raise DeviceError("DensePose networks don't run on mps", "--device cpu")
        if self.keep_going:
            raise UsageError(
                "--keep-going leaves frames out, and a DensePose video lacks none"
            )
        for video in self.videos:
            if video.suffix.lower() == POSE:
                raise UsageError(
                    f"{video} has joints; --kind densepose looks for parts in footage",
                    "a preset that follows DensePose draws the parts over joints by itself",
                )
        if len(self.videos) > 1 and self.out is not None and not self.out.is_dir():
            raise UsageError(
                f"{self.out} can't hold the parts of {len(self.videos)} videos",
                "give a folder that exists",
            )
        films = [
            Film(DensePoseStage(video, device), f"{name_of(video)}-densepose")
            for video in self.videos
        ]
        outs = [named(film, self.out, options, desk.project) for film in films]
        steps = tuple(
            Step(encoding(film, out, options), out)
            for film, out in zip(films, outs, strict=True)
        )
        handed_on = None
        if len(films) == 1:
            video = self.videos[0]
            handed_on = Motion(films[0].frames, name_of(video), video, drawn="densepose")
        return Planned(steps, replace(thread, motion=handed_on), independent=len(steps) > 1)
