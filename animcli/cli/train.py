"""`anim train`: a diffusion system on one's own footage."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal

from animcli.cli.plan import Act, Answer, Desk, Planned, Thread
from animcli.errors import InputError, UsageError
from animcli.pipeline.output import Step
from animcli.stages.extract import ExtractStage

if TYPE_CHECKING:  # torch
    from animcli.training.takes import Reel

VIDEOS: Final = frozenset({".mp4", ".mov", ".mkv", ".webm", ".avi", ".m4v", ".gif"})
PICTURES: Final = frozenset({".png", ".jpg", ".jpeg", ".webp"})
DENSEPOSE: Final = "-densepose"
"""How the name of DensePose footage ends that lies beside what it was found in."""

StageName = Literal["1", "2"]


@dataclass(frozen=True)
class Train:
    """`anim train`.

    stage: one of them alone, or None for all, one after the other.
    data: a folder of footage.
    """

    folder: Path
    stage: StageName | None
    settings: Path | None
    data: Path | None

    def plan(self, desk: Desk, thread: Thread) -> Planned:
        """Find the poses of all videos, then train; settings are read now."""
        from animcli.training.settings import DEFAULTS, read_settings

        chosen = (
            DEFAULTS["animate-anyone"]
            if self.settings is None
            else read_settings(self.settings)
        )
        name = chosen.model.name
        if self.data is None:
            raise UsageError(f"{name} learns from footage", "say where: --data FOLDER")
        if self.stage == "2" and chosen.second is None:
            raise UsageError(f"{name} has one stage", "--stage 1")
        videos = footage(self.data, VIDEOS)
        poses = self._poses(videos, desk) if name == "animate-anyone" else []
        joint = name == "magic-animate"
        pictures = footage(self.data, PICTURES, needed=False) if joint else []
        known = [described(name, each) for each in videos]
        single = [described(name, each) for each in pictures]
        if not desk.line.dry_run:
            from animcli.stages.train_systems import SYSTEMS

            for entry in SYSTEMS[name].wants(chosen.model.start):
                desk.weights.path(entry)  # or the error that says how to get it

        def train(desk: Desk) -> Answer:
            from dataclasses import replace

            from animcli.stages.train_large import LargeRun
            from animcli.stages.train_systems import SYSTEMS
            from animcli.stages.training import open_school
            from animcli.training.processes import open_processes

            reels = known
            if poses:
                found = zip(known, made(poses, desk), strict=True)
                reels = [replace(reel, pose=pose) for reel, pose in found]
            processes = open_processes(os.environ, chosen.model.device)
            run = LargeRun(
                self.folder,
                chosen,
                SYSTEMS[name],
                tuple(reels),
                tuple(single),
                desk.weights.path,
                open_school(desk.report, processes),
            )
            if self.stage in (None, "1"):
                run.stage("1")
            if self.stage in (None, "2") and chosen.second is not None:
                run.stage("2")
            return self._answer()

        updates = {"1": chosen.first.schedule.updates}
        if chosen.second is not None:
            updates["2"] = chosen.second.schedule.updates
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


def described(name: str, path: Path) -> Reel:
    """Footage, with what a system wants to know and lies beside it.

    Raises UsageError where it doesn't.
    """
    from animcli.training.takes import Reel

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
        return Reel(path, drawn=beside[0])
    if name == "cinemo":
        words = path.with_suffix(".txt")
        if not words.is_file():
            raise UsageError(
                f"{path} has no words beside it, {words.name}",
                "write there what is to be seen",
            )
        return Reel(path, text=words.read_text(encoding="utf-8").strip())
    return Reel(path)


def made(poses: Sequence[ExtractStage], desk: Desk) -> list[Path]:
    """The files of poses, made now if they aren't there."""
    from animcli.pipeline.executor import Workshop

    workshop = Workshop(desk.project, desk.weights, desk.report)
    return [workshop.make(pose).path for pose in poses]
