"""`anim inspect`: facts, and pictures to judge by."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from animcli.cli.cache import megabytes
from animcli.cli.config import flag
from animcli.cli.extract import POSE, check_joints, found, video_of
from animcli.cli.options import Chosen, takes
from animcli.cli.plan import Act, Answer, Desk, Entry, Planned, Request, Thread, name_of
from animcli.errors import UsageError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from animcli.pipeline.output import Step
    from animcli.pipeline.stage import Source
    from animcli.pose.sequence import Origin


@takes("detector", "person")
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
        typer.Option("--output", "-o", metavar="FOLDER", help="For the pictures."),
    ] = None,
    *,
    chosen: Chosen,
) -> Request:
    """Look at a pose, a video or the project.

    Of a pose: facts, the pose drawn on video or on black, a contact sheet of that, and
    curves of confidence, gaps and speed; the people to choose from, if there were several;
    reference, source and target skeletons, if it was retargeted. Of a video: facts and a
    contact sheet, with --pose the rest as well. Of the project: what its cache holds.
    """
    return Inspect(thing, video, pose, output, chosen)


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
    chosen: Mapping[str, object]

    def plan(self, desk: Desk, thread: Thread) -> Planned:
        """Facts at once; pictures as any other result."""
        from animcli.pipeline.output import Step
        from animcli.stages.inspect import PeopleStage, SheetStage

        if self.thing is None:
            return Planned((Act(project_facts),), thread)
        is_pose = self.thing.suffix.lower() == POSE
        if self.video is not None and not is_pose:
            raise UsageError(f"--on is for poses, and {self.thing} is none")
        if self.chosen and not self.pose:
            raise UsageError(f"{flag(next(iter(self.chosen)))} is for --pose")
        if self.pose and is_pose:
            raise UsageError(f"--pose is for footage, and {self.thing} is a pose already")
        place = self.folder or Path()
        name = name_of(self.thing)
        entries: list[Entry] = []
        if is_pose:
            entries.append(Act(PoseFacts(self.thing).answer))
            entries += pose_pictures(self.thing, self.video, name, place)
            entries += known_pictures(self.thing, self.video, name, place)
        else:
            entries.append(Act(VideoFacts(self.thing).answer))
            entries.append(Step(SheetStage(self.thing), place / f"{name}-sheet.png"))
        if self.pose:
            options = desk.layers.options(self.chosen)
            motion = found(self.thing, options)
            check_joints(motion)
            found_there = motion.source
            entries += pose_pictures(found_there, self.thing, name, place)
            people = PeopleStage(found_there, self.thing)
            entries.append(Step(people, place / f"{name}-people.png"))
        return Planned(tuple(entries), thread, folder=self.folder)


def pose_pictures(
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


def known_pictures(
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
    video = video or video_of(pose)
    if video is not None and len(tracks_in(origin)) > 1:
        steps.append(Step(PeopleStage(pose, video), place / f"{name}-people.png"))
    if "reference" in origin.retarget:
        steps.append(Step(ProportionsStage(pose), place / f"{name}-retarget.png"))
    return tuple(steps)


@dataclass(frozen=True)
class PoseFacts:
    """What a pose file says."""

    path: Path

    def answer(self, desk: Desk) -> Answer:
        """Length, size, and how much of the person was seen."""
        import numpy as np

        from animcli.pose.io_pose import read_pose
        from animcli.pose.keypoints import BODY, FACE
        from animcli.stages.detection import shown_spans

        pose = read_pose(self.path)
        seen = pose.seen
        nobody = np.logical_not(seen[:, BODY].any(axis=1))
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
            "body seen": _share(seen[:, BODY]),
            "face seen": _share(seen[:, FACE]),
            "hands seen": _share(seen[:, FACE.stop :]),
            "frames without anybody": shown_spans(nobody.tolist()) or "none",
            **person_facts(pose.origin),
            "cleaning": pose.origin.smoothing or "none",
            **retarget_facts(pose.origin),
        }
        return as_answer(facts)


def person_facts(origin: Origin) -> dict[str, object]:
    """Who was taken, and who else there was."""
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


def retarget_facts(origin: Origin) -> dict[str, object]:
    """What the retargeting changed and guessed; its pictures aside."""
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
    """What a video says."""

    path: Path

    def answer(self, desk: Desk) -> Answer:
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
        return as_answer(facts)


def motion_facts(video: Path) -> dict[str, object]:
    """How much moves, in the numbers that Cinemo is told it in."""
    from animcli.stages.render import grey_frames
    from animcli.video.ssim import motion_bucket, motion_strength, neighbour_likeness

    likeness = neighbour_likeness(grey_frames(video))
    if likeness is None:  # a still
        return {"neighbour SSIM": "none"}
    return {
        "neighbour SSIM": round(likeness, 4),
        "motion": f"--motion-strength {motion_strength(likeness)}, "
        f"--motion-id {motion_bucket(likeness)}",
    }


def project_facts(desk: Desk) -> Answer:
    """Where the project is, what it sets, and what its cache holds."""
    found = list(desk.project.store.listing())
    stages: dict[str, list[int]] = {}
    for each in found:
        stages.setdefault(each.stage or each.state, []).append(each.bytes)
    facts: dict[str, object] = {
        "project": str(desk.project.root),
        "settings": str(desk.project.settings or "none; `anim init` makes them"),
        **{
            f"{name} ({desk.layers.origins[name]})": v
            for name, v in desk.layers.values.items()
        },
        "cache": str(desk.project.cache),
    }
    for name, sizes in stages.items():
        facts[name] = f"{len(sizes)}, {megabytes(sum(sizes)).strip()}"
    return as_answer(facts)


def as_answer(facts: dict[str, object]) -> Answer:
    """A line for each fact."""
    width = max(len(name) for name in facts) + 2
    lines = []
    for name, value in facts.items():
        rows = value if isinstance(value, list) else [value]
        lines += [f"{name + ':':<{width}}{_spelled(row)}" for row in rows]
    return Answer(tuple(lines), (facts,))


def _spelled(value: object) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{name} {each}" for name, each in value.items())
    return str(value)


def _share(seen: NDArray[np.bool_]) -> str:
    return f"{100 * float(seen.mean()):.1f} %" if seen.size else "0 %"
