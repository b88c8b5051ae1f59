"""Answers to what the page asks about files, in a process of their own.

Every decoder is the command line's, with its limits: what `anim` refuses is refused here in
the same words.
"""

import io
from collections.abc import Callable, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from animcli.errors import AnimError, InputError
from animcli.files import make_folder, put_in_place, temp_path
from animcli.pipeline.checkpoint import FileCheckpoint
from animcli.pipeline.output import is_manifest
from animcli.pose.io_bvh import read_capture
from animcli.pose.io_openpose import read_openpose
from animcli.pose.io_pose import read_pose
from animcli.pose.sequence import PoseSequence
from animcli.registry import DEFAULT_RATE
from animcli.rendering.renderer import spread
from animcli.stages.frames import INDEX, SEGMENT, open_frames
from animcli.stages.render import RENDER_CHECKPOINT
from animcli.video.images import IMAGE_SUFFIXES, open_image, read_picture
from animcli.video.limits import Limits
from animcli.video.lossless import lossless_info, read_lossless
from animcli.video.reader import open_footage

Pixels = NDArray[np.uint8]

QUALITY: Final = 85
PREVIEW_SIDE: Final = 160
"""Pixels of the shorter side of a frame in a preview."""
PLAYED: Final = frozenset({"h264", "vp8", "vp9", "av1"})
PLAYED_IN: Final = frozenset({".mp4", ".m4v", ".webm", ".mov"})


def facts(path: Path) -> dict[str, Any]:
    """Facts about a file; or the reason it can't be used, as `anim` says it."""
    try:
        return _facts(path)
    except AnimError as error:
        shown = error.message.replace(f"{path}: ", "").replace(str(path), "this")
        return {"kind": "unknown", "error": shown, "hint": error.hint}


def _facts(path: Path) -> dict[str, Any]:
    suffix = path.suffix.lower()
    if suffix == ".pose":
        return _of_motion("pose", read_pose(path))
    if suffix == ".bvh":
        read_capture(path)
        return {"kind": "capture"}
    if suffix == ".json":
        return _of_json(path)
    if is_still(path):
        pixels = read_picture(path).pixels
        height, width = pixels.shape[:2]
        return {"kind": "picture", "size": [width, height]}
    with open_footage(path, keep_going=True, fast_colour=True) as reader:
        info = reader.info
        if next(iter(reader.frames()), None) is None:
            raise InputError(f"{path}: has no frames that can be read")
    plays = info.codec in PLAYED and suffix in PLAYED_IN
    return {
        "kind": "video",
        "size": [info.width, info.height],
        "frames": info.frames,
        "rate": str(info.rate),
        "even": info.even,
        "seconds": None if info.duration is None else round(float(info.duration), 3),
        "sound": info.has_sound,
        "codec": info.codec,
        "plays": plays,
        "notes": list(info.notes),
    }


def is_still(path: Path) -> bool:
    """True for one picture that is no animation. Raises InputError."""
    if not path.is_file() or path.suffix.lower() not in IMAGE_SUFFIXES:
        return False
    with open_image(path, Limits()) as image:
        return getattr(image, "n_frames", 1) == 1


def _of_json(path: Path) -> dict[str, Any]:
    """A manifest, edits, or OpenPose's keypoints."""
    from animcli.pose.corrections import read_corrections

    if is_manifest(path):
        return {"kind": "manifest", "text": path.read_text("utf-8")}
    try:
        read_corrections(path)
    except InputError:
        return _of_motion("keypoints", read_openpose(path, rate=DEFAULT_RATE))
    return {"kind": "edits"}


def _of_motion(kind: str, motion: PoseSequence) -> dict[str, Any]:
    width, height = motion.size
    return {"kind": kind, "size": [width, height], "frames": len(motion)}


def pose(path: Path) -> dict[str, Any]:
    """Joints of a motion for the page: a header, and float32 x, y, score as hex."""
    motion = read_pose(path)
    whole = (motion.ticks - motion.ticks[:1]).tolist()
    origin = motion.origin
    head = {
        "frames": len(motion),
        "size": list(motion.size),
        "base": str(motion.time_base),
        "begins": str(motion.begins),
        "ticks": whole,
        "rate": None if motion.rate is None else str(motion.rate),
        "threshold": motion.draw_threshold,
        "source": origin.source.get("sha256", ""),
        "detector": origin.detector.get("backend", "blazepose"),
        "person": origin.person,
        "corrections": origin.corrections,
        "retargeted": bool(origin.retarget),
        "notes": origin.retarget.get("notes") or [],
    }
    joints = np.concatenate([motion.points, motion.scores[..., None]], axis=2)
    return {"head": head, "joints": joints.astype("<f4").tobytes().hex()}


def frame(path: Path, number: int, width: int) -> dict[str, Any]:
    """One frame of footage, a picture or a render, as JPEG in hex."""
    return {"jpeg": as_jpeg(_frame(path, number), width).hex()}


def _frame(path: Path, number: int) -> Pixels:
    if path.is_dir() and (path / INDEX).is_file():
        found = next(open_frames(path).read(number), None)
    elif is_still(path):
        picture = read_picture(path)
        if picture.alpha is None:
            return picture.pixels
        part = picture.alpha[..., None] / 255
        paper = np.where(_squares(picture.pixels.shape), 236, 214)[..., None]
        return np.asarray(picture.pixels * part + paper * (1 - part), np.uint8)
    else:
        with open_footage(path, keep_going=True, fast_colour=True) as reader:
            shown = next(reader.frames(number, number + 1), None)
        found = None if shown is None else shown.picture
    if found is None:
        raise InputError(f"there is no frame {number}")
    return found


