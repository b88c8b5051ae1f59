"""DWPose: everybody's body, feet, face and hands in the frames of a video.

YOLOX finds people, a whole-body network their keypoints. YOLOX is eight times as costly, so
it looks at every tenth frame only, and in between at those where somebody's keypoints
become unsure or nobody is there; in all others the boxes are drawn around the keypoints of
the frame before. The keypoints are found in a crop around each box, by a network that
classifies x and y apart (SimCC).

Sources: Yang et al., "Effective Whole-Body Pose Estimation", arXiv:2307.15880; Ge et al.,
"YOLOX: Exceeding YOLO Series in 2021", arXiv:2107.08430, in the export of DWPose's
repository, whose classes are COCO's 80 and whose scores are probabilities already (only
people are wanted: other classes are never decoded); Li et al., "SimCC: a Simple Coordinate
Classification Perspective for Human Pose Estimation", arXiv:2107.03332; RTMPose's crops and
normalisation, arXiv:2303.07399.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from animcli.errors import WeightsError
from animcli.pose.detectors.onnx import OnnxNetwork
from animcli.pose.keypoints import BODY, FACE, LEFT_HAND, RIGHT_HAND
from animcli.pose.layouts import COCO_WHOLE_BODY
from animcli.pose.tracking import Detection

STRIDES: Final = (8, 16, 32)
PERSON_CLASS: Final = 0  # COCO's first class
LETTERBOX_GREY: Final = 114  # what is beside the picture
CANDIDATE_SCORE: Final = 0.1  # score from which a box can suppress others
DETECTION_SCORE: Final = 0.3  # score from which it is somebody
NMS_IOU: Final = 0.45


def letterbox(
    picture: NDArray[np.uint8], size: tuple[int, int]
) -> tuple[NDArray[np.uint8], float]:
    """The picture in the top left corner of `(height, width)`, and how much it shrank."""
    height, width = picture.shape[:2]
    ratio = min(size[0] / height, size[1] / width)
    small = cv2.resize(
        picture, (int(width * ratio), int(height * ratio)), interpolation=cv2.INTER_LINEAR
    )
    padded = np.full((*size, 3), LETTERBOX_GREY, np.uint8)
    padded[: small.shape[0], : small.shape[1]] = small
    return padded, ratio


def grid(size: tuple[int, int]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Cells `(n, 2)` x, y and their strides `(n, 1)`, in the order of the rows."""
    cells, strides = [], []
    for stride in STRIDES:
        down, across = np.mgrid[: size[0] // stride, : size[1] // stride]
        cells.append(np.stack([across.ravel(), down.ravel()], axis=1))
        strides.append(np.full((across.size, 1), stride))
    return np.concatenate(cells).astype(np.float32), np.concatenate(strides).astype(
        np.float32
    )


def decode_boxes(
    raw: NDArray[np.float32],
    cells: NDArray[np.float32],
    strides: NDArray[np.float32],
    ratio: float,
) -> NDArray[np.float32]:
    """People as `(n, 5)`: left, top, right, bottom in pixels, score; the surest first.

    raw: `(rows, 85)`: centre, log size, objectness, classes.
    """
    score = raw[:, 4] * raw[:, 5 + PERSON_CLASS]
    kept = score > CANDIDATE_SCORE
    # Of all classes the candidate's own must be the likeliest, as far as suppression goes
    # it makes no difference: it works per class.
    raw, score = raw[kept], score[kept]
    middle = (raw[:, :2] + cells[kept]) * strides[kept]
    half = np.exp(raw[:, 2:4]) * strides[kept] / 2
    bboxes = np.concatenate([middle - half, middle + half], axis=1) / ratio
    order = score.argsort(kind="stable")[::-1]
    people = np.concatenate([bboxes, score[:, None]], axis=1)[order]
    people = people[nms(people)]
    return people[people[:, 4] > DETECTION_SCORE]


def nms(bboxes: NDArray[np.float32]) -> list[int]:
    """Non-maximum suppression: indices of the boxes `(n, 5)`, the surest first, to keep.

    Widths count the last pixel too, as they do upstream.
    """
    wide = bboxes[:, 2:4] - bboxes[:, :2] + 1
    area = wide[:, 0] * wide[:, 1]
    kept: list[int] = []
    left = np.arange(len(bboxes))
    while len(left):
        best, left = left[0], left[1:]
        kept.append(int(best))
        corner = np.minimum(bboxes[best, 2:4], bboxes[left, 2:4])
        shared = corner - np.maximum(bboxes[best, :2], bboxes[left, :2]) + 1
        common = shared.clip(min=0).prod(axis=1)
        left = left[common / (area[best] + area[left] - common) <= NMS_IOU]
    return kept


ROOM: Final = 1.25  # of the box, so that hands and feet are in the crop
SPLIT: Final = 2.0  # classes per pixel of the crop
MEAN: Final = np.array([123.675, 116.28, 103.53])  # of ImageNet, RGB
SPREAD: Final = np.array([58.395, 57.12, 57.375])
NORMAL: Final = ((np.arange(256) - MEAN[:, None]) / SPREAD[:, None]).astype(np.float32)
"""`(3, 256)`: the normalised value of each level of each channel."""


@dataclass(frozen=True)
class Crop:
    """A part of a picture, as wide and high as the network wants it to look.

    x, y: its middle. width, height: in pixels of the picture.
    """

    x: float
    y: float
    width: float
    height: float

    @classmethod
    def around(cls, bbox: NDArray[np.floating], size: tuple[int, int]) -> "Crop":
        """Around left, top, right, bottom; the shorter side grows to the aspect of `size`,
        `(height, width)`.
        """
        left, top, right, bottom = (float(edge) for edge in bbox[:4])
        aspect = size[1] / size[0]
        width, height = (right - left) * ROOM, (bottom - top) * ROOM
        if width > aspect * height:
            height = width / aspect
        else:
            width = height * aspect
        return cls((left + right) / 2, (top + bottom) / 2, width, height)

    def matrix(self, size: tuple[int, int]) -> NDArray[np.float64]:
        """`(2, 3)`: from the picture to a crop of `(height, width)` pixels."""
        k = size[1] / self.width
        return np.array(
            [[k, 0, size[1] / 2 - k * self.x], [0, k, size[0] / 2 - k * self.y]]
        )

    def cut(self, picture: NDArray[np.uint8], size: tuple[int, int]) -> NDArray[np.uint8]:
        """The crop, black beyond the picture."""
        cut = cv2.warpAffine(
            picture, self.matrix(size), (size[1], size[0]), flags=cv2.INTER_LINEAR
        )
        return np.asarray(cut, np.uint8)


def normalise(crop: NDArray[np.uint8], out: NDArray[np.float32]) -> None:
    """Write a crop `(h, w, 3)` to `out` `(3, h, w)` as networks want it."""
    for plane, levels, to in zip(cv2.split(crop), NORMAL, out, strict=True):
        cv2.LUT(plane, levels, to)


def decode_simcc(
    simcc_x: NDArray[np.float32],
    simcc_y: NDArray[np.float32],
    crops: list[Crop],
    size: tuple[int, int],
) -> tuple[NDArray[np.float64], NDArray[np.float32]]:
    """Keypoints in pixels of the picture, `(n, keypoints, 2)`, and scores `(n, keypoints)`.

    simcc_x, simcc_y: `(n, keypoints, classes)`. The score is the lower one of the two;
    where it isn't positive, the joint lies left of and above the crop, as upstream has it.
    """
    place = np.stack([simcc_x.argmax(axis=2), simcc_y.argmax(axis=2)], axis=2)
    score = np.minimum(simcc_x.max(axis=2), simcc_y.max(axis=2))
    inside = np.where(score[..., None] > 0, place / SPLIT, -1 / SPLIT)
    middle = np.array([[crop.x, crop.y] for crop in crops])
    scale = np.array([[crop.width, crop.height] for crop in crops])
    corner = middle - scale / 2
    share = inside / np.array([size[1], size[0]])
    return share * scale[:, None] + corner[:, None], score


DETECTOR_FILE: Final = "yolox_l.onnx"
POSE_FILE: Final = "dw-ll_ucoco_384.onnx"
DRAW_THRESHOLD: Final = 0.3

WHOLE_BODY_KEYPOINTS: Final = 133
DWPOSE_DETECT_EVERY: Final = 10  # frames between looks of the detector
UNSURE: Final = 0.5  # of its own running mean: a body score below is a reason to look again
MIN_KEYPOINTS: Final = (
    4  # body keypoints: somebody of whom less is seen isn't taken for anybody
)
AROUND: Final = (
    1.15  # of the keypoints' box: the keypoints end at eyes and toes, a person doesn't
)
SAME: Final = 0.05  # of the size: two people nearer to each other are one


@dataclass(frozen=True, eq=False)
class DWPoseState:
    """All that the next frame depends on.

    bboxes: `(n, 4)`, where to look for keypoints. sure: `(n,)`, running mean of each
    person's body score. since: frames since the detector looked; None before it ever did.
    """

    bboxes: NDArray[np.float32]
    sure: NDArray[np.float32]
    since: int | None

    @classmethod
    def nothing(cls) -> "DWPoseState":
        """Before the first frame."""
        return cls(np.zeros((0, 4), np.float32), np.zeros(0, np.float32), None)

    def to_numbers(self) -> tuple[float, ...]:
        """The same, to be kept with the keypoints of a part of a clip."""
        since = -1 if self.since is None else self.since
        people = np.concatenate([self.bboxes, self.sure[:, None]], axis=1)
        return (float(since), *map(float, people.ravel()))

    @classmethod
    def from_numbers(cls, numbers: Sequence[float]) -> "DWPoseState":
        """Inverse of `to_numbers`."""
        since = int(numbers[0])
        people = np.array(numbers[1:], np.float32).reshape(-1, 5)
        return cls(people[:, :4], people[:, 4], None if since < 0 else since)


class DWPose:
    """Follows everybody through frames, given one after another.

    models: the folder with the two files. hands, face: whether to tell them; the network
    finds them in any case. device: `cpu` or `cuda`. threads: of a run.
    detect_every: frames from one look of the detector to the next.
    bgr_input: give both networks BGR, as the published script does; in their training the
    detector had BGR and the keypoint network RGB.
    files: of the detector and of the keypoints, where they have other names than DWPose's.
    """

    def __init__(
        self,
        models: Path,
        *,
        hands: bool = True,
        face: bool = True,
        device: str = "cpu",
        threads: int = 1,
        detect_every: int = DWPOSE_DETECT_EVERY,
        bgr_input: bool = False,
        files: tuple[str, str] = (DETECTOR_FILE, POSE_FILE),
    ) -> None:
        if detect_every < 1:
            raise ValueError(
                f"the detector looks every 1 or more frames, got {detect_every}"
            )
        hidden = () if hands else (LEFT_HAND, RIGHT_HAND)
        self._hidden: tuple[slice, ...] = hidden if face else (*hidden, FACE)
        self._files = files
        self._detector = OnnxNetwork(models / files[0], device, threads)
        self._pose = OnnxNetwork(models / files[1], device, threads)
        self._detect_every = detect_every
        self._bgr_input = bgr_input
        self._cells: tuple[NDArray[np.float32], NDArray[np.float32]] | None = None
        self._state = DWPoseState.nothing()

    @property
    def state(self) -> tuple[float, ...]:
        """All that the next frame depends on.

        Frames since the detector looked, -1 before it ever did; then left, top, right,
        bottom and usual score of each person.
        """
        return self._state.to_numbers()

    def restore(self, state: Sequence[float]) -> None:
        """Go on as after the frame that left `state`; `(-1,)` is before any frame."""
        self._state = DWPoseState.from_numbers(state)

    def people(self, picture: NDArray[np.uint8]) -> tuple[Detection, ...]:
        """The people of the next frame, nobody being an empty tuple.

        picture: `(h, w, 3)` uint8 RGB.
        """
        state = self._state
        due = state.since is None or state.since + 1 >= self._detect_every
        looked = due or not len(state.bboxes)
        people: list[Detection] = []
        sure = np.zeros(0, np.float32)
        if not looked:
            people = self._joints(picture, state.bboxes)
            sure = body_scores(people)
            looked = bool((sure < UNSURE * state.sure).any())
        if looked:
            people = self._joints(picture, self._boxes(picture))
            sure = body_scores(people)
        kept = distinct_people(people, sure)
        people = [people[index] for index in kept]
        before = 0 if looked else (state.since or 0) + 1
        usual = sure[kept] if looked else 0.9 * state.sure[kept] + 0.1 * sure[kept]
        self._state = DWPoseState(bboxes_around(people), usual.astype(np.float32), before)
        return tuple(self._told(one) for one in people if is_somebody(one))

    def count(self, picture: NDArray[np.uint8]) -> int:
        """Number of people in a still picture; whom `people` follows isn't touched."""
        people = self._joints(picture, self._boxes(picture))
        return len(distinct_people(people, body_scores(people)))

    def person_in(
        self, picture: NDArray[np.uint8], bbox: tuple[float, float, float, float]
    ) -> Detection | None:
        """The person who fills a box of a still picture; whom `people` follows isn't
        touched.
        """
        [person] = self._joints(picture, np.array([bbox], np.float32))
        return self._told(person) if is_somebody(person) else None

    def _told(self, person: Detection) -> Detection:
        """A person without the parts that weren't asked for."""
        if not self._hidden:
            return person
        scores = person.scores.copy()
        for part in self._hidden:
            scores[part] = 0
        return Detection(person.points, scores)

    def _boxes(self, picture: NDArray[np.uint8]) -> NDArray[np.float32]:
        """`(n, 4)` boxes of the detector."""
        size = self._detector.input_size
        if self._cells is None:
            self._cells = grid(size)
        padded, ratio = letterbox(picture, size)
        planes = np.ascontiguousarray(padded[..., ::-1].transpose(2, 0, 1), np.float32)
        raw = self._detector.run(planes[None])[0]
        if raw.shape[1:] != (len(self._cells[0]), 85):
            raise WeightsError(
                f"{self._files[0]}: gives {raw.shape}, (1, {len(self._cells[0])}, 85) "
                "was expected",
                "is it YOLOX for COCO's 80 classes?",
            )
        return decode_boxes(raw[0], *self._cells, ratio)[:, :4]

    def _joints(
        self, picture: NDArray[np.uint8], bboxes: NDArray[np.float32]
    ) -> list[Detection]:
        """Detections in the boxes, in one run of the network."""
        if not len(bboxes):
            return []
        size = self._pose.input_size
        crops = [Crop.around(bbox, size) for bbox in bboxes]
        batch = np.empty((len(bboxes), 3, *size), np.float32)
        for crop, out in zip(crops, batch, strict=True):
            cut = crop.cut(picture, size)
            published = self._bgr_input
            normalise(cut[..., ::-1] if published else cut, out)
        simcc_x, simcc_y = self._pose.run(batch)[:2]
        classes = (int(size[1] * SPLIT), int(size[0] * SPLIT))
        for axis, found in zip(classes, (simcc_x, simcc_y), strict=True):
            if found.shape[1:] != (WHOLE_BODY_KEYPOINTS, axis):
                raise WeightsError(
                    f"{self._files[1]}: gives {found.shape}, "
                    f"(n, {WHOLE_BODY_KEYPOINTS}, {axis}) was expected",
                    "is it a whole-body model of 133 keypoints?",
                )
        points, scores = decode_simcc(simcc_x, simcc_y, crops, size)
        points, scores = COCO_WHOLE_BODY.convert(points, scores.clip(0, 1))
        return [
            Detection(place.astype(np.float32), score)
            for place, score in zip(points, scores, strict=True)
        ]


def body_scores(people: Sequence[Detection]) -> NDArray[np.float32]:
    """`(n,)`: the mean score of each body."""
    return np.array([person.scores[BODY].mean() for person in people], np.float32)


def is_somebody(person: Detection) -> bool:
    """Tell if enough keypoints are visible to speak of a person."""
    return int((person.scores[BODY] > DRAW_THRESHOLD).sum()) >= MIN_KEYPOINTS


def distinct_people(people: Sequence[Detection], sure: NDArray[np.float32]) -> list[int]:
    """Indices of people without duplicates: two boxes can come to lie on one person."""
    kept: list[int] = []
    for index in (-sure).argsort(kind="stable").tolist():
        if not is_somebody(people[index]):
            continue
        if all(are_two_people(people[index], people[other]) for other in kept):
            kept.append(index)
    return sorted(kept)


def are_two_people(one: Detection, other: Detection) -> bool:
    """Tell if two detections are two people."""
    both = (one.scores[BODY] > DRAW_THRESHOLD) & (other.scores[BODY] > DRAW_THRESHOLD)
    if not both.any():
        return True
    ours, theirs = one.points[BODY][both], other.points[BODY][both]
    away = float(np.linalg.norm(ours - theirs, axis=1).mean())
    return away > SAME * float(np.ptp(ours, axis=0).max())


def bboxes_around(people: Sequence[Detection]) -> NDArray[np.float32]:
    """`(n, 4)`: where to look for each of `people` in the next frame."""
    bboxes = np.zeros((len(people), 4), np.float32)
    for row, person in zip(bboxes, people, strict=True):
        bbox = person.bbox(DRAW_THRESHOLD)
        if bbox is not None:
            middle, half = (bbox[:2] + bbox[2:]) / 2, (bbox[2:] - bbox[:2]) / 2 * AROUND
            row[:2], row[2:] = middle - half, middle + half
    return bboxes
