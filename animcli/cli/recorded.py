"""Records of results: how each was made, and all that helps to measure it."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping
from dataclasses import KW_ONLY, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from animcli.cli.detector import detector_device
from animcli.cli.motion import is_keypoints, video_of
from animcli.cli.plan import Context, FrameSource
from animcli.errors import UsageError

if TYPE_CHECKING:
    from animcli.cli.config import Options
    from animcli.pipeline.output import Manifest
    from animcli.pipeline.stage import Source
    from animcli.stages.evaluate import MeasureRender

FACES: Final = ("dlib-face", "sface")
"""Entries of the weights catalog that faces are compared with."""


@dataclass(frozen=True)
class Recorded:
    """A result, and all that its record leads to.

    path: the file, None where the same line makes it. source: its lossless frames where
        the cache has them, else the file. Everything else is as `MeasureRender` takes it.
    made: how it was made, as (what, value).
    """

    name: str
    path: Path | None
    source: Source
    record: Mapping[str, Any] | None = None
    motion: Source | None = None
    picture: Source | None = None
    _: KW_ONLY
    pose: Source | None = None
    original: Source | None = None
    driving: Source | None = None
    driving_pose: Source | None = None
    made: tuple[tuple[str, str], ...] = field(default=())


def of_film(film: FrameSource) -> Recorded:
    """A render that the same line makes. Raises UsageError for another film."""
    from animcli.pipeline.stage import display_name
    from animcli.stages.render import RenderStage

    render = film.frames
    if not isinstance(render, RenderStage):
        raise UsageError("there is no render", "say which: anim evaluate VIDEO")
    record = render.settings()
    motion, keypoints = render.motion or render.control, render.motion is not None
    return Recorded(
        film.name,
        None,
        render,
        record,
        render.fitted_motion,
        render.picture if keypoints else None,
        pose=render.reference_pose if keypoints else None,
        original=render.reference if keypoints else None,
        driving=film.driving,
        driving_pose=render.motion if film.driving is not None else None,
        made=(
            *(
                (name, Path(display_name(source)).name)
                for name, source in (("reference", render.reference), ("motion", motion))
                if source is not None
            ),
            *made_by(record),
        ),
    )


def recorded(video: Path, context: Context) -> Recorded:
    """A video, and what the manifest beside it leads to: entries of the cache, and files
    that its command named, if they still hold the same.

    Of a video that was changed since, its manifest says nothing.
    """
    from animcli.pipeline.output import read_manifest
    from animcli.pipeline.record import hash_file
    from animcli.stages.render import RenderStage

    plain = Recorded(video.name, video, video)
    manifest = read_manifest(video) if video.is_file() else None
    if manifest is None or hash_file(video) != manifest.sha256:
        return plain
    render = next(
        (each for each in manifest.made.values() if each.stage == RenderStage.name),
        None,
    )
    if render is None:
        return plain
    store, files = context.project.store, Named(manifest, video.parent)

    def kept(digest: str | None) -> Source | None:
        """The entry of the cache, or the file of the command, with this digest."""
        cache_key = manifest.made.get(digest or "")
        found = None if cache_key is None else store.find(cache_key.digest)
        return files.find(digest) if found is None else found.path

    frames = store.find(render.digest)
    fitted = manifest.made.get(render.inputs.get("reference", ""))
    motion_digest = render.inputs.get("motion")
    retargeted = manifest.made.get(motion_digest or "")
    found_digest = motion_digest
    if retargeted is not None and "motion" in retargeted.inputs:
        found_digest = retargeted.inputs["motion"]
    extracted = manifest.made.get(found_digest or "")
    driving = None
    if extracted is not None and "video" in extracted.inputs:
        driving = files.find(extracted.inputs["video"])
    elif (given := files.find(found_digest)) is not None:
        driving, _ = video_of(given)
    return replace(
        plain,
        source=video if frames is None else frames.path,
        record=render.settings,
        motion=kept(motion_digest),
        picture=kept(render.inputs.get("reference")),
        pose=kept(render.inputs.get("pose")),
        original=None if fitted is None else kept(fitted.inputs.get("picture")),
        driving=driving,
        driving_pose=kept(found_digest) if driving is not None else None,
        made=(("command", shlex.join(manifest.command)), *made_by(render.settings),
              *((name, digest[:12]) for name, digest in render.weights.items()),
              ("animcli", manifest.version)),
    )  # fmt: skip


@dataclass(frozen=True)
class Named:
    """Files that a command named, by what they hold.

    beside: the folder of its result, where it may have been given.
    """

    manifest: Manifest
    beside: Path

    def find(self, digest: str | None) -> Path | None:
        """The file with this SHA-256."""
        from animcli.pipeline.record import hash_file

        for path in self._files():
            if digest is not None and hash_file(path) == digest:
                return path
        return None

    def _files(self) -> Iterator[Path]:
        for word in self.manifest.command:
            for path in dict.fromkeys((Path(word), self.beside / word)):
                if path.is_file() and not is_keypoints(path):
                    yield path


def made_by(record: Mapping[str, Any]) -> tuple[tuple[str, str], ...]:
    """The settings of a render that a reader may want to know."""
    said = dict(record["preset"])
    rate = record.get("rate")
    size = f"{said.pop('width')} x {said.pop('height')}"
    told = {
        **said,
        "size": size,
        "retargeted": bool(record.get("retarget")),
        "device": record.get("device"),
        "frames per second": rate,
    }
    return tuple(
        (
            key,
            ("no", "yes")[value] if isinstance(value, bool) else str(value),
        )
        for key, value in told.items()
        if value is not None and value != ""
    )


def measure_of(
    result: Recorded, options: Options, context: Context, *, detector_said: bool = False
) -> MeasureRender:
    """The stage that measures a result by its record."""
    from animcli.stages.evaluate import MeasureRender

    record = result.record or {}
    detector = options.detector if detector_said else record.get("detector")
    return MeasureRender(
        result.source,
        result.record,
        result.motion,
        result.picture,
        result.pose,
        result.driving,
        original=result.original,
        driving_pose=result.driving_pose,
        detector=str(detector or options.detector),
        device=detector_device(options),
        faces=tuple(entry for entry in FACES if context.weights.has(entry)),
        moving=record.get("camera", options.camera) == "moving",
    )


def picture_size_of(result: Recorded) -> tuple[int, int]:
    """`(width, height)` of a result that is there, or that its line makes."""
    if result.record is not None:
        preset = result.record["preset"]
        return int(preset["width"]), int(preset["height"])
    from animcli.video.reader import open_footage

    with open_footage(result.path or Path()) as reader:
        return reader.info.width, reader.info.height