def _squares(shape: tuple[int, ...]) -> NDArray[np.bool_]:
    """The usual pattern behind transparent parts."""
    rows, columns = np.indices(shape[:2])
    return np.asarray((rows // 8 + columns // 8) % 2 == 0)


def as_jpeg(pixels: Pixels, width: int) -> bytes:
    """A picture as JPEG, no wider than `width`."""
    image = Image.fromarray(pixels)
    if image.width > width:
        height = max(1, round(image.height * width / image.width))
        image = image.resize((width, height), Image.Resampling.BOX)
    out = io.BytesIO()
    image.save(out, "JPEG", quality=QUALITY)
    return out.getvalue()


def preview(work: Path) -> dict[str, Any]:
    """Frames of a render in progress, side by side: decoded ones, else what its latents
    would come to.

    work: the folder that a render goes on from. Empty where nothing is to be seen yet.
    """
    pictures = _decoded(work) or _denoised(work)
    if not pictures:
        return {}
    small = [np.asarray(_small(each)) for each in pictures]
    strip = np.concatenate(small, axis=1)
    return {"jpeg": as_jpeg(strip, strip.shape[1]).hex(), "frames": len(small)}


def _small(pixels: Pixels) -> Image.Image:
    image = Image.fromarray(pixels)
    scale = PREVIEW_SIDE / min(image.size)
    size = (max(1, round(image.width * scale)), max(1, round(image.height * scale)))
    return image.resize(size, Image.Resampling.BILINEAR)


def _decoded(work: Path) -> list[Pixels]:
    frames = [picture for each in _segments(work)[-2:] for picture in read_lossless(each)]
    return [frames[n] for n in spread(len(frames))]


def _segments(work: Path) -> list[Path]:
    """Segments of frames that a render in progress has decoded, in order."""
    return sorted(work.glob("entry/render/frames-*.frames"))


def video_so_far(work: Path, folder: Path, after: int) -> dict[str, Any]:
    """Path of a video of the frames that a render in progress has decoded, and how many.

    work: the folder that the render goes on from. folder: keeps what is encoded already.
    Empty where there are no more than `after` frames.
    """
    from animcli.stages.encode import encode_each
    from animcli.video.codecs import encoding_for
    from animcli.video.encode import join_segments

    sources = _segments(work)
    if len(sources) * SEGMENT <= after or not sources:
        return {}
    make_folder(folder)
    out = folder / f"{len(sources)}.mp4"
    encoding = encoding_for(out, lossless_info(sources[0]).rate, None, None)
    if not out.is_file():
        segments = encode_each(sources, encoding, folder, out.suffix)
        with temp_path(out) as part:
            join_segments(segments, encoding, part, None)
        put_in_place(part, out)
        for shorter in folder.glob("[0-9]*.mp4"):
            if shorter != out:
                shorter.unlink()
    with open_footage(out) as reader:
        return {"path": str(out), "frames": reader.info.frames}


def _denoised(work: Path) -> list[Pixels]:
    from animcli.rendering.preview import look_at  # torch

    return look_at(FileCheckpoint(work / RENDER_CHECKPOINT))


def find(
    path: Path, number: int, x: float, y: float, size: float, name: str, models: Path | None
) -> dict[str, Any]:
    """Joints that a detector finds in a square around a place of one frame.

    x, y: its middle, size: its side, in pixels. models: the detector's weights.
    """
    from animcli.pose.detectors.registry import find_in_picture

    pixels = _frame(path, number)
    half = max(32, round(size / 2))
    left, top = max(0, round(x) - half), max(0, round(y) - half)
    crop = np.ascontiguousarray(pixels[top : round(y) + half, left : round(x) + half])
    if min(crop.shape[:2]) < 32:
        raise InputError("there is no picture at this place")
    found = find_in_picture(detector(name, models), crop)
    if found is None:
        raise InputError(
            "nobody was found here", "a larger part of the picture may show it"
        )
    points = found.points + np.array([left, top], np.float32)
    joints = np.concatenate([points, found.scores[:, None]], axis=1)
    return {"joints": [[round(float(v), 3) for v in row] for row in joints]}


@lru_cache(maxsize=2)
def detector(name: str, models: Path | None) -> Any:
    """A detector that is kept for the next question."""
    from animcli.pose.detectors.registry import (
        DetectorOptions,
        detector_weights,
        open_detector,
    )
    from animcli.weights.catalog import load_catalog

    catalog = load_catalog()
    names = [file.name for entry in detector_weights(name) for file in catalog[entry].files]
    return open_detector(name, models, DetectorOptions(), names)


def answer(request: Mapping[str, Any]) -> dict[str, Any]:
    """Answer a question about a file. Raises AnimError."""
    path = Path(request["path"])
    answers: dict[str, Callable[[], dict[str, Any]]] = {
        "facts": lambda: {"facts": facts(path)},
        "pose": lambda: pose(path),
        "frame": lambda: frame(path, request["frame"], request["width"]),
    }
    return answers[request["do"]]()
