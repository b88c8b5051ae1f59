"""`anim extract-pose`: keypoints over time, or DensePose pictures, of a video."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import KW_ONLY, dataclass, field, replace
from enum import Enum
from pathlib import Path
from typing import Annotated

import typer

from animcli.cli.config import Options, flag
from animcli.cli.detector import check_device, check_person, detector_note
from animcli.cli.motion import (
    POSE,
    check_keypoints,
    has_no_rate,
    is_capture,
    is_keypoints,
    motion_step,
    read_motion,
)
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
)
from animcli.errors import DeviceError, UsageError


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
        tuple(videos),
        output,
        keep_going,
        overrides,
        read_view(view),
        part,
        up=up,
        names=names,
        size=read_canvas(size),
    )


@dataclass(frozen=True)
class ExtractPose:
    """`anim extract-pose`."""

    videos: tuple[Path, ...]
    out: Path | None
    keep_going: bool
    overrides: Mapping[str, object]
    view: tuple[float, float] | None = None
    part: VideoPart = field(default_factory=dict)
    _: KW_ONLY
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
