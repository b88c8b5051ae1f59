"""The pose detectors, by the name that commands know them by."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Final, Protocol, TypeAlias, runtime_checkable

from animcli.errors import UsageError
from animcli.pose.keypoints import BODY

if TYPE_CHECKING:  # help lists the detectors, and loads no numpy
    import numpy as np
    from numpy.typing import NDArray

STILL_RUNS: Final = 6
STAYS: Final = 0.01  # of the figure's height; what a joint moves without being elsewhere


class DetectedPerson(Protocol):
    """A person in a picture."""

    @property
    def points(self) -> NDArray[np.float32]:
        """`(134, 2)`, in pixels."""

    @property
    def scores(self) -> NDArray[np.float32]:
        """`(134,)`, in 0..1."""


@dataclass(frozen=True)
class DetectorOptions:
    """Options of a detector, beside the person that is wanted.

    detect_every, bgr_input, device: see `DWPose`; an entry says which of them its detector
    knows.
    """

    hands: bool = True
    face: bool = True
    device: str = "cpu"
    detect_every: int = 10
    bgr_input: bool = False


class Detector(Protocol):
    """Follows people through frames; all it remembers is its state."""

    @property
    def state(self) -> tuple[float, ...]:
        """State that the next frame depends on."""

    def restore(self, state: Sequence[float]) -> None:
        """Go on as after the frame that left `state`."""

    def count(self, picture: NDArray[np.uint8]) -> int:
        """Number of people in a still picture, whomever it follows."""

    def people(self, picture: NDArray[np.uint8]) -> Sequence[DetectedPerson]:
        """Everybody whom it follows, in the next frame: `(h, w, 3)` RGB."""


Bbox: TypeAlias = tuple[float, float, float, float]
"""Left, top, right, bottom, px."""


@runtime_checkable
class BoxDetector(Protocol):
    """Finds the keypoints of whoever is in a box, which nobody has to be looked for in."""

    def person_in(self, picture: NDArray[np.uint8], bbox: Bbox) -> DetectedPerson | None:
        """The person in a box of a still picture `(h, w, 3)` RGB, at its size."""


@dataclass(frozen=True)
class DetectorEntry:
    """Class of a detector, and what it needs.

    place: `module:class`, loaded when it is needed; the module says DRAW_THRESHOLD, too,
        the score up to which keypoints aren't drawn.
    weights: the weights entry with its models; empty for one without.
    library: the package that runs them.
    options: names of `DetectorOptions` that it knows beside `hands` and `face`.
    onnx: whether ONNX Runtime runs it. Then it knows all of them, and the first file of its
        weights entry finds people, the second their keypoints.
    """

    place: str
    weights: str
    library: str = "ai-edge-litert"
    options: tuple[str, ...] = ()
    onnx: bool = False


DETECTORS: Final[dict[str, DetectorEntry]] = {
    "blazepose": DetectorEntry(
        "animcli.pose.detectors.blazepose.tracker:BlazePeople", "blazepose"
    ),
    "dwpose": DetectorEntry(
        "animcli.pose.detectors.dwpose:DWPose", "dwpose", "onnxruntime", onnx=True
    ),
    "openpose": DetectorEntry(
        "animcli.pose.detectors.openpose:OpenPose", "openpose", "torch", ("device",)
    ),
}

DEFAULT_DETECTOR: Final = "blazepose"


def detector_weights(name: str) -> tuple[str, ...]:
    """The weights entries that a detector wants."""
    weights = _entry(name).weights
    return (weights,) if weights else ()


def detector_libraries(name: str) -> tuple[str, ...]:
    """The packages whose version, or code, may change what a detector finds."""
    ours = ("animcli.pose", "animcli.video")
    return (_entry(name).library, "numpy", "opencv-python-headless", *ours)


def runs_on_onnx(name: str) -> bool:
    """Tell if ONNX Runtime runs a detector, so that one may choose how."""
    return _entry(name).onnx


def detector_options(name: str) -> tuple[str, ...]:
    """Names of `DetectorOptions` that a detector knows beside `hands` and `face`."""
    entry = _entry(name)
    return ("device", "detect_every", "bgr_input") if entry.onnx else entry.options


def open_detector(
    name: str, models: Path | None, options: DetectorOptions, files: Sequence[str] = ()
) -> Detector:
    """Load the detector called `name` from the folder with its models.

    files: what these are called, where ONNX Runtime runs them.
    """
    entry = _entry(name)
    module, _, kind = entry.place.partition(":")
    arguments: dict[str, object] = {"hands": options.hands, "face": options.face}
    arguments |= {option: getattr(options, option) for option in detector_options(name)}
    if entry.onnx:
        arguments["files"] = tuple(files)
    detector: Detector = getattr(import_module(module), kind)(models, **arguments)
    return detector


def find_in_picture(
    detector: Detector, picture: NDArray[np.uint8]
) -> DetectedPerson | None:
    """The person in a still picture, looked at until the keypoints of the body stay.

    A detector that follows people looks at the second frame of a video where the first
    has shown the person to be. A still picture gets the same chance: of one drawn figure
    the first look had a wrist at the chest, and the third where it was.
    """
    import numpy as np

    found = next(iter(detector.people(picture)), None)
    for _ in range(STILL_RUNS - 1):
        again = next(iter(detector.people(picture)), None)
        if found is None or again is None:
            break
        away = np.linalg.norm(again.points[BODY] - found.points[BODY], axis=1)
        height = np.ptp(again.points[BODY, 1])
        found = again
        if away.max() < STAYS * height:
            break
    return found


def draw_threshold(name: str) -> float:
    """The score up to which keypoints of this detector aren't drawn."""
    module, _, _ = _entry(name).place.partition(":")
    return float(import_module(module).DRAW_THRESHOLD)


def _entry(name: str) -> DetectorEntry:
    if name not in DETECTORS:
        raise UsageError(f"no detector '{name}'", f"there is {', '.join(DETECTORS)}")
    return DETECTORS[name]
