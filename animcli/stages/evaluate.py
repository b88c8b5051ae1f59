"""Results asked what can be known without a truth, by the record of how they were made."""

from collections.abc import Iterator, Mapping
from dataclasses import KW_ONLY, dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from animcli.errors import InputError
from animcli.pipeline.stage import RunContext, Source, Stage
from animcli.pose.detectors.registry import DEFAULT_DETECTOR
from animcli.presets import Preset
from animcli.registry import renderer_entry
from animcli.stages.extract import FindAgain
from animcli.stages.report import Measured, write_measured

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from animcli.metrics.clips import Clip
    from animcli.metrics.identity import Embed, Template
    from animcli.metrics.pose_error import Keypoints
    from animcli.metrics.without_truth import Floor, Reference
    from animcli.pose.sequence import PoseSequence


@dataclass(frozen=True)
class MeasureRender(Stage):
    """Measures all that can be known of a result without a truth.

    result: lossless frames, or a video.
    record: the settings of the render stage that made it, None for other programs' videos.
    motion: the pose that it was to have. picture: the reference at the size of the result;
        pose: its keypoints.
    original: the reference as it was given, larger than the result, for its face.
    driving: the video that the motion was found in, and driving_pose: as it was found.
    detector, device: what looks for the keypoints in the result, and where it runs.
    faces: entries of the weights catalog that faces are compared with.
    moving: the camera moves, so there is no background to judge.
    """

    name: ClassVar[str] = "measure"
    revision: ClassVar[int] = 2
    libraries: ClassVar[tuple[str, ...]] = (
        "animcli.metrics", "av", "numpy", "opencv-python-headless",
    )  # fmt: skip

    result: Source
    record: Mapping[str, Any] | None = None
    motion: Source | None = None
    picture: Source | None = None
    pose: Source | None = None
    driving: Source | None = None
    _: KW_ONLY
    original: Source | None = None
    driving_pose: Source | None = None
    detector: str = DEFAULT_DETECTOR
    device: str = "cpu"
    faces: tuple[str, ...] = ()
    moving: bool = False

    @property
    def weights(self) -> tuple[str, ...]:
        return self.faces

    def inputs(self) -> Mapping[str, Source]:
        look = FindAgain(self.result, self.detector, bool(self.faces), self.device)
        sources: dict[str, Source | None] = {
            "result": self.result,
            "found": look,
            "motion": self.motion,
            "picture": self.picture,
            "pose": self.pose,
            "original": self.original if self.faces else None,
            "driving": self.driving,
        }
        if self.driving is not None:
            sources["driving_pose"] = self.driving_pose
            sources["driving_found"] = replace(look, video=self.driving, face=False)
        return {name: each for name, each in sources.items() if each is not None}

    def run(self, context: RunContext) -> None:
        from animcli.metrics.identity import face_points
        from animcli.metrics.report.record import worst_frames
        from animcli.metrics.without_truth import RenderedResult, measure
        from animcli.pose.io_pose import read_pose
        from animcli.stages.frames import is_lossless

        path = context.inputs["result"]
        clip = open_measured(path, "the result" if is_lossless(path) else path.name)
        found = read_pose(context.inputs["found"], may_be_empty=True)
        embeddings = self._embeddings(context)
        reference = self._reference(context, clip)
        floor = self._floor(context, clip)
        render = RenderedResult(
            _counted(context, clip, 2 + (reference is not None) + len(embeddings)),
            wanted=body(self._wanted(context, clip)),
            found=body(found),
            reference=reference,
            faces=face_points(found.points, found.scores, found.draw_threshold),
            borders=None if self.record is None else borders_of(self.record, clip.frames),
            moving=self.moving,
            cuts=() if floor is None else floor.cuts,
            floor={} if floor is None else floor.values,
        )
        if render.found is None and render.wanted is not None:  # found is 0 %, not unknown
            render = replace(render, found=keypoints(found))
        measured = measure(render, embeddings)
        worst = worst_frames(clip, measured)
        write_measured(
            context.out,
            Measured(
                clip.frames,
                rate_of(path, clip),
                clip.size,
                clip.origin,
                tuple(measured),
                tuple(worst),
            ),
        )

    def _wanted(self, context: RunContext, clip: "Clip") -> "PoseSequence | None":
        """The keypoints of every frame, in the result's pixels.

        Raises InputError for a pose that is shorter than the result.
        """
        from animcli.pose.io_pose import read_pose
        from animcli.pose.partial import only
        from animcli.stages.fitting import Fit, fit_motion, take_frames
        from animcli.stages.render import moves_of

        if "motion" not in context.inputs:
            return None
        said = self.record or {"rate": clip.rate}
        rate = said.get("rate")
        moves = moves_of(
            read_pose(context.inputs["motion"]),
            clip.size,
            Fit(said.get("fit", "pad")),
            rate=None if rate is None else Fraction(rate),
            frames=said.get("frames"),
            loop=bool(said.get("loop")),
            speed=Fraction(said.get("speed", 1)),
        )
        part = said.get("only", "all")
        if part != "all" and "pose" in context.inputs:
            pose = read_pose(context.inputs["pose"])
            moves = only(moves, fit_motion(pose, clip.size, Fit.PAD), part)
        if len(moves) < clip.frames:
            raise InputError(
                f"{clip.name} has {clip.frames} frames, and the pose that it was to have "
                f"{len(moves)}",
                "--pose names the motion that it was rendered with",
            )
        return take_frames(moves, clip.frames, loop=False)

    def _reference(self, context: RunContext, clip: "Clip") -> "Reference | None":
        """The reference and its figure, if there is a body in it."""
        import numpy as np

        from animcli.metrics.identity import face_points
        from animcli.metrics.pixels import resize
        from animcli.metrics.pose_error import body_mask
        from animcli.metrics.without_truth import Reference
        from animcli.pose.io_pose import read_pose
        from animcli.stages.fitting import Fit, fit_motion, placement
        from animcli.video.images import on_white, read_picture

        if "picture" not in context.inputs or "pose" not in context.inputs:
            return None
        pixels = read_picture(context.inputs["picture"]).pixels
        pose = fit_motion(read_pose(context.inputs["pose"]), clip.size, Fit.PAD)
        known = body(pose)
        if known is None:
            return None
        picture = original = np.ascontiguousarray(resize(pixels, clip.size))
        (face,) = face_points(pose.points, pose.scores, pose.draw_threshold)
        if "original" in context.inputs:
            original = on_white(read_picture(context.inputs["original"]))
            height, width, _ = original.shape
            fit = Fit((self.record or {}).get("fit", "pad"))
            face = placement((width, height), clip.size, fit).back(face)
        return Reference(picture, body_mask(known, 0, clip.size), original, face)

    def _floor(self, context: RunContext, clip: "Clip") -> "Floor | None":
        """Measures of the part of the driving video that the result follows."""
        from animcli.metrics.without_truth import RenderedResult, floor_of
        from animcli.pose.io_pose import read_pose

        if "driving" not in context.inputs:
            return None
        driving = open_measured(context.inputs["driving"], "the driving video")
        share = Fraction((self.record or {}).get("speed", 1))
        if driving.rate and clip.rate:
            share *= driving.rate / clip.rate
        found = read_pose(context.inputs["driving_found"], may_be_empty=True)
        wanted, first = None, 0
        if "driving_pose" in context.inputs:
            wanted = read_pose(context.inputs["driving_pose"])
            first = round(wanted.begins * (driving.rate or 0))
        driving = driving.cut(first, first + round(clip.frames * share))
        found = found.part(range(first, len(found)))
        if wanted is not None and (len(wanted), wanted.size) != (len(found), found.size):
            wanted = None  # of another cut of the video
        cut = driving.frames
        floor = floor_of(
            RenderedResult(
                _counted(context, driving, 1),
                wanted=None if wanted is None else body(wanted, cut),
                found=body(found, cut),
                moving=self.moving,
            )
        )
        moved = (round(frame / share) for frame in floor.cuts)
        return replace(floor, cuts=tuple(f for f in moved if f < clip.frames))

    def _embeddings(self, context: RunContext) -> "dict[str, tuple[Embed, Template]]":
        from animcli.metrics.edges import StoredNetworks
        from animcli.metrics.identity import (
            ARCFACE,
            DLIB,
            dlib_embedding,
            sface_embedding,
        )

        networks = StoredNetworks(GivenWeights(context))
        found = {}
        if "dlib-face" in self.faces:
            found["identity"] = (dlib_embedding(networks.faces()), DLIB)
        if "sface" in self.faces:
            found["identity_sface"] = (sface_embedding(networks.sface()), ARCFACE)
        return found


