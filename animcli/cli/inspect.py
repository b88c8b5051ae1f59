"""`anim inspect`: facts, and pictures to judge by."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

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
    from animcli.pipeline.stage import Source
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
        from animcli.pipeline.output import Step
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
            entries.append(Step(SheetStage(self.thing), place / f"{name}-sheet.png"))
        if self.pose:
            options = context.config.options(self.overrides)
            motion = read_motion(self.thing, options)
            check_keypoints(motion)
            found_there = motion.source
            entries += pose_steps(found_there, self.thing, name, place)
            people = PeopleStage(found_there, self.thing)
            entries.append(Step(people, place / f"{name}-people.png"))
        return Plan(tuple(entries), state, folder=self.folder)


def pose_steps(
    motion: Source, video: Path | None, name: str, place: Path
) -> tuple[Step, ...]:
    """The motion drawn on its video or on black, a sheet of that, and its curves."""
    from animcli.pipeline.output import Step
    from animcli.stages.encode import EncodeStage
    from animcli.stages.inspect import CurvesStage, OverlayStage, SheetStage

    overlay = OverlayStage(motion, video)
    return (
        Step(EncodeStage(overlay), place / f"{name}-overlay.mp4"),
        Step(SheetStage(overlay), place / f"{name}-overlay.png"),
        Step(CurvesStage(motion, name), place / f"{name}-curves.png"),
    )


def origin_steps(
    pose: Path, video: Path | None, name: str, place: Path
) -> tuple[Step, ...]:
    """Pictures of what a pose file knows of its making: other people, a retargeting."""
    from animcli.pipeline.output import Step
    from animcli.pose.io_pose import read_pose
    from animcli.stages.inspect import PeopleStage, ProportionsStage, tracks_in

    if not pose.is_file():  # told by the facts
        return ()
    origin = read_pose(pose).origin
    steps = []
    video = video or video_of(pose)[0]
    if video is not None and len(tracks_in(origin)) > 1:
        steps.append(Step(PeopleStage(pose, video), place / f"{name}-people.png"))
    if "reference" in origin.retarget:
        steps.append(Step(ProportionsStage(pose), place / f"{name}-retarget.png"))
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
        from animcli.stages.detection import shown_spans

        pose = read_pose(self.path)
        visible = pose.visible
        nobody = np.logical_not(visible[:, BODY].any(axis=1))
        frames = len(pose)
        steps = pose.ticks[-1] - pose.ticks[0] if frames > 1 else 0
        seconds = steps * pose.time_base * frames / max(frames - 1, 1)
        facts: dict[str, object] = {
            "file": str(self.path),
            "frames": frames,
            "seconds": round(float(seconds), 3),
            "rate": "uneven" if pose.rate is None else str(pose.rate),
            "size": f"{pose.size[0]}x{pose.size[1]}",
            "detector": pose.origin.detector.get("backend", "unknown"),
            "confidence": round(float(pose.scores[:, BODY].mean()), 3) if frames else 0.0,
            "body seen": _share(visible[:, BODY]),
            "face seen": _share(visible[:, FACE]),
            "hands seen": _share(visible[:, FACE.stop :]),
            "frames without anybody": shown_spans(nobody.tolist()) or "none",
            **person_facts(pose.origin),
            "cleaning": pose.origin.smoothing or "none",
            **retarget_facts(pose.origin),
        }
        return as_report(facts, {**as_data(facts), **people_data(pose.origin)})


def person_facts(origin: Origin) -> dict[str, object]:
    """Person that was taken, and who else there was."""
    from animcli.stages.inspect import tracks_in

    if not origin.person:
        return {}
    facts: dict[str, object] = {
        "person": f"{origin.person.get('track')} of {origin.person.get('of')}"
        f" ({origin.person.get('policy')})"
    }
    tracks = tracks_in(origin)
    if len(tracks) > 1:
        facts["people"] = [
            f"{each['number']}: in {each['frames']} of the frames "
            f"{each['first']}-{each['last']}"
            for each in tracks
        ]
    return facts


def people_data(origin: Origin) -> dict[str, object]:
    """The same for programs: the track that was taken, and every one to choose from."""
    from animcli.stages.inspect import tracks_in

    if not origin.person:
        return {}
    tracks = [
        {key: each.get(key) for key in ("number", "frames", "first", "last", "box")}
        for each in tracks_in(origin)
    ]
    taken = {"track": origin.person.get("track"), "policy": origin.person.get("policy")}
    return {"person": taken, "people": tracks}


def retarget_facts(origin: Origin) -> dict[str, object]:
    """Changes and guesses of retargeting; its pictures aside."""
    told = {
        name: value
        for name, value in origin.retarget.items()
        if name not in ("notes", "ratios", "reference", "source")
    }
    if not origin.retarget:
        return {"retargeted": "no"}
    return {
        "retargeted": told,
        "ratios": origin.retarget.get("ratios", {}),
        "warnings": origin.retarget.get("notes") or "none",
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
        facts: dict[str, object] = {
            "file": str(self.path),
            "size": f"{info.width}x{info.height}",
            "frames": "unknown" if info.frames is None else info.frames,
            "rate": str(info.rate) if info.even else f"{info.rate}, uneven",
            "seconds": "unknown"
            if info.duration is None
            else round(float(info.duration), 3),
            "time base": str(info.time_base),
            "codec": info.codec,
            "sound": "yes" if info.has_sound else "no",
            **motion_facts(self.path),
            "notes": list(info.notes),
        }
        return as_report(facts)


def motion_facts(video: Path) -> dict[str, object]:
    """Amount of motion, in the numbers that Cinemo takes."""
    from animcli.stages.likeness import grey_frames
    from animcli.video.ssim import motion_bucket, motion_strength, neighbour_ssim

    ssim = neighbour_ssim(grey_frames(video))
    if ssim is None:  # a still
        return {"neighbour SSIM": "none"}
    return {
        "neighbour SSIM": round(ssim, 4),
        "motion strength": motion_strength(ssim),
        "motion bucket": motion_bucket(ssim),
    }


def project_facts(context: Context) -> Report:
    """Folder and settings of the project, and the contents of its cache."""
    from animcli.pipeline.stage import to_json

    found = list(context.project.store.ls())
    stages: dict[str, list[int]] = {}
    for each in found:
        stages.setdefault(each.stage or each.state, []).append(each.bytes)
    config = context.config
    facts: dict[str, object] = {
        "project": str(context.project.root),
        "settings": str(context.project.settings or "none; `anim init` makes them"),
        **{f"{name} ({config.origins[name]})": v for name, v in config.values.items()},
        "cache": str(context.project.cache),
    }
    for name, sizes in stages.items():
        facts[name] = f"{len(sizes)}, {megabytes(sum(sizes)).strip()}"
    settings = context.project.settings
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
    return as_report(facts, data)


def as_report(facts: dict[str, object], data: dict[str, object] | None = None) -> Report:
    """A line for each fact; data: the same for JSON, where `as_data` isn't it."""
    width = max(len(name) for name in facts) + 2
    lines = []
    for name, value in facts.items():
        rows = value if isinstance(value, list) else [value]
        lines += [f"{name + ':':<{width}}{_spelled(row)}" for row in rows]
    return Report(tuple(lines), (as_data(facts) if data is None else data,))


def as_data(facts: Mapping[str, object]) -> dict[str, object]:
    """Facts for programs: keys in one word, numbers as numbers, shares in 0..1."""
    return {re.sub(r"\W+", "_", key.lower()): _as_value(x) for key, x in facts.items()}


def _as_value(said: object) -> object:
    if isinstance(said, Mapping):
        return as_data({str(key): value for key, value in said.items()})
    if isinstance(said, list | tuple):
        return [_as_value(each) for each in said]
    if not isinstance(said, str):
        return said
    known: dict[str, object] = {"yes": True, "no": False, "none": None, "unknown": None}
    if said in known:
        return known[said]
    if sides := re.fullmatch(r"(\d+)x(\d+)", said):
        return [int(sides[1]), int(sides[2])]
    if share := re.fullmatch(r"(\d+(?:[.]\d+)?) %", said):
        return round(float(share[1]) / 100, 6)
    return said


def _spelled(value: object) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{name} {each}" for name, each in value.items())
    return str(value)


def _share(visible: NDArray[np.bool_]) -> str:
    return f"{100 * float(visible.mean()):.1f} %" if visible.size else "0 %"
