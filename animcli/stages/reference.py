"""The picture of the character: brought to the size of the result, and its keypoints found.

Keypoints are looked for in the whole picture, however small the figure is in it, and
brought to the size of the result together with it.
"""

import re
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, ClassVar, Final, TypeAlias

from animcli.errors import InputError, UsageError
from animcli.files import atomic_path
from animcli.pipeline.stage import RunContext, Source, Stage, display_name
from animcli.pose.detectors.registry import DEFAULT_DETECTOR
from animcli.stages.extract import DetectorStage
from animcli.stages.fitting import Fit

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from animcli.pose.detectors.registry import DetectedPerson, Detector
    from animcli.pose.sequence import PoseSequence

ALIKE: Final = 1.1
"""Ratio of the sides' proportions up to which another shape is worth no word."""


@dataclass(frozen=True)
class FitPicture(Stage):
    """Brings a picture to a size. Room beside it has an alpha of 0.

    What lies under its own alpha is laid on white, as videos are, so that nothing sees what
    the picture hides.

    size: `(width, height)`, multiples of 8; None keeps the picture's own.
    by_lanczos: see `fit_picture`.
    """

    name: ClassVar[str] = "fit-picture"
    revision: ClassVar[int] = 4
    suffix: ClassVar[str] = ".png"
    libraries: ClassVar[tuple[str, ...]] = ("numpy", "opencv-python-headless", "pillow")

    picture: Source
    size: tuple[int, int] | None = None
    fit: Fit = Fit.PAD
    by_lanczos: bool = False

    def run(self, context: RunContext) -> None:
        import numpy as np

        from animcli.stages.fitting import fit_picture
        from animcli.video.images import on_white, read_picture, write_picture

        picture = read_picture(context.inputs["picture"])
        for line in picture.notes:
            context.warn(f"{display_name(self.picture)}: {line}")
        alpha = picture.alpha
        if alpha is None:
            alpha = np.full(picture.pixels.shape[:2], 255, np.uint8)
        pixels = np.dstack([on_white(picture), alpha])
        if self.size is not None:
            check_size(self.size)
            own = (alpha.shape[1], alpha.shape[0])
            if self.fit is Fit.PAD and (line := of_another_shape(own, self.size)):
                context.warn(f"{display_name(self.picture)}: {line}")
            pixels = fit_picture(pixels, self.size, self.fit, by_lanczos=self.by_lanczos)
        with atomic_path(context.out) as part:
            write_picture(part, pixels)


@dataclass(frozen=True)
class FitClip(Stage):
    """Brings every frame of a drawn video (DensePose, skeletons) to a size.

    video: footage, or a folder of frames that another stage makes.

    size: `(width, height)`, multiples of 8.
    """

    name: ClassVar[str] = "fit-clip"
    revision: ClassVar[int] = 2
    videos: ClassVar[tuple[str, ...]] = ("video",)
    libraries: ClassVar[tuple[str, ...]] = (
        "av",
        "numpy",
        "opencv-python-headless",
        "pillow",
    )

    video: Source
    size: tuple[int, int]
    fit: Fit = Fit.PAD

    def run(self, context: RunContext) -> None:
        from collections.abc import Iterator
        from itertools import islice

        import numpy as np
        from numpy.typing import NDArray

        from animcli.stages.fitting import fit_picture
        from animcli.stages.frames import INDEX, make_frames, open_frames
        from animcli.video.limits import Limits
        from animcli.video.reader import open_footage

        check_size(self.size)
        video = context.inputs["video"]
        if (video / INDEX).is_file():
            folder = open_frames(video)
            make_frames(
                context,
                "fitting the video",
                lambda span: (
                    fit_picture(picture, self.size, self.fit)
                    for picture in islice(folder.read(span.start), len(span))
                ),
                folder.frames,
                self.size,
                folder.rate,
            )
            return
        with open_footage(video, limits=Limits(least_frames=2)) as reader:
            for line in reader.info.notes:
                context.warn(line)
            frames = reader.info.frames or sum(1 for _ in reader.frames())

            def fitted(span: range) -> Iterator[NDArray[np.uint8]]:
                for frame in reader.frames(span.start, span.stop):
                    yield fit_picture(frame.picture, self.size, self.fit)

            rate = reader.info.rate
            make_frames(context, "fitting the video", fitted, frames, self.size, rate)