def keypoints(pose: "PoseSequence", frames: int | None = None) -> "Keypoints":
    """A pose as it is measured; of its first `frames` frames alone, if that is said."""
    from animcli.metrics.pose_error import Keypoints

    return Keypoints(pose.points[:frames], pose.scores[:frames], pose.draw_threshold)


def body(pose: "PoseSequence | None", frames: int | None = None) -> "Keypoints | None":
    """The same, or None where there is nobody whose height could be told."""
    from animcli.metrics.pose_error import figure_height

    if pose is None:
        return None
    found = keypoints(pose, frames)
    try:
        figure_height(found)
    except ValueError:
        return None
    return found


def borders_of(record: Mapping[str, Any], frames: int) -> tuple[int, ...] | None:
    """Frames before which a context window of the last step begins or ends.

    record: the settings of a render stage. None where it says too little.
    """
    said = record["preset"]
    if not renderer_entry(said["renderer"]).denoises:
        return ()  # every frame by itself
    from animcli.metrics.temporal import window_borders
    from animcli.rendering.context import context_windows, keyframes

    preset = Preset(said["renderer"], **said)
    if preset.supports("extend") and preset.extend == "continue":
        return None  # its windows follow each other
    denoised = keyframes(frames, preset.keyframe_interval)
    windows = context_windows(preset, len(denoised))(preset.steps - 1)
    found = window_borders([window.frames for window in windows], len(denoised))
    return tuple(denoised[place] for place in found)


