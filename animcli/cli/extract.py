"""`anim extract-pose` and `anim retarget`: the commands that end in a motion.

Also where a motion comes from (a video, a pose file, keypoints, motion capture), and which
choices mean something to the detector that looks for it.
"""

from __future__ import annotations

import glob
import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import Enum
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from animcli.cli.config import Options, flag
from animcli.cli.following import is_single_picture, part_of, still_motion
from animcli.cli.options import (
    EachNth,
    End,
    Output,
    Overrides,
    StartAt,
    VideoPart,
    options,
    read_canvas,
    read_part,
    read_view,
)
from animcli.cli.plan import (
    Command,
    Context,
    FrameSource,
    Motion,
    PipelineState,
    Plan,
    name_of,
    output_path,
)
from animcli.errors import DeviceError, UsageError
from animcli.pose.detectors.registry import detector_options, runs_on_onnx
from animcli.registry import DEFAULT_RATE, follower_of
from animcli.video.codecs import CONTAINERS

if TYPE_CHECKING:
    from animcli.pipeline.output import Step
    from animcli.pipeline.stage import Source


class ExtractKind(str, Enum):
    """Kinds of motion that `extract-pose` finds."""

    KEYPOINTS = "keypoints"
    DENSEPOSE = "densepose"


class UpAxis(str, Enum):
    """The axis that points up in motion capture."""

    AUTO = "auto"
    X = "x"
    Y = "y"
    Z = "z"


@options(
    "detector",
    "person",
    "detect_every",
    "bgr_input",
    "device",
    "hands",
    "face",
    "clean",
    "fps",
)
def extract_pose(
    videos: Annotated[
        list[Path], typer.Argument(metavar="VIDEO", help="Footage of one person.")
    ],
    output: Output = None,
    keep_going: Annotated[
        bool, typer.Option("--keep-going", help="Skip damaged frames.")
    ] = False,
    view: Annotated[
        str | None,
        typer.Option(
            metavar="AROUND,ABOVE",
            help="For motion capture: direction of the camera in degrees.",
        ),
    ] = None,
    up: Annotated[
        UpAxis, typer.Option("--up", help="For motion capture: the axis that points up.")
    ] = UpAxis.AUTO,
    names: Annotated[
        Path | None,
        typer.Option(
            metavar="TOML",
            help='For motion capture: names of keypoints, as left_knee = "Bone 7".',
        ),
    ] = None,
    size: Annotated[
        str | None,
        typer.Option(
            metavar="WxH", help="For keypoints that don't say it: the picture's size."
        ),
    ] = None,
    kind: Annotated[
        ExtractKind, typer.Option("--kind", help="Keypoints, or DensePose body parts.")
    ] = ExtractKind.KEYPOINTS,
    start: StartAt = None,
    end: End = None,
    every: EachNth = None,
    *,
    overrides: Overrides,
) -> Command:
    """Find the pose in every frame of a video.

    dance.mp4 -> dance.pose; with --kind densepose dance-densepose.mp4

    Takes a video, an animation (GIF, WebP, APNG), a folder of pictures, motion capture
    (BVH), or the JSON of OpenPose and of node editors. `-o NAME.json` writes the latter,
    `-o NAME_keypoints` the former, `-o NAME.mp4` a video of the skeleton. Of several
    videos, each is done even if another can't be; the exit code is then 9.
    """
    part = read_part(start, end, every)
    if kind is ExtractKind.DENSEPOSE:
        if part:
            raise UsageError(
                f"--{next(iter(part))} is about keypoints, and these have none"
            )
        for name, given in (("--view", view), ("--names", names), ("--size", size)):
            if given is not None:
                raise UsageError(
                    f"{name} is for keypoints, which --kind densepose has none of"
                )
        return ExtractDensePose(tuple(videos), output, keep_going, overrides)
    return ExtractPose(
        tuple(videos), output, keep_going, overrides, read_view(view), part, up, names,
        read_canvas(size),
    )  # fmt: skip


@options("detector", "person", "camera", "keep_in_frame")
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
    overrides: Overrides,
) -> Command:
    """Fit a motion to the proportions of a character.

    dance.pose and ref.png -> ref-dance.pose
    """
    return Retarget(reference, motion, output, overrides)


