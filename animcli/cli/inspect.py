"""`anim inspect`: facts, and pictures to judge by."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from animcli.cli.cache import megabytes
from animcli.cli.config import flag
from animcli.cli.motion import POSE, check_keypoints, read_motion, video_of
from animcli.cli.options import Overrides, options
from animcli.cli.plan import (
    Action,
    Command,
    Context,
    PipelineState,
    Plan,
    Report,
    Task,
    name_of,
)
from animcli.errors import UsageError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from animcli.pipeline.output import Step
    from animcli.pipeline.stage import Source, Stage
    from animcli.pose.sequence import Origin


@options("detector", "person")
def inspect(
    thing: Annotated[
        Path | None,
        typer.Argument(metavar="FILE", help="A .pose or a video; otherwise the project."),
    ] = None,
    video: Annotated[
        Path | None,
        typer.Option("--on", metavar="VIDEO", help="Draw the pose on this, not on black."),
    ] = None,
    pose: Annotated[
        bool, typer.Option("--pose", help="Find the pose in a video, and show it too.")
    ] = False,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", metavar="FOLDER", help="Folder for the pictures."),
    ] = None,
    *,
    overrides: Overrides,
) -> Command:
    """Look at a pose, a video or the project.

    Of a pose: facts, the pose drawn on video or on black, a contact sheet of that, and
    curves of confidence, gaps and speed; the people to choose from, if there were several;
    reference, source and target skeletons, if it was retargeted. Of a video: facts and a
    contact sheet, with --pose the rest as well. Of the project: what its cache holds.
    """
    return Inspect(thing, video, pose, output, overrides)


@dataclass(frozen=True)
class Inspect:
    """`anim inspect`.

    thing: a `.pose`, footage, or None for the project.
    video: what a pose is drawn on.
    pose: find the pose in footage, and show it too.
    """

    thing: Path | None
    video: Path | None
    pose: bool
    folder: Path | None
    overrides: Mapping[str, object]

    def plan(self, context: Context, state: PipelineState) -> Plan:
        """Facts at once; pictures as any other result."""
        from animcli.stages.inspect import PeopleStage, SheetStage

        if self.thing is None:
            return Plan((Action(project_facts),), state)
        is_pose = self.thing.suffix.lower() == POSE
        if self.video is not None and not is_pose:
            raise UsageError(f"--on is for poses, and {self.thing} is none")
        if self.overrides and not self.pose:
            raise UsageError(f"{flag(next(iter(self.overrides)))} is for --pose")
        if self.pose and is_pose:
            raise UsageError(f"--pose is for footage, and {self.thing} is a pose already")
        place = self.folder or Path()
        name = name_of(self.thing)
        entries: list[Task] = []
        if is_pose:
            entries.append(Action(PoseFacts(self.thing).answer))
            entries += pose_steps(self.thing, self.video, name, place)
            entries += origin_steps(self.thing, self.video, name, place)
        else:
            entries.append(Action(VideoFacts(self.thing).answer))
            entries.append(picture(SheetStage(self.thing), place / f"{name}-sheet.png"))
        if self.pose:
            options = context.config.options(self.overrides)
            motion = read_motion(self.thing, options)
            check_keypoints(motion)
            found_there = motion.source
            entries += pose_steps(found_there, self.thing, name, place)
            people = PeopleStage(found_there, self.thing)
            entries.append(picture(people, place / f"{name}-people.png"))
        return Plan(tuple(entries), state, folder=self.folder)


def picture(stage: Stage, path: Path) -> Step:
    """A picture to look at, which the next look with other options replaces."""
    from animcli.pipeline.output import Step

    return Step(stage, path, replaces=True)


def pose_steps(
    motion: Source, video: Path | None, name: str, place: Path
) -> tuple[Step, ...]:
    """The motion drawn on its video or on black, a sheet of that, and its curves."""
    from animcli.stages.encode import EncodeStage
    from animcli.stages.inspect import CurvesStage, OverlayStage, SheetStage

    overlay = OverlayStage(motion, video)
    return (
        picture(EncodeStage(overlay), place / f"{name}-overlay.mp4"),
        picture(SheetStage(overlay), place / f"{name}-overlay.png"),
        picture(CurvesStage(motion, name), place / f"{name}-curves.png"),
    )


def origin_steps(
    pose: Path, video: Path | None, name: str, place: Path
) -> tuple[Step, ...]:
    """Pictures of what a pose file knows of its making: other people, a retargeting."""
    from animcli.pose.io_pose import read_pose
    from animcli.stages.inspect import PeopleStage, ProportionsStage, tracks_in

    if not pose.is_file():  # told by the facts
        return ()
    origin = read_pose(pose).origin
    steps = []
    video = video or video_of(pose)[0]
    if video is not None and len(tracks_in(origin)) > 1:
        steps.append(picture(PeopleStage(pose, video), place / f"{name}-people.png"))
    if "reference" in origin.retarget:
        steps.append(picture(ProportionsStage(pose), place / f"{name}-retarget.png"))
    return tuple(steps)


@dataclass(frozen=True)
class PoseFacts:
    """Facts of a pose file."""

    path: Path

    def answer(self, context: Context) -> Report:
        """Length, size, and how much of the person was seen."""
        import numpy as np

        from animcli.pose.io_pose import read_pose
        from animcli.pose.keypoints import BODY, FACE
        from animcli.stages.detection import spans_of

        pose = read_pose(self.path)
        visible = pose.visible
        nobody = np.logical_not(visible[:, BODY].any(axis=1))
        frames = len(pose)
        steps = pose.ticks[-1] - pose.ticks[0] if frames > 1 else 0
        seconds = steps * pose.time_base * frames / max(frames - 1, 1)
        data: dict[str, object] = {
            "file": str(self.path),
            "frames": frames,
            "seconds": round(float(seconds), 3),
            "rate": None if pose.rate is None else str(pose.rate),
            "uneven": pose.rate is None,
            "size": list(pose.size),
            "detector": pose.origin.detector.get("backend"),
            "confidence": round(float(pose.scores[:, BODY].mean()), 3) if frames else 0.0,
            "body_seen": _share(visible[:, BODY]),
            "face_seen": _share(visible[:, FACE]),
            "hands_seen": _share(visible[:, FACE.stop :]),
            "frames_without_anybody": [list(span) for span in spans_of(nobody.tolist())],
            **people_data(pose.origin),
            "cleaning": pose.origin.smoothing,
            **retarget_data(pose.origin),
        }
        return Report(fact_lines(data), (data,))


def people_data(origin: Origin) -> dict[str, object]:
    """Person that was taken, and every one to choose from."""
    from animcli.stages.inspect import tracks_in

    if not origin.person:
        return {"person": None, "people": []}
    taken = {key: origin.person.get(key) for key in ("track", "of", "policy")}
    tracks = [
        {key: each.get(key) for key in ("number", "frames", "first", "last", "box")}
        for each in tracks_in(origin)
    ]
    return {"person": taken, "people": tracks}


def retarget_data(origin: Origin) -> dict[str, object]:
    """Changes and guesses of retargeting; its pictures aside."""
    told = {
        name: value
        for name, value in origin.retarget.items()
        if name not in ("notes", "ratios", "reference", "source")
    }
    return {
        "retargeted": told if origin.retarget else False,
        "ratios": origin.retarget.get("ratios", {}),
        "warnings": origin.retarget.get("notes", []),
    }


@dataclass(frozen=True)
class VideoFacts:
    """Facts of a video."""

    path: Path

    def answer(self, context: Context) -> Report:
        """Size, times, sound, and what one should know."""
        from animcli.video.reader import open_footage

        with open_footage(self.path) as reader:
            info = reader.info
        data: dict[str, object] = {
            "file": str(self.path),
            "size": [info.width, info.height],
            "frames": info.frames,
            "rate": str(info.rate),
            "uneven": not info.even,
            "seconds": None if info.duration is None else round(float(info.duration), 3),
            "time_base": str(info.time_base),
            "codec": info.codec,
            "sound": info.has_sound,
            **motion_data(self.path),
            "notes": list(info.notes),
        }
        return Report(fact_lines(data), (data,))


def motion_data(video: Path) -> dict[str, object]:
    """Amount of motion, in the numbers that Cinemo takes; None of a still."""
    from animcli.stages.likeness import grey_frames
    from animcli.video.ssim import motion_bucket, motion_strength, neighbour_ssim

    ssim = neighbour_ssim(grey_frames(video))
    if ssim is None:
        return dict.fromkeys(("neighbour_ssim", "motion_strength", "motion_bucket"))
    return {
        "neighbour_ssim": round(ssim, 4),
        "motion_strength": motion_strength(ssim),
        "motion_bucket": motion_bucket(ssim),
    }


def project_facts(context: Context) -> Report:
    """Folder and settings of the project, and the contents of its cache."""
    from animcli.pipeline.stage import to_json

    found = list(context.project.store.ls())
    stages: dict[str, list[int]] = {}
    for each in found:
        stages.setdefault(each.stage or each.state, []).append(each.bytes)
    config, settings = context.config, context.project.settings
    data: dict[str, object] = {
        "project": str(context.project.root),
        "settings": None if settings is None else str(settings),
        "values": {name: to_json(value) for name, value in config.values.items()},
        "origins": dict(config.origins),
        "cache": str(context.project.cache),
        "stages": {
            name: {"entries": len(sizes), "bytes": sum(sizes)}
            for name, sizes in stages.items()
        },
    }
    rows = [
        ("project", str(context.project.root)),
        ("settings", str(settings or "none; `anim init` makes them")),
        *((f"{key} ({config.origins[key]})", str(x)) for key, x in config.values.items()),
        ("cache", str(context.project.cache)),
        *(
            (name, f"{len(sizes)}, {megabytes(sum(sizes)).strip()}")
            for name, sizes in stages.items()
        ),
    ]
    return Report(_aligned(rows), (data,))


def fact_lines(data: Mapping[str, Any]) -> tuple[str, ...]:
    """A line for each fact, or for each part of a list."""
    rows = [
        (key.replace("_", " ").replace("ssim", "SSIM"), line)
        for key, value in data.items()
        for line in _spelled(key, value, data)
    ]
    return _aligned(rows)


def _aligned(rows: Sequence[tuple[str, str]]) -> tuple[str, ...]:
    width = max(len(name) for name, _ in rows) + 2
    return tuple(f"{name + ':':<{width}}{text}" for name, text in rows)


def _spelled(key: str, value: Any, data: Mapping[str, Any]) -> list[str]:
    """Lines for people of the fact `key`; none where another fact says it."""
    match key:
        case "uneven":
            return []
        case "rate":
            mean = [] if value is None else [str(value)]
            return [", ".join([*mean, *(["uneven"] if data["uneven"] else [])])]
        case "size":
            return [f"{value[0]}x{value[1]}"]
        case "body_seen" | "face_seen" | "hands_seen":
            return [f"{100 * value:.1f} %"]
        case "frames_without_anybody" if value:
            spans = (f"{a}-{b}" if b > a else f"{a}" for a, b in value)
            return [", ".join(spans)]
        case "person":
            return (
                [f"{value['track']} of {value['of']} ({value['policy']})"] if value else []
            )
        case "people":
            line = "{number}: in {frames} of the frames {first}-{last}"
            return [line.format(**each) for each in value] if len(value) > 1 else []
        case "ratios" | "warnings" if not data["retargeted"]:
            return []
    match value:
        case None:
            return ["unknown"]
        case bool():
            return ["yes" if value else "no"]
        case dict() if value:
            return [", ".join(f"{name} {each}" for name, each in value.items())]
        case list() if value:
            return [str(each) for each in value]
        case dict() | list():
            return ["none"]
    return [str(value)]


def _share(visible: NDArray[np.bool_]) -> float:
    return round(float(visible.mean()), 6) if visible.size else 0.0
