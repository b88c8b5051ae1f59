"""`anim train`: a diffusion system on one's own footage."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal, cast

from animcli.cli.plan import Action, Context, PipelineState, Plan, Report
from animcli.errors import InputError, UsageError
from animcli.pipeline.output import Step
from animcli.stages.extract import ExtractStage

if TYPE_CHECKING:  # torch
    from animcli.training.samples import TrainingSource

VIDEO_SUFFIXES: Final = frozenset({".mp4", ".mov", ".mkv", ".webm", ".avi", ".m4v", ".gif"})
PICTURE_SUFFIXES: Final = frozenset({".png", ".jpg", ".jpeg", ".webp"})
DENSEPOSE_SUFFIX: Final = "-densepose"
"""End of the name of DensePose footage that lies beside what it was found in."""

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

    def plan(self, context: Context, state: PipelineState) -> Plan:
        """Find the poses of all videos, then train; settings are read now."""
        from animcli.training.settings import DEFAULTS, read_settings

        settings = (
            DEFAULTS["tiny"] if self.settings is None else read_settings(self.settings)
        )
        name = settings.model.name
        if self.data is None and name != "tiny":
            raise UsageError(f"{name} learns from footage", "say where: --data FOLDER")
        updates = settings.updates()
        if self.stage is not None and self.stage not in updates:
            raise UsageError(
                f"{name} has no stage {self.stage}", f"--stage {' or '.join(updates)}"
            )
        videos = [] if self.data is None else find_footage(self.data, VIDEO_SUFFIXES)
        poses = self._poses(videos, context) if name in ("tiny", "animate-anyone") else []
        pictures: list[Path] = []
        if self.data is not None and name == "magic-animate":
            pictures = find_footage(self.data, PICTURE_SUFFIXES, needed=False)
        known = [training_source(name, each) for each in videos]
        single = [training_source(name, each) for each in pictures]
        if not context.options.dry_run:
            from animcli.training.run import SYSTEMS

            for entry in SYSTEMS[name].entries(settings.model.start):
                context.weights.path(entry)  # or the error that says how to get it

        def train(context: Context) -> Report:
            from dataclasses import replace

            from animcli.training.processes import open_processes
            from animcli.training.report import write_report
            from animcli.training.run import SYSTEMS, TrainingRun

            sources = known
            if poses:
                found = zip(known, extract_poses(poses, context), strict=True)
                sources = [replace(source, pose=pose) for source, pose in found]
            run = TrainingRun(
                self.folder,
                settings,
                SYSTEMS[name],
                tuple(sources),
                tuple(single),
                context.weights.path,
                progress=context.progress,
                show=write_report,
                processes=open_processes(os.environ, settings.model.device),
            )
            for stage in updates:
                wanted = self.stage in (None, stage)
                if wanted and not run.stage(cast("StageName", stage)):
                    break  # the next one builds on it
            return self._answer()

        action = Action(self._dry_run(updates) if context.options.dry_run else train)
        return Plan((*map(Step, poses), action), state)

    def _dry_run(self, updates: Mapping[str, int]) -> Callable[[Context], Report]:
        """Report of a dry run: the stages that would be trained."""
        data = tuple(
            {"stage": f"train {name}", "updates": count, "path": str(self.folder / name)}
            for name, count in updates.items()
            if self.stage in (None, name)
        )
        lines = tuple(
            f"{each['stage']} would run, {each['updates']} updates in all -> {each['path']}"
            for each in data
        )
        return lambda context: Report(lines, data)

    def _poses(self, videos: Sequence[Path], context: Context) -> list[ExtractStage]:
        options = context.config.options({})
        return [ExtractStage(video, options.detector) for video in videos]

    def _answer(self) -> Report:
        return Report((str(self.folder),), ({"path": str(self.folder)},))


def find_footage(
    folder: Path, suffixes: frozenset[str], *, needed: bool = True
) -> list[Path]:
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
        and not path.stem.endswith(DENSEPOSE_SUFFIX)
    )
    if needed and not found:
        raise UsageError(f"{folder} holds no video", "give a folder of videos")
    return found


def training_source(name: str, path: Path) -> TrainingSource:
    """Footage, with what a system wants to know and lies beside it.

    Raises UsageError where it doesn't.
    """
    from animcli.training.samples import TrainingSource

    if name == "magic-animate":
        beside = [
            each
            for each in path.parent.iterdir()
            if each.stem == path.stem + DENSEPOSE_SUFFIX
            and each.suffix.lower() in VIDEO_SUFFIXES | PICTURE_SUFFIXES
        ]
        if not beside:
            raise UsageError(
                f"{path} has no DensePose beside it, {path.stem}{DENSEPOSE_SUFFIX}.*",
                f"anim extract-pose {path} --kind densepose",
            )
        return TrainingSource(path, densepose=beside[0])
    if name == "cinemo":
        words = path.with_suffix(".txt")
        if not words.is_file():
            raise UsageError(
                f"{path} has no words beside it, {words.name}",
                "write there what is to be seen",
            )
        return TrainingSource(path, text=words.read_text(encoding="utf-8").strip())
    return TrainingSource(path)


def extract_poses(poses: Sequence[ExtractStage], context: Context) -> list[Path]:
    """The files of poses, made now if they aren't there."""
    from animcli.pipeline.executor import Executor

    executor = Executor(context.project, context.weights, context.progress)
    return [executor.make(pose).path for pose in poses]