@dataclass(frozen=True)
class FindPose(DetectorStage):
    """Finds the keypoints of a person in a picture: a motion of one frame.

    size, fit: of the result, in whose pixels the keypoints are then told; None: in those of
        the picture.
    person: `largest`, `center`, a number from 1, counted from the left, or the box
        `left,top,right,bottom` in pixels of the picture; None where there is to be one
        alone.
    """

    name: ClassVar[str] = "find-pose"
    revision: ClassVar[int] = 5
    suffix: ClassVar[str] = ".pose"

    picture: Source
    detector: str = DEFAULT_DETECTOR
    size: tuple[int, int] | None = None
    fit: Fit = Fit.PAD
    person: str | None = None

    def run(self, context: RunContext) -> None:
        from animcli.pose.detectors.registry import (
            BoxDetector,
            DetectorOptions,
            draw_threshold,
            find_in_picture,
        )
        from animcli.pose.io_pose import write_pose
        from animcli.pose.tracking import Detection, choose, tracks_of
        from animcli.stages.detection import open_for
        from animcli.stages.doubt import LOOKED_AGAIN, doubt_of_figure, figure_box
        from animcli.stages.fitting import fit_motion
        from animcli.video.images import on_white, read_picture

        picture = read_picture(context.inputs["picture"])
        pixels = on_white(picture)
        detector = open_for(context, self.detector, DetectorOptions())
        size = (pixels.shape[1], pixels.shape[0])
        found: DetectedPerson | None
        if (box := box_of(self.person)) is not None:
            found = _found_in(box, pixels, detector, display_name(self.picture))
        elif self.person is not None:
            people = [Detection(one.points, one.scores) for one in detector.people(pixels)]
            threshold = draw_threshold(self.detector)
            found = None
            if tracks := tracks_of([people], threshold):  # numbered from the left
                self._check_number(len(tracks))
                found = choose(tracks, self.person, size, threshold).people[0]
        else:
            found = find_in_picture(detector, pixels)
        sequence: PoseSequence | None = None
        doubt = LOOKED_AGAIN
        if found is not None:
            sequence = self._pose(context, found, size)
            doubt = doubt_of_figure(sequence, pixels, picture.alpha)
        if doubt and self.person is None and isinstance(detector, BoxDetector):
            bbox = figure_box(pixels, picture.alpha)
            again = None if bbox is None else detector.person_in(pixels, bbox)
            other = None if again is None else self._pose(context, again, size)
            if other is not None and not doubt_of_figure(other, pixels, picture.alpha):
                sequence, doubt = other, LOOKED_AGAIN
        if sequence is None:
            raise InputError(
                f"{display_name(self.picture)}: found 0 persons",
                "use a full-body, front-facing picture on a plain background, "
                "and at least a quarter of the picture high",
            )
        count = detector.count(pixels) if self.person is None else 1
        if count > 1:
            raise InputError(
                f"{display_name(self.picture)}: found {count} persons",
                "--reference-person largest, center or N from the left says who is meant",
            )
        doubts = [doubt]
        if self.size is not None:
            sequence = fit_motion(sequence, self.size, self.fit)
            doubts.append(_cut_off(sequence))
        for doubt in filter(None, doubts):
            context.warn(f"{display_name(self.picture)}: {doubt}")
        with atomic_path(context.out) as part:
            write_pose(part, sequence)

    def _pose(
        self, context: RunContext, found: "DetectedPerson", size: tuple[int, int]
    ) -> "PoseSequence":
        """A motion of one frame of somebody who was found in the picture."""
        from animcli.pose.detectors.registry import draw_threshold
        from animcli.pose.sequence import Origin, PoseSequence, even_ticks

        ticks, time_base = even_ticks(1, Fraction(1))
        key = context.cache_key
        return PoseSequence(
            points=found.points[None],
            scores=found.scores[None],
            ticks=ticks,
            time_base=time_base,
            size=size,
            draw_threshold=draw_threshold(self.detector),
            origin=Origin(
                source={"sha256": key.inputs["picture"]},
                detector={"backend": self.detector, "models": dict(key.weights)},
            ),
        )

    def _check_number(self, people: int) -> None:
        """Raise InputError where somebody is meant of whom the detector knows nothing."""
        number = self.person if self.person is not None and self.person.isdecimal() else 0
        if int(number) > people:
            found = "1 was" if people == 1 else f"{people} were"
            raise InputError(
                f"{display_name(self.picture)}: there is no person {number}: {found} found",
                "a box says where it is: --reference-person left,top,right,bottom, or "
                "box = [left, top, right, bottom] in a cast, in pixels of the picture",
            )