POSE: Final = ".pose"
JSON: Final = ".json"
BVH: Final = ".bvh"
KEYPOINTS_FOLDER: Final = "_keypoints"
SKELETON_VIDEOS: Final = tuple(suffix for suffix in CONTAINERS if suffix)


@dataclass(frozen=True)
class ExtractPose:
    """`anim extract-pose`."""

    videos: tuple[Path, ...]
    out: Path | None
    keep_going: bool
    overrides: Mapping[str, object]
    view: tuple[float, float] | None = None
    part: VideoPart = field(default_factory=dict)
    up: UpAxis = UpAxis.AUTO
    names: Path | None = None
    size: tuple[int, int] | None = None

    def plan(self, context: Context, state: PipelineState) -> Plan:
        """A `.pose` for each video; one alone is handed on."""
        options = context.config.options(self.overrides)
        captured = all(is_capture(video) for video in self.videos)
        if self.view and not captured:
            raise UsageError("--view is for motion capture; a video has its own")
        if (self.names or self.up is not UpAxis.AUTO) and not captured:
            name = "--names" if self.names else "--up"
            raise UsageError(
                f"{name} is for motion capture (BVH), which has names and axes"
            )
        if self.size and not all(is_keypoints(video) for video in self.videos):
            raise UsageError("--size is for keypoints; a video has its own")
        check_device(self.overrides, options)
        if "fps" in self.overrides and not all(has_no_rate(video) for video in self.videos):
            raise UsageError("--fps is for pictures and keypoints; a video has its own")
        if len(self.videos) > 1 and self.out is not None and not self.out.is_dir():
            raise UsageError(
                f"{self.out} can't hold the poses of {len(self.videos)} videos",
                "give a folder that exists",
            )
        motions = [self.motion(video, options) for video in self.videos]
        for motion in motions:
            check_keypoints(motion)
            check_person(self.overrides, motion.source, motion.name)
        steps = tuple(motion_step(motion, self.out, motion.name) for motion in motions)
        handed_on = motions[0] if len(motions) == 1 else None
        return Plan(
            steps,
            replace(state, motion=handed_on),
            independent=len(steps) > 1,
            note=detector_note(options),
        )

    def motion(self, video: Path, options: Options) -> Motion:
        """The motion in one of them."""
        from animcli.pose.bone_names import read_names
        from animcli.stages.convert import ReadBvh, ReadOpenPose

        motion = read_motion(video, options, self.keep_going, part=self.part)
        match motion.source:
            case ReadBvh():
                names = () if self.names is None else read_names(self.names).items()
                source = replace(motion.source, names=tuple(names), up=self.up.value)
                if self.view:
                    source = replace(source, around=self.view[0], above=self.view[1])
                return replace(motion, source=source)
            case ReadOpenPose():
                return replace(motion, source=replace(motion.source, size=self.size))
        return motion


