"""Motions that a command is given: a video, a pose file, keypoints, motion capture."""

from __future__ import annotations

import glob
import shlex
from collections.abc import Mapping
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Final

from animcli.cli.config import Options
from animcli.cli.detector import check_detector, check_person, detector_device
from animcli.cli.following import is_single_picture, part_of, still_motion
from animcli.cli.options import (
    VideoPart,
)
from animcli.cli.plan import (
    Motion,
    PipelineState,
    name_of,
    output_path,
)
from animcli.errors import UsageError
from animcli.registry import DEFAULT_RATE, follower_of
from animcli.video.codecs import CONTAINERS

if TYPE_CHECKING:
    from animcli.pipeline.output import Step


POSE: Final = ".pose"
JSON: Final = ".json"
BVH: Final = ".bvh"
KEYPOINTS_FOLDER: Final = "_keypoints"
SKELETON_VIDEOS: Final = tuple(suffix for suffix in CONTAINERS if suffix)


def chosen_motion(
    said: Path | None,
    state: PipelineState,
    options: Options,
    usage: str,
    keep_going: bool = False,
    follows: str | None = None,
    part: VideoPart | None = None,
) -> Motion:
    """The motion that a command names, or else the one that the line made before.

    follows, part: see `read_motion`. Raises UsageError where there is neither; `usage`
    shows how it is said.
    """
    if said is not None:
        return read_motion(said, options, keep_going, follows=follows, part=part)
    if state.motion is None:
        raise UsageError("there is no motion", f"say which: {usage}")
    return part_of(state.motion, part)


VIDEOS: Final = frozenset(
    {".mp4", ".mov", ".mkv", ".webm", ".avi", ".m4v", ".ts", ".mpg", ".pose", ".bvh"}
)


def check_order(picture: Path, motion: Path | None, usage: str) -> None:
    """Raise UsageError where a picture and a motion were exchanged; `usage` is the line."""
    from animcli.video.images import IMAGE_SUFFIXES  # Pillow

    if motion is None or motion.suffix.lower() not in IMAGE_SUFFIXES:
        return
    if picture.suffix.lower() in VIDEOS - {POSE}:
        right = usage.format(
            picture=shlex.quote(str(motion)), motion=shlex.quote(str(picture))
        )
        raise UsageError(
            f"{motion} is a picture and {picture} a motion: they are the wrong way round",
            right,
        )


def chosen_keypoints(
    said: Path | None,
    state: PipelineState,
    options: Options,
    overrides: Mapping[str, object],
    usage: str,
) -> Motion:
    """The motion of `chosen_motion`, which must have keypoints.

    Raises UsageError for a drawn video, and where `--person` is among the overrides though
    there is no footage to choose from.
    """
    motion = chosen_motion(said, state, options, usage)
    check_keypoints(motion)
    check_person(overrides, motion.source, motion.name)
    return motion


def check_keypoints(motion: Motion) -> None:
    """Raise UsageError for frames that were drawn without keypoints."""
    if motion.drawn is not None:
        preset = follower_of(motion.drawn)
        raise UsageError(
            f"{motion.name} is a drawn video ({motion.drawn}), which has no keypoints",
            f"--preset {preset} follows it, or give the footage it was made from",
        )


def control_kind(path: Path) -> str | None:
    """`densepose` or `skeleton` for a clip of such drawings, None for all else."""
    from animcli.pose.draw import ControlKind  # numpy
    from animcli.stages.detection import kind_of_clip

    kind = kind_of_clip(path)
    return None if kind is ControlKind.FOOTAGE else kind.value