class GivenWeights:
    """The weights that a stage was given, for those who load networks from a store."""

    def __init__(self, context: RunContext) -> None:
        self._context = context

    def path(self, name: str) -> Path:
        """The folder of an entry. Raises WeightsError if the stage wasn't given it."""
        if name not in self._context.weights:
            from animcli.weights.catalog import load_catalog
            from animcli.weights.store import absent

            raise absent(load_catalog()[name])
        return self._context.weights[name]

    def digests(self, name: str) -> Mapping[str, str]:
        """The SHA-256 of each file of an entry."""
        self.path(name)
        known = self._context.cache_key.weights.items()
        return {k.partition("/")[2]: v for k, v in known if k.startswith(f"{name}/")}


def open_measured(path: Path, name: str) -> "Clip":
    """A result, a truth or a driving video as a clip; lossless frames where it is those."""
    from animcli.metrics.edges import open_clip
    from animcli.stages.frames import is_lossless, open_reader

    return open_clip(path, name, open_reader, "cache" if is_lossless(path) else "file")


def rate_of(path: Path, clip: "Clip") -> Fraction:
    """Frames per second, on average where they are unevenly spaced."""
    from animcli.stages.frames import open_reader

    with open_reader(path) as reader:
        return clip.rate or reader.info.rate


def _counted(context: RunContext, clip: "Clip", passes: int) -> "Clip":
    """A clip that tells how much of it was read, in all `passes`."""
    done = 0

    def read() -> "Iterator[NDArray[np.uint8]]":
        nonlocal done
        for picture in clip.read():
            yield picture
            done = min(done + 1, passes * clip.frames)
            context.progress(f"measuring {clip.name}", done, passes * clip.frames)
            context.check_cancelled()

    return replace(clip, read=read)
