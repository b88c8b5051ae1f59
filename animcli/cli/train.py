"""`anim train`: a diffusion system on one's own footage."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal, cast

from animcli.cli.plan import Act, Answer, Desk, Planned, Thread
from animcli.errors import InputError, UsageError
from animcli.pipeline.output import Step
from animcli.stages.extract import ExtractStage

if TYPE_CHECKING:  # torch
    from animcli.training.samples import Source

VIDEOS: Final = frozenset({".mp4", ".mov", ".mkv", ".webm", ".avi", ".m4v", ".gif"})
PICTURES: Final = frozenset({".png", ".jpg", ".jpeg", ".webp"})
DENSEPOSE: Final = "-densepose"
"""How the name of DensePose footage ends that lies beside what it was found in."""

StageName = Literal["autoencoder", "1", "2"]


@dataclass(frozen=True)
class Train:
    """`anim train`.

    stage: one of them alone, or None for all, one after the other.
    data: a folder of footage; None is for people that the package draws.
    """

    folder: Path
    stage: StageName | None
    settings: Path | None
    data: Path | None

    def plan(self, desk: Desk, thread: Thread) -> Planned:
        """Find the poses of all videos, then train; settings are read now."""
        from animcli.training.settings import DEFAULTS, read_settings

        chosen = DEFAULTS["tiny"] if self.settings is None else read_settings(self.settings)
        name = chosen.model.name
        if self.data is None and name != "tiny":
            raise UsageError(f"{name} learns from footage", "say where: --data FOLDER")
        updates = chosen.updates()
        if self.stage is not None and self.stage not in updates:
            raise UsageError(
                f"{name} has no stage {self.stage}", f"--stage {' or '.join(updates)}"
            )
        videos = [] if self.data is None else footage(self.data, VIDEOS)
        poses = self._poses(videos, desk) if name in ("tiny", "animate-anyone") else []
        pictures: list[Path] = []
        if self.data is not None and name == "magic-animate":
            pictures = footage(self.data, PICTURES, needed=False)
        known = [described(name, each) for each in videos]
        single = [described(name, each) for each in pictures]
        if not desk.line.dry_run:
            from animcli.training.run import SYSTEMS

            for entry in SYSTEMS[name].entries(chosen.model.start):
                desk.weights.path(entry)  # or the error that says how to get it

        def train(desk: Desk) -> Answer:
            from dataclasses import replace

            from animcli.training.processes import open_processes
            from animcli.training.report import show
            from animcli.training.run import SYSTEMS, TrainingRun

            sources = known
            if poses:
                found = zip(known, made(poses, desk), strict=True)
                sources = [replace(source, pose=pose) for source, pose in found]
            run = TrainingRun(
                self.folder,
                chosen,
                SYSTEMS[name],
                tuple(sources),
                tuple(single),
                desk.weights.path,
                desk.report,
                show,
                open_processes(os.environ, chosen.model.device),
            )
            for stage in updates:
                wanted = self.stage in (None, stage)
                if wanted and not run.stage(cast("StageName", stage)):
                    break  # the next one builds on it
            return self._answer()

        act = Act(self._foreseen(updates) if desk.line.dry_run else train)
        return Planned((*map(Step, poses), act), thread)

    def _foreseen(self, updates: Mapping[str, int]) -> Callable[[Desk], Answer]:
        """What a dry run says of the stages that would be trained."""
        data = tuple(
            {"stage": f"train {name}", "updates": count, "path": str(self.folder / name)}
            for name, count in updates.items()
            if self.stage in (None, name)
        )
        lines = tuple(
            f"{each['stage']} would run, {each['updates']} updates in all -> {each['path']}"
            for each in data
        )
        return lambda desk: Answer(lines, data)

    def _poses(self, videos: Sequence[Path], desk: Desk) -> list[ExtractStage]:
        options = desk.layers.options({})
        return [ExtractStage(video, options.detector) for video in videos]

    def _answer(self) -> Answer:
        return Answer((str(self.folder),), ({"path": str(self.folder)},))


def footage(folder: Path, suffixes: frozenset[str], *, needed: bool = True) -> list[Path]:
    """The videos or pictures in a folder, without those that are drawn.

    Raises InputError where there is no such folder, UsageError for a folder without any,
    where some are `needed`.
    """
    if not folder.is_dir():
        raise InputError(f"{folder}: no such folder", "give a folder of videos")
    found = sorted(
        path.absolute()
        for path in folder.glob("*")
        if path.suffix.lower() in suffixes
        and path.is_file()
        and not path.stem.endswith(DENSEPOSE)
    )
    if needed and not found:
        raise UsageError(f"{folder} holds no video", "give a folder of videos")
    return found


def described(name: str, path: Path) -> Source:
    """Footage, with what a system wants to know and lies beside it.

    Raises UsageError where it doesn't.
    """
    from animcli.training.samples import Source

    if name == "magic-animate":
        beside = [
            each
            for each in path.parent.iterdir()
            if each.stem == path.stem + DENSEPOSE
            and each.suffix.lower() in VIDEOS | PICTURES
        ]
        if not beside:
            raise UsageError(
                f"{path} has no DensePose beside it, {path.stem}{DENSEPOSE}.*",
                f"anim extract-pose {path} --kind densepose",
            )
        return Source(path, drawn=beside[0])
    if name == "cinemo":
        words = path.with_suffix(".txt")
        if not words.is_file():
            raise UsageError(
                f"{path} has no words beside it, {words.name}",
                "write there what is to be seen",
            )
        return Source(path, text=words.read_text(encoding="utf-8").strip())
    return Source(path)


def made(poses: Sequence[ExtractStage], desk: Desk) -> list[Path]:
    """The files of poses, made now if they aren't there."""
    from animcli.pipeline.executor import Workshop

    workshop = Workshop(desk.project, desk.weights, desk.report)
    return [workshop.make(pose).path for pose in poses]