@dataclass(frozen=True)
class Retarget:
    """`anim retarget`."""

    reference: Path
    motion: Path | None
    out: Path | None
    overrides: Mapping[str, object]

    def plan(self, context: Context, state: PipelineState) -> Plan:
        """A `.pose` in the pixels of the reference."""
        from animcli.stages.retarget import RetargetStage

        options = context.config.options(self.overrides)
        check_order(self.reference, self.motion, "anim retarget {motion} --to {picture}")
        motion = chosen_motion(
            self.motion, state, options, "anim retarget MOTION --to PICTURE"
        )
        check_keypoints(motion)
        check_person(self.overrides, motion.source, motion.name)
        stage = RetargetStage(
            motion.source,
            self.reference,
            options.detector,
            options.camera,
            options.keep_in_frame,
        )
        fitted = replace(motion, source=stage, fitted_to=self.reference)
        step = motion_step(fitted, self.out, f"{name_of(self.reference)}-{motion.name}")
        return Plan((step,), replace(state, motion=fitted))


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
PICTURES: Final = frozenset({".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".heic"})


def check_order(picture: Path, motion: Path | None, usage: str) -> None:
    """Raise UsageError where a picture and a motion were exchanged; `usage` is the line."""
    if motion is None or motion.suffix.lower() not in PICTURES:
        return
    if picture.suffix.lower() in VIDEOS - {POSE}:
        right = usage.format(
            picture=shlex.quote(str(motion)), motion=shlex.quote(str(picture))
        )
        raise UsageError(
            f"{motion} is a picture and {picture} a motion: they are the wrong way round",
            right,
        )


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


@dataclass(frozen=True)
class ExtractDensePose:
    """`anim extract-pose --kind densepose`."""

    videos: tuple[Path, ...]
    out: Path | None
    keep_going: bool
    overrides: Mapping[str, object]

    def plan(self, context: Context, state: PipelineState) -> Plan:
        """A DensePose video for each video; the frames of one alone are handed on."""
        from animcli.cli.results import encode_stage, video_path
        from animcli.pipeline.output import Step
        from animcli.stages.extract import DensePoseStage

        for name in self.overrides.keys() - {"device"}:
            raise UsageError(
                f"{flag(name)} is about keypoints, and --kind densepose has none"
            )
        options = context.config.options(self.overrides)
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
                    f"{video} has keypoints; --kind densepose looks for parts in footage",
                    "a preset that follows DensePose draws them over keypoints by itself",
                )
        if len(self.videos) > 1 and self.out is not None and not self.out.is_dir():
            raise UsageError(
                f"{self.out} can't hold the parts of {len(self.videos)} videos",
                "give a folder that exists",
            )
        sources = [
            FrameSource(DensePoseStage(video, device), f"{name_of(video)}-densepose")
            for video in self.videos
        ]
        outs = [
            video_path(source, self.out, options, context.project) for source in sources
        ]
        steps = tuple(
            Step(encode_stage(source, out, options), out)
            for source, out in zip(sources, outs, strict=True)
        )
        handed_on = None
        if len(sources) == 1:
            video = self.videos[0]
            handed_on = Motion(sources[0].frames, name_of(video), video, drawn="densepose")
        return Plan(steps, replace(state, motion=handed_on), independent=len(steps) > 1)


def check_detector(options: Options) -> None:
    """Raise UsageError where something was chosen that the detector knows nothing of."""
    known = detector_options(options.detector)
    for name in ("detect_every", "bgr_input"):
        if getattr(options, name) is not None and name not in known:
            raise UsageError(
                f"{flag(name)} has no effect with the detector {options.detector}",
                "it is for --detector dwpose",
            )


def check_person(overrides: Mapping[str, object], motion: Source, name: str) -> None:
    """Raise UsageError where a person is to be chosen and keypoints are there already."""
    from animcli.stages.extract import ExtractStage
    from animcli.stages.reference import FindPose

    if "person" in overrides and not isinstance(motion, ExtractStage | FindPose):
        raise UsageError(
            f"--person is for footage, and {name} holds one person's keypoints",
            "choose where the keypoints are found: anim extract-pose VIDEO --person N",
        )


def check_device(overrides: Mapping[str, object], options: Options) -> None:
    """Raise UsageError or DeviceError for a device that the detector doesn't run on."""
    for name in ("detector_device", "device"):
        device = str(overrides.get(name, "auto"))
        if device == "mps":
            raise DeviceError(
                f"the detector {options.detector} doesn't run on mps",
                "--detector-device cpu",
            )
        if device.startswith("cuda") and "device" not in detector_options(options.detector):
            raise UsageError(
                f"the detector {options.detector} runs on the CPU only",
                f"leave {flag(name)} out, or choose --detector dwpose",
            )


def detector_device(options: Options) -> str:
    """Device of the detector: that of the rest if it can run there."""
    device = options.detector_device or options.device
    if "device" not in detector_options(options.detector) or device in ("cpu", "mps"):
        return "cpu"
    if device != "auto":
        return device
    if runs_on_onnx(options.detector):
        from animcli.pose.detectors.onnx import best_onnx_device  # onnxruntime: a second

        return best_onnx_device()
    from animcli.rendering.loading import best_device  # torch takes seconds

    return "cuda" if best_device() == "cuda" else "cpu"


def detector_note(options: Options) -> str:
    """A line where `auto` takes the CPU although ONNX Runtime is built for CUDA."""
    asked = options.detector_device or options.device
    if asked != "auto" or not runs_on_onnx(options.detector):
        return ""
    from animcli.pose.detectors.onnx import best_onnx_device, built_for_cuda

    if best_onnx_device() == "cuda" or not built_for_cuda():
        return ""
    return (
        f"{options.detector} runs on the CPU: ONNX Runtime's CUDA doesn't work here "
        "(anim doctor says why)"
    )
