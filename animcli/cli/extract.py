"""`anim extract-pose` and `anim retarget`: the commands that end in a motion.

Also where a motion comes from (a video, a pose file, keypoints, motion capture), and which
choices mean something to the detector that looks for it.
"""

from __future__ import annotations

import glob
from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import Enum
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from animcli.cli.config import Options, flag
from animcli.cli.options import Chosen, Output, read_view, takes
from animcli.cli.plan import Desk, Film, Motion, Planned, Request, Thread, name_of, place
from animcli.errors import DeviceError, UsageError
from animcli.presets import DRAWINGS

if TYPE_CHECKING:
    from animcli.pipeline.output import Step
    from animcli.pipeline.stage import Source


class FoundKind(str, Enum):
    """What `extract-pose` finds."""

    JOINTS = "joints"
    DENSEPOSE = "densepose"


@takes("detector", "person", "every", "channels", "device", "hands", "face", "clean", "fps")
def extract_pose(
    videos: Annotated[
        list[Path], typer.Argument(metavar="VIDEO", help="Footage of one person.")
    ],
    output: Output = None,
    keep_going: Annotated[
        bool, typer.Option("--keep-going", help="Leave damaged frames out.")
    ] = False,
    camera: Annotated[
        str | None,
        typer.Option(
            metavar="AROUND,ABOVE", help="For motion capture: from where, in degrees."
        ),
    ] = None,
    kind: Annotated[
        FoundKind, typer.Option("--kind", help="Joints, or body parts as colours.")
    ] = FoundKind.JOINTS,
    *,
    chosen: Chosen,
) -> Request:
    """Find the pose in every frame of a video.

    dance.mp4 -> dance.pose; with --kind densepose dance-densepose.mp4

    Takes a video, an animation (GIF, WebP, APNG), a folder of pictures, motion capture
    (BVH), or the JSON of OpenPose and of node editors. `-o NAME.json` writes the latter,
    `-o NAME_keypoints` the former, `-o NAME.mp4` a video of the skeleton. Of several
    videos, each is done even if another can't be; the exit code is then 9.
    """
    if kind is FoundKind.DENSEPOSE:
        if camera is not None:
            raise UsageError("--camera is for motion capture, which --kind densepose isn't")
        return ExtractDensePose(tuple(videos), output, keep_going, chosen)
    return ExtractPose(tuple(videos), output, keep_going, chosen, read_view(camera))


@takes("detector", "person", "camera", "stay_inside")
def retarget(
    reference: Annotated[
        Path,
        typer.Option("--to", metavar="PICTURE", help="The character, or a .pose of it."),
    ],
    motion: Annotated[
        Path | None,
        typer.Argument(metavar="MOTION", help="A .pose or a video; after `then` none."),
    ] = None,
    output: Output = None,
    *,
    chosen: Chosen,
) -> Request:
    """Fit a motion to the proportions of a character.

    dance.pose and ref.png -> ref-dance.pose
    """
    return Retarget(reference, motion, output, chosen)


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
        return Planned(
            steps,
            replace(thread, motion=handed_on),
            independent=len(steps) > 1,
            note=detector_note(options),
        )


@dataclass(frozen=True)
class Retarget:
    """`anim retarget`."""

    reference: Path
    motion: Path | None
    out: Path | None
    chosen: Mapping[str, object]

    def plan(self, desk: Desk, thread: Thread) -> Planned:
        """A `.pose` in the pixels of the reference."""
        from animcli.stages.retarget import RetargetStage

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
    from animcli.pose.draw import Kind  # numpy
    from animcli.stages.detection import kind_of_clip

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
    from animcli.stages.convert import ReadBvh, ReadOpenPose
    from animcli.stages.extract import ExtractStage

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
    from animcli.pipeline.output import Step
    from animcli.stages.convert import WriteKeypoints, WriteOpenPose
    from animcli.stages.encode import EncodeStage
    from animcli.stages.inspect import OverlayStage

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
    from animcli.pipeline.record import hash_file

    namesakes = pose.parent.glob(f"{glob.escape(pose.stem)}.*")
    beside = [each for each in namesakes if each != pose]
    if not beside or not pose.is_file():
        return None
    from animcli.pose.io_pose import read_pose

    digest = read_pose(pose).origin.source.get("sha256")
    found = (each for each in beside if each.is_file() and hash_file(each) == digest)
    return next(found, None)


@dataclass(frozen=True)
class ExtractDensePose:
    """`anim extract-pose --kind densepose`."""

    videos: tuple[Path, ...]
    out: Path | None
    keep_going: bool
    chosen: Mapping[str, object]

    def plan(self, desk: Desk, thread: Thread) -> Planned:
        """A DensePose video for each video; the frames of one alone are handed on."""
        from animcli.cli.results import encoding, named
        from animcli.pipeline.output import Step
        from animcli.stages.extract import DensePoseStage

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


def check_detector(options: Options) -> None:
    """Raise UsageError where something was chosen that the detector knows nothing of."""
    from animcli.pose.detectors.registry import runs_on_onnx  # numpy

    if runs_on_onnx(options.detector):
        return
    for name in ("every", "channels"):
        if getattr(options, name) is not None:
            raise UsageError(
                f"{flag(name)} means nothing to the detector {options.detector}",
                "it is for --detector dwpose",
            )


def check_person(chosen: Mapping[str, object], motion: Source, name: str) -> None:
    """Raise UsageError where a person is to be chosen and joints are there already."""
    from animcli.stages.extract import ExtractStage

    if "person" in chosen and not isinstance(motion, ExtractStage):
        raise UsageError(
            f"--person is for footage, and {name} holds one person's joints",
            "choose where the joints are found: anim extract-pose VIDEO --person N",
        )


def check_device(chosen: Mapping[str, object], options: Options) -> None:
    """Raise UsageError or DeviceError for a device that the detector doesn't run on."""
    from animcli.pose.detectors.registry import runs_on_onnx  # numpy

    for name in ("detector_device", "device"):
        device = str(chosen.get(name, "auto"))
        if device == "mps":
            raise DeviceError(
                f"the detector {options.detector} doesn't run on mps",
                "--detector-device cpu",
            )
        if device.startswith("cuda") and not runs_on_onnx(options.detector):
            raise UsageError(
                f"the detector {options.detector} runs on the processor only",
                f"leave {flag(name)} out, or choose --detector dwpose",
            )


def detector_device(options: Options) -> str:
    """Where the detector runs: on its own device, else on that of the rest if it can."""
    from animcli.pose.detectors.registry import runs_on_onnx

    device = options.detector_device or options.device
    if not runs_on_onnx(options.detector) or device in ("cpu", "mps"):
        return "cpu"
    if device != "auto":
        return device
    from animcli.pose.detectors.onnx import best_device  # onnxruntime takes a second

    return best_device()


def detector_note(options: Options) -> str:
    """A line where `auto` takes the processor although ONNX Runtime is built for CUDA."""
    from animcli.pose.detectors.registry import runs_on_onnx

    asked = options.detector_device or options.device
    if asked != "auto" or not runs_on_onnx(options.detector):
        return ""
    from animcli.pose.detectors.onnx import best_device, built_for_cuda

    if best_device() == "cuda" or not built_for_cuda():
        return ""
    return (
        f"{options.detector} runs on the processor: ONNX Runtime's CUDA doesn't work here "
        "(anim doctor says why)"
    )
