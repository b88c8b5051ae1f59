"""The commands that end in a motion, and where a motion comes from."""

import glob
from collections.abc import Mapping
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import Final

from animcli.cli.plan import Desk, Motion, Planned, Thread, name_of, place
from animcli.cli.plan_detector import (
    check_detector,
    check_device,
    check_person,
    detector_device,
)
from animcli.cli.settings import Options
from animcli.errors import UsageError
from animcli.presets import DRAWINGS
from animcli.project.record import hash_file
from animcli.stages.deliver import Step
from animcli.stages.encode import EncodeStage
from animcli.stages.extract import ExtractStage
from animcli.stages.inspect import OverlayStage
from animcli.stages.mocap import ReadBvh
from animcli.stages.openpose import ReadOpenPose, WriteKeypoints, WriteOpenPose
from animcli.stages.retarget import RetargetStage

POSE: Final = ".pose"
JSON: Final = ".json"
BVH: Final = ".bvh"
KEYPOINTS: Final = "_keypoints"
SKELETON_VIDEOS: Final = (".mp4", ".mov", ".mkv", ".webm", ".gif", ".webp")
USUAL_RATE: Final = Fraction(24)
"""Frames per second of what doesn't say."""


@dataclass(frozen=True)
class ExtractPose:
    """`anim extract-pose`."""

    videos: tuple[Path, ...]
    out: Path | None
    keep_going: bool
    chosen: Mapping[str, object]
    view: tuple[float, float] | None = None

    def plan(self, desk: Desk, thread: Thread) -> Planned:
        """A `.pose` for each video; one alone is handed on."""
        options = desk.layers.options(self.chosen)
        if self.view and not all(is_capture(video) for video in self.videos):
            raise UsageError("--camera is for motion capture; a video has its own")
        check_device(self.chosen, options)
        if "fps" in self.chosen and not all(has_no_rate(video) for video in self.videos):
            raise UsageError("--fps is for pictures and keypoints; a video has its own")
        if len(self.videos) > 1 and self.out is not None and not self.out.is_dir():
            raise UsageError(
                f"{self.out} can't hold the poses of {len(self.videos)} videos",
                "give a folder that exists",
            )
        motions = [
            found(video, options, self.keep_going, self.view) for video in self.videos
        ]
        for motion in motions:
            check_joints(motion)
            check_person(self.chosen, motion.source, motion.name)
        steps = tuple(posed(motion, self.out, motion.name) for motion in motions)
        handed_on = motions[0] if len(motions) == 1 else None
        return Planned(steps, replace(thread, motion=handed_on), independent=len(steps) > 1)


@dataclass(frozen=True)
class Retarget:
    """`anim retarget`."""

    reference: Path
    motion: Path | None
    out: Path | None
    chosen: Mapping[str, object]

    def plan(self, desk: Desk, thread: Thread) -> Planned:
        """A `.pose` in the pixels of the reference."""
        options = desk.layers.options(self.chosen)
        motion = motion_of(
            self.motion, thread, options, "anim retarget MOTION --to PICTURE"
        )
        check_joints(motion)
        check_person(self.chosen, motion.source, motion.name)
        stage = RetargetStage(
            motion.source,
            self.reference,
            options.detector,
            options.camera,
            options.stay_inside,
        )
        fitted = replace(motion, source=stage, fitted_to=self.reference)
        step = posed(fitted, self.out, f"{name_of(self.reference)}-{motion.name}")
        return Planned((step,), replace(thread, motion=fitted))


def motion_of(
    said: Path | None,
    thread: Thread,
    options: Options,
    usage: str,
    keep_going: bool = False,
) -> Motion:
    """The motion that a command names, or else the one that the line made before.

    Raises UsageError where there is neither; `usage` shows how it is said.
    """
    if said is not None:
        return found(said, options, keep_going)
    if thread.motion is None:
        raise UsageError("there is no motion", f"say which: {usage}")
    return thread.motion


def check_joints(motion: Motion) -> None:
    """Raise UsageError for a drawn video, in which nobody's joints can be found."""
    if motion.drawn is not None:
        preset = next(name for name, kind in DRAWINGS.items() if kind == motion.drawn)
        raise UsageError(
            f"{motion.name} is a drawn video ({motion.drawn}), which has no joints",
            f"--preset {preset} follows it, or give the footage it was made from",
        )