Box: TypeAlias = tuple[int, int, int, int]
"""Left, top, right, bottom, px."""


def box_of(person: str | None) -> Box | None:
    """The box that `FindPose.person` says, if it does."""
    if person is None or not re.fullmatch(r"\d{1,6}(,\d{1,6}){3}", person):
        return None
    left, top, right, bottom = map(int, person.split(","))
    return left, top, right, bottom


def _found_in(
    box: Box, pixels: "NDArray[np.uint8]", detector: "Detector", name: str
) -> "DetectedPerson | None":
    """The person inside a box of a picture, in pixels of all of it."""
    import numpy as np

    from animcli.pose.detectors.registry import find_in_picture
    from animcli.pose.tracking import Detection

    left, top, right, bottom = box
    inside = pixels[top:bottom, left:right]
    if inside.size == 0:
        height, width, _ = pixels.shape
        raise InputError(
            f"{name}: the box {left},{top},{right},{bottom} lies outside of it",
            f"left,top,right,bottom within {width}x{height}",
        )
    found = find_in_picture(detector, inside.copy())
    if found is None:
        return None
    corner = np.array([left, top], np.float32)
    return Detection(found.points + corner, found.scores)


def _cut_off(fitted: "PoseSequence") -> str:
    """A line where keypoints of a picture's figure lie outside of the result."""
    from animcli.pose.keypoints import BODY

    body, visible = fitted.points[0, BODY], fitted.visible[0, BODY]
    outside = ((body < 0) | (body > fitted.size)).any(axis=1) & visible
    if not outside.any():
        return ""
    return (
        f"the result cuts off {outside.sum()} of the figure's {visible.sum()} keypoints; "
        "--fit pad shows the whole picture"
    )


def of_another_shape(own: tuple[int, int], size: tuple[int, int]) -> str:
    """A line where a picture leaves much room beside it in the result; else empty."""
    ratio = own[0] / own[1] / (size[0] / size[1])
    if 1 / ALIKE < ratio < ALIKE:
        return ""
    scale = (size[0] * size[1] / (own[0] * own[1])) ** 0.5
    return (
        f"is {own[0]}x{own[1]}, of another shape than the result of {size[0]}x{size[1]}: "
        "its border goes on beside it; --size {}x{} has none".format(*_of_shape(own, scale))
    )


def _of_shape(own: tuple[int, int], scale: float) -> tuple[int, int]:
    width, height = (max(64, round(side * scale / 8) * 8) for side in own)
    return width, height


@dataclass(frozen=True)
class FitKeypoints(Stage):
    """Brings keypoints given by hand to where `FitPicture` brings the picture.

    keypoints: a `.pose`, of which the first frame counts. picture: what they lie in.
    """

    name: ClassVar[str] = "fit-keypoints"
    revision: ClassVar[int] = 1
    suffix: ClassVar[str] = ".pose"
    libraries: ClassVar[tuple[str, ...]] = ("animcli.pose", "numpy", "pillow")

    keypoints: Source
    picture: Source
    size: tuple[int, int]
    fit: Fit = Fit.PAD

    def run(self, context: RunContext) -> None:
        from dataclasses import replace

        from animcli.pose.io_pose import read_pose, write_pose
        from animcli.stages.fitting import fit_motion
        from animcli.video.images import read_picture

        said = read_pose(context.inputs["keypoints"])
        height, width, _ = read_picture(context.inputs["picture"]).pixels.shape
        if said.size != (width, height):
            raise InputError(
                f"{display_name(self.keypoints)} has places in a picture of "
                f"{said.size[0]}x{said.size[1]}, and {display_name(self.picture)} is "
                f"{width}x{height}",
                "give keypoints in pixels of the picture, with its size as their canvas",
            )
        first = replace(
            said, points=said.points[:1], scores=said.scores[:1], ticks=said.ticks[:1]
        )
        with atomic_path(context.out) as part:
            write_pose(part, fit_motion(first, self.size, self.fit))


def check_size(size: tuple[int, int]) -> None:
    """Raise UsageError for a size that networks can't take, naming the nearest."""
    if any(side < 64 or side % 8 for side in size):
        near = "x".join(str(max(64, (side + 4) // 8 * 8)) for side in size)
        raise UsageError(
            f"{size[0]}x{size[1]}: both sides must be multiples of 8, and 64 or more",
            f"nearest {near}",
        )