def read_motion(
    path: Path,
    options: Options,
    keep_going: bool = False,
    follows: str | None = None,
    part: VideoPart | None = None,
) -> Motion:
    """The motion in a pose file, in keypoints or in motion capture, or the one to be found
    in footage.

    follows: `densepose` or `skeleton`: a video that looks so is followed as it is.
    part: of footage, the one that is meant.
    """
    from animcli.stages.convert import ReadBvh, ReadOpenPose
    from animcli.stages.extract import ExtractStage

    is_pose = path.suffix.lower() == POSE
    if keep_going and (is_pose or is_keypoints(path) or is_capture(path)):
        raise UsageError(f"--keep-going is for footage, and {path} holds keypoints already")
    if is_pose:
        video, begins = video_of(path)
        return part_of(Motion(path, name_of(path), video=video, begins=begins), part)
    rate = options.fps or DEFAULT_RATE
    if is_keypoints(path):
        return part_of(Motion(ReadOpenPose(path, options.fps), name_of(path)), part)
    if is_capture(path):
        return part_of(Motion(ReadBvh(path), name_of(path)), part)
    if is_single_picture(path):
        return still_motion(path, options, part)
    if follows is not None and not part and control_kind(path) == follows:
        return Motion(path, name_of(path), video=path, drawn=follows)
    check_detector(options)
    usual = ExtractStage(path)
    stage = replace(
        usual,
        detector=options.detector,
        hands=options.hands,
        face=options.face,
        clean=options.clean,
        keep_going=keep_going,
        picture_rate=rate if has_no_rate(path) else DEFAULT_RATE,
        person=options.person or usual.person,
        device=detector_device(options),
        detect_every=options.detect_every or usual.detect_every,
        bgr_input=options.bgr_input or usual.bgr_input,
        **(part or {}),  # type: ignore[arg-type]  # fields of it, by name
    )
    there = None if path.is_dir() else path
    return Motion(stage, name_of(path), video=there, begins=stage.start)


def motion_step(motion: Motion, out: Path | None, name: str) -> Step:
    """The step that makes a file of a motion, by the suffix: `.pose`, `.json` for node
    editors, a folder `NAME_keypoints` as of OpenPose, or a video of the skeleton.

    Raises UsageError for another suffix, and for a `.pose` that there is already.
    """
    from animcli.pipeline.output import Step
    from animcli.stages.convert import WriteKeypoints, WriteOpenPose
    from animcli.stages.encode import EncodeStage
    from animcli.stages.inspect import OverlayStage

    if out is not None and out.name.endswith(KEYPOINTS_FOLDER):
        return Step(
            WriteKeypoints(motion.source, out.name.removesuffix(KEYPOINTS_FOLDER)), out
        )
    path = output_path(out, name + POSE)
    suffix = path.suffix.lower()
    if suffix == JSON:
        return Step(WriteOpenPose(motion.source), path)
    if suffix in SKELETON_VIDEOS:
        drawn = OverlayStage(motion.source, longest=None)
        return Step(EncodeStage(drawn, suffix), path)
    if suffix != POSE:
        raise UsageError(
            f"{path}: a motion is kept as {POSE}, {JSON} or NAME{KEYPOINTS_FOLDER}, "
            f"or drawn as {', '.join(SKELETON_VIDEOS)}"
        )
    if isinstance(motion.source, Path):
        raise UsageError(
            f"{motion.source} is a pose already",
            f"-o {name}{JSON} gives it to node editors",
        )
    return Step(motion.source, path)


def is_keypoints(path: Path) -> bool:
    """Tell OpenPose's JSON, in one file or in a file for each frame."""
    if not path.is_dir():
        return path.suffix.lower() == JSON
    inside = [each for each in path.iterdir() if not each.name.startswith(".")]
    return any(each.name.endswith("_keypoints.json") for each in inside) or (
        bool(inside) and all(each.suffix.lower() == JSON for each in inside)
    )


def is_capture(path: Path) -> bool:
    """Tell motion capture by its suffix."""
    return path.suffix.lower() == BVH


def has_no_rate(path: Path) -> bool:
    """Tell footage that doesn't say its frame rate."""
    return path.is_dir() or is_keypoints(path)


def video_of(pose: Path) -> tuple[Path | None, Fraction]:
    """The video that a pose was taken from, if it still lies beside it under its name; and
    at how many seconds of it the pose begins.

    A pose file names its video by what is in it, not by where it is.
    """
    from animcli.pipeline.record import hash_file

    namesakes = pose.parent.glob(f"{glob.escape(pose.stem)}.*")
    beside = [each for each in namesakes if each != pose]
    if not beside or not pose.is_file():
        return None, Fraction(0)
    from animcli.pose.io_pose import read_pose

    motion = read_pose(pose)
    digest = motion.origin.source.get("sha256")
    found = (each for each in beside if each.is_file() and hash_file(each) == digest)
    return next(found, None), motion.begins