def drawn_as(path: Path) -> str | None:
    """`densepose` or `skeleton` for a clip of such drawings, None for all else."""
    from animcli.pose.drawn import Kind  # numpy
    from animcli.stages.recognition import kind_of_clip

    kind = kind_of_clip(path)
    return None if kind is Kind.FOOTAGE else kind.value


def found(
    path: Path,
    options: Options,
    keep_going: bool = False,
    view: tuple[float, float] | None = None,
) -> Motion:
    """The motion in a pose file, in keypoints or in motion capture, or the one to be found
    in footage.

    view: from where motion capture is seen: degrees around and above.
    """
    is_pose = path.suffix.lower() == POSE
    if keep_going and (is_pose or is_keypoints(path) or is_capture(path)):
        raise UsageError(f"--keep-going is for footage, and {path} holds joints already")
    if is_pose:
        return Motion(path, name_of(path), video=video_of(path))
    rate = options.fps or USUAL_RATE
    if is_keypoints(path):
        return Motion(ReadOpenPose(path, rate), name_of(path))
    if is_capture(path):
        return Motion(ReadBvh(path, *(view or ())), name_of(path))
    if (drawn := drawn_as(path)) is not None:
        return Motion(path, name_of(path), video=path, drawn=drawn)
    check_detector(options)
    usual = ExtractStage(path)
    stage = replace(
        usual,
        detector=options.detector,
        hands=options.hands,
        face=options.face,
        clean=options.clean,
        keep_going=keep_going,
        picture_rate=rate if has_no_rate(path) else USUAL_RATE,
        person=options.person or usual.person,
        device=detector_device(options),
        every=options.every or usual.every,
        channels=options.channels or usual.channels,
    )
    return Motion(stage, name_of(path), video=None if path.is_dir() else path)


def posed(motion: Motion, out: Path | None, name: str) -> Step:
    """The step that makes a file of a motion, by the suffix: `.pose`, `.json` for node
    editors, a folder `NAME_keypoints` as of OpenPose, or a video of the skeleton.

    Raises UsageError for another suffix, and for a `.pose` that there is already.
    """
    if out is not None and out.name.endswith(KEYPOINTS):
        return Step(WriteKeypoints(motion.source, out.name.removesuffix(KEYPOINTS)), out)
    path = place(out, name + POSE)
    suffix = path.suffix.lower()
    if suffix == JSON:
        return Step(WriteOpenPose(motion.source), path)
    if suffix in SKELETON_VIDEOS:
        drawn = OverlayStage(motion.source, longest=None)
        return Step(EncodeStage(drawn, suffix), path)
    if suffix != POSE:
        raise UsageError(
            f"{path}: a motion is kept as {POSE}, {JSON} or NAME{KEYPOINTS}, "
            f"or drawn as {', '.join(SKELETON_VIDEOS)}"
        )
    if isinstance(motion.source, Path):
        raise UsageError(
            f"{motion.source} is a pose already",
            f"-o {name}{JSON} gives it to node editors",
        )
    return Step(motion.source, path)


def is_keypoints(path: Path) -> bool:
    """Whether this is OpenPose's JSON, in one file or in a file for each frame."""
    return path.suffix.lower() == JSON or any(path.glob("*_keypoints.json"))


def is_capture(path: Path) -> bool:
    """Whether this is motion capture."""
    return path.suffix.lower() == BVH


def has_no_rate(path: Path) -> bool:
    """Whether nothing in this says how many frames a second has."""
    return path.is_dir() or is_keypoints(path)


def video_of(pose: Path) -> Path | None:
    """The video that a pose was taken from, if it still lies beside it under its name.

    A pose file names its video by what is in it, not by where it is.
    """
    namesakes = pose.parent.glob(f"{glob.escape(pose.stem)}.*")
    beside = [each for each in namesakes if each != pose]
    if not beside or not pose.is_file():
        return None
    from animcli.pose.posefile import read_pose

    digest = read_pose(pose).origin.source.get("sha256")
    found = (each for each in beside if each.is_file() and hash_file(each) == digest)
    return next(found, None)
