"""Corrections of a motion by hand: edits as data, and what they do to the keypoints.

An edit moves, hides or restores a joint, or exchanges left and right. A moved joint pulls
its path along: the offset from the detected path is interpolated between edited frames
(Fritsch and Carlson's monotone cubic, 1980) and fades to nothing over the reach. Outside of
it no bit changes.

A moved joint stays on the circle around what it hangs on, as far away as the detector had
it in each frame, and takes along all that hangs on it, so that no bone changes its length.
A free one moves by itself; only its hand, its toes or the face go with it.
"""

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import KW_ONLY, dataclass, replace
from fractions import Fraction
from hashlib import sha256
from pathlib import Path
from typing import Any, Final, Literal, TypeAlias, get_args

import numpy as np
from numpy.typing import NDArray
from scipy.interpolate import PchipInterpolator

from animcli.errors import InputError, reason_of
from animcli.pose import keypoints as s
from animcli.pose.bones import KEYPOINT_PARENTS, fill_track
from animcli.pose.filtering import mirror_pairs, runs
from animcli.pose.io_pose import fraction
from animcli.pose.sequence import PoseSequence
from animcli.settings import suggest

SCHEMA: Final = 1
MOST_REACH: Final = 6
"""Frames to each side that an edit reaches by itself."""
USUAL_BEST: Final = 0.9
"""Quantile of a joint's scores by which it is told where the detector was sure of it."""
MOST_EDITS: Final = 100_000
MAX_FILE_BYTES: Final = 32 << 20  # bytes of a file of edits
FILLED_SCORE: Final = 0.75
"""Score of a joint that was filled in between edits; of an edited one it is 1."""

LimbGroup: TypeAlias = Literal["all", "arms", "legs"]


@dataclass(frozen=True)
class MoveJoint:
    """A joint put somewhere else.

    x, y: pixels of the motion's picture. reach: frames to each side; None reaches to the
    next frame where the detector was sure, at most MOST_REACH. free: its bone may change
    its length. at: when the frame is shown, in seconds of the footage, as a fraction; "" if
    it isn't said.
    """

    frame: int
    joint: int
    x: float
    y: float
    reach: int | None = None
    free: bool = False
    _: KW_ONLY
    at: str = ""


@dataclass(frozen=True)
class ShowJoint:
    """A joint hidden in the frames `frame` to `last`, or shown where it was doubtful."""

    frame: int
    last: int
    joint: int
    hidden: bool
    at: str = ""


@dataclass(frozen=True)
class SwapSides:
    """Left and right exchanged in the frames `frame` to `last`."""

    frame: int
    last: int
    side: LimbGroup = "all"
    at: str = ""


Edit: TypeAlias = MoveJoint | ShowJoint | SwapSides


@dataclass(frozen=True)
class Corrections:
    """Edits of one motion, in the order in which they were made.

    source: SHA-256 of the footage that they were made on; "" if it isn't said.
    size: `(width, height)` of the picture that places are in; none for the motion's own.
    """

    edits: tuple[Edit, ...]
    source: str = ""
    size: tuple[int, int] | None = None

    @property
    def digest(self) -> str:
        """SHA-256 of the edits, in hex."""
        return sha256(json.dumps(as_json(self), sort_keys=True).encode()).hexdigest()


def joint_names() -> tuple[str, ...]:
    """Names of the 134 keypoints, as files of edits say them."""
    face = tuple(f"face_{point}" for point in range(s.FACE.stop - s.FACE.start))
    hands = tuple(f"{side}_hand_{n}" for side in ("left", "right") for n in range(21))
    return (*s.BODY_NAMES, *s.FEET_NAMES, *face, *hands)


JOINT_NAMES: Final = joint_names()


_SHOWN: Final = "docs/guide/correcting.md shows what edits are"
_ORDER: Final = "the edits come first: anim correct-pose edits.json dance.pose"


def read_corrections(path: Path) -> Corrections:
    """Edits from a JSON file. Raises InputError, naming the edit and what is wrong."""
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise InputError(f"{path}: {reason_of(error)}") from error
    if len(raw) > MAX_FILE_BYTES:
        raise InputError(
            f"{path}: larger than {MAX_FILE_BYTES >> 20} MB, which no edits are", _ORDER
        )
    try:
        table = json.loads(raw)
    except UnicodeError as error:
        raise InputError(f"{path}: isn't JSON, and no text at all", _ORDER) from error
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path}: isn't JSON: {error}", _SHOWN) from error
    try:
        return parse_corrections(table)
    except ValueError as error:
        raise InputError(f"{path}: {error}", _SHOWN) from error


def parse_corrections(table: object) -> Corrections:
    """Edits from what a JSON file holds. Raises ValueError."""
    if not isinstance(table, dict) or not isinstance(table.get("edits"), list):
        raise ValueError('isn\'t {"edits": [...]}')
    if table.get("schema", SCHEMA) != SCHEMA:
        raise ValueError(
            f"its schema is {table['schema']}, and this animcli reads {SCHEMA}"
        )
    if len(table["edits"]) > MOST_EDITS:
        raise ValueError(f"more than {MOST_EDITS:,} edits")
    edits = []
    for number, each in enumerate(table["edits"], 1):
        try:
            edits.append(parse_edit(each))
        except ValueError as error:
            raise ValueError(f"edit {number}: {error}") from error
    source, size = table.get("source", ""), table.get("size")
    if not isinstance(source, str):
        raise ValueError("source is the SHA-256 of the footage")
    if size is not None:
        if not isinstance(size, list) or len(size) != 2:
            raise ValueError("size is [width, height]")
        size = (_whole(size[0], "width"), _whole(size[1], "height"))
    return Corrections(tuple(edits), source, size)


MOVE_KEYS: Final = frozenset({"frame", "joint", "x", "y", "reach", "free", "at"})
SHOW_KEYS: Final = frozenset({"frame", "to", "joint", "hidden", "restored", "at"})
SWAP_KEYS: Final = frozenset({"frame", "to", "swap", "at"})


def parse_edit(table: object) -> Edit:
    """One edit. Raises ValueError."""
    if not isinstance(table, dict):
        raise ValueError(f"an edit is an object, not {table!r}")
    frame, at = _whole(table.get("frame"), "frame"), table.get("at", "")
    if at != "" and (not isinstance(at, str) or (at != "0" and not fraction(at))):
        raise ValueError("at is seconds as a fraction, such as 7/24")
    last = _whole(table.get("to", frame), "to")
    if last < frame:
        raise ValueError(f"to {last} comes before frame {frame}")
    if "swap" in table:
        _only(table, SWAP_KEYS)
        if table["swap"] not in get_args(LimbGroup):
            raise ValueError(
                f"swap is {', '.join(get_args(LimbGroup))}, not {table['swap']!r}"
            )
        return SwapSides(frame, last, table["swap"], at)
    joint = _joint(table.get("joint"))
    if "hidden" in table or "restored" in table:
        _only(table, SHOW_KEYS)
        hidden = table.get("hidden", False)
        if hidden == table.get("restored", False) or not isinstance(hidden, bool):
            raise ValueError("either hidden or restored is true")
        return ShowJoint(frame, last, joint, hidden, at)
    _only(table, MOVE_KEYS)
    reach, free = table.get("reach"), table.get("free", False)
    if reach is not None:
        _whole(reach, "reach")
    if not isinstance(free, bool):
        raise ValueError(f"free is true or false, not {free!r}")
    x, y = _number(table.get("x"), "x"), _number(table.get("y"), "y")
    return MoveJoint(frame, joint, x, y, reach, free, at=at)


def _only(table: Mapping[str, object], known: Iterable[str]) -> None:
    for name in table:
        if name not in known:
            raise ValueError(f"there is no key {name}; {suggest(name, known)}".rstrip("; "))


def _joint(said: object) -> int:
    if isinstance(said, int) and not isinstance(said, bool) and 0 <= said < s.KEYPOINTS:
        return said
    if said in JOINT_NAMES:
        return JOINT_NAMES.index(str(said))
    raise ValueError(f"no joint {said!r}; {suggest(str(said), JOINT_NAMES)}".rstrip("; "))


def _whole(said: object, name: str) -> int:
    if isinstance(said, bool) or not isinstance(said, int) or not 0 <= said <= 10_000_000:
        raise ValueError(f"{name} is a whole number from 0, not {said!r}")
    return said


def _number(said: object, name: str) -> float:
    number = isinstance(said, int | float) and not isinstance(said, bool)
    if not number or not math.isfinite(said) or abs(said) > 1e6:  # type: ignore[arg-type]
        raise ValueError(f"{name} is a number of pixels, not {said!r}")
    return float(said)  # type: ignore[arg-type]


def correct(
    sequence: PoseSequence, corrections: Corrections
) -> tuple[PoseSequence, list[str]]:
    """The motion with the edits done, and lines about those that couldn't be.

    Edits that say when their frame is shown go to the frame that this motion shows then.
    """
    edits, notes = locate_edits(sequence, corrections)
    points, scores = sequence.points.astype(np.float64), sequence.scores.copy()
    for swap in (each for each in edits if isinstance(each, SwapSides)):
        _swap(points, scores, swap)
    sequence = replace(sequence, points=points.astype(np.float32), scores=scores.copy())
    marks: dict[tuple[int, int], MoveJoint | ShowJoint] = {}
    for each in edits:
        if isinstance(each, ShowJoint):
            for frame in range(each.frame, each.last + 1):
                marks[frame, each.joint] = each
        elif isinstance(each, MoveJoint):
            marks[each.frame, each.joint] = each
    lost = []
    for (frame, joint), mark in marks.items():
        if isinstance(mark, ShowJoint) and mark.hidden:
            scores[frame, joint] = points[frame, joint] = 0
        elif isinstance(mark, ShowJoint) and scores[frame, joint] > 0:
            scores[frame, joint] = 1
        elif isinstance(mark, ShowJoint):
            lost.append(JOINT_NAMES[joint])
    if lost:
        names = ", ".join(dict.fromkeys(lost))
        notes.append(f"nothing was found of {names} that could be restored; move it there")
    moves: dict[int, dict[int, MoveJoint]] = {}
    for (frame, joint), mark in marks.items():
        if isinstance(mark, MoveJoint):
            moves.setdefault(joint, {})[frame] = mark
    for joint in sorted(moves, key=ORDER.__getitem__):
        _move(sequence, points, scores, joint, moves[joint])
    corrected = {
        "edits": len(edits),
        "left_out": len(corrections.edits) - len(edits),
        "sha256": corrections.digest,
    }
    made = replace(
        sequence,
        points=points.astype(np.float32),
        scores=scores,
        origin=replace(sequence.origin, corrections=corrected),
    )
    return made, notes


def locate_edits(
    sequence: PoseSequence, corrections: Corrections
) -> tuple[list[Edit], list[str]]:
    """The edits, each at its frame of this motion, and lines about the others."""
    source, size = sequence.origin.source.get("sha256"), corrections.size
    if size is not None and size != sequence.size:
        raise InputError(
            f"the edits are for a picture of {size[0]}x{size[1]}, and the motion's has "
            f"{sequence.size[0]}x{sequence.size[1]}",
            "correct the motion as it was found, before it is retargeted",
        )
    notes = []
    if corrections.source and source and corrections.source != source:
        notes.append("the edits were made on other footage than this motion comes from")
    whole = (sequence.ticks - sequence.ticks[:1]).tolist()
    start = sequence.begins
    frames = {start + tick * sequence.time_base: n for n, tick in enumerate(whole)}
    kept: list[Edit] = []
    for edit in corrections.edits:
        frame = edit.frame if edit.at == "" else frames.get(Fraction(edit.at), -1)
        shift, last = frame - edit.frame, getattr(edit, "last", edit.frame)
        if frame >= 0 and last + shift < len(sequence):
            if shift and isinstance(edit, MoveJoint):
                edit = replace(edit, frame=frame)
            elif shift and not isinstance(edit, MoveJoint):
                edit = replace(edit, frame=frame, last=last + shift)
            kept.append(edit)
    if lacking := len(corrections.edits) - len(kept):
        notes.append(
            f"{lacking} of {len(corrections.edits)} edits are for frames that this motion "
            "doesn't have; they are left out"
        )
    return kept, notes


PAIRS: Final[Mapping[str, Sequence[int]]] = {
    "arms": (0,),
    "legs": (1,),
    "all": (0, 1),
}
FACE_PAIRS: Final = ((s.LEFT_EYE, s.RIGHT_EYE), (s.LEFT_EAR, s.RIGHT_EAR))


def _swap(
    points: NDArray[np.float64], scores: NDArray[np.float32], swap: SwapSides
) -> None:
    groups = mirror_pairs()
    pairs = [pair for group in PAIRS[swap.side] for pair in groups[group]]
    if swap.side == "all":
        pairs += FACE_PAIRS
    left, right = np.array(pairs).T
    span = np.arange(swap.frame, swap.last + 1)
    for rows in (points, scores):
        both = np.ix_(span, [*left, *right])
        rows[both] = rows[np.ix_(span, [*right, *left])]


ORDER: Final = {joint: n for n, joint in enumerate(KEYPOINT_PARENTS)}
"""Place of each joint in an order in which parents come before their children."""


def followers(joint: int, *, free: bool) -> list[int]:
    """Keypoints that a moved one takes along; of a free one only parts of no body joint."""
    found, stack = [], [joint]
    while stack:
        above = stack.pop()
        for child, parent in KEYPOINT_PARENTS.items():
            if parent == above and not (free and child < s.FEET.start):
                stack.append(child)
                if child < s.KEYPOINTS:
                    found.append(child)
    return found


def reach_of(sequence: PoseSequence, move: MoveJoint) -> tuple[int, int]:
    """Frames before and behind a moved joint's that move along."""
    if move.reach is not None:
        return move.reach, move.reach
    scores = sequence.scores[:, move.joint]
    visible = scores[scores > sequence.draw_threshold]
    best = float(np.quantile(visible, USUAL_BEST)) if len(visible) else 1.0
    sure = scores >= (sequence.draw_threshold + best) / 2

    def one_way(step: int) -> int:
        for away in range(1, MOST_REACH + 1):
            frame = move.frame + step * away
            if not 0 <= frame < len(sequence) or sure[frame]:
                return away - 1
        return MOST_REACH

    return one_way(-1), one_way(1)


def _move(
    sequence: PoseSequence,
    points: NDArray[np.float64],
    scores: NDArray[np.float32],
    joint: int,
    moves: Mapping[int, MoveJoint],
) -> None:
    """Move one joint in place, and what follows it.

    sequence: before anything was moved, which says how long bones are.
    """
    frames, at = len(sequence), sorted(moves)
    parent = KEYPOINT_PARENTS[joint] if KEYPOINT_PARENTS[joint] < s.KEYPOINTS else None
    visible = scores[:, joint] > 0
    lengths = _lengths(sequence, joint, parent)
    known, base = visible.copy(), points[:, joint].copy()
    targets: dict[int, NDArray[np.float64]] = {}
    for frame in at:
        target = np.array([moves[frame].x, moves[frame].y])
        if not moves[frame].free:
            target = _on_circle(target, points, scores, frame, parent, lengths)
        targets[frame] = target
        if not visible[frame]:
            base[frame], known[frame] = target, True
    base = fill_track(base, known)
    knots: dict[int, NDArray[np.float64]] = {}
    covered, kept = np.zeros(frames, bool), np.zeros(frames, bool)
    for frame in at:
        before, behind = reach_of(sequence, moves[frame])
        first, last = max(0, frame - before), min(frames - 1, frame + behind)
        covered[first : last + 1] = True
        kept[first : last + 1] |= not moves[frame].free
    for frame in np.flatnonzero(np.diff(covered.astype(np.int8), prepend=0)).tolist():
        # The first frame of a covered run, or the first behind one: nothing moves there.
        edge = frame if not covered[frame] else frame - 1
        if edge >= 0:
            knots[edge] = np.zeros(2)
    knots.update({frame: targets[frame] - base[frame] for frame in at})
    places = np.array(sorted(knots))
    values = np.array([knots[int(frame)] for frame in places])
    every = np.arange(frames)
    if len(places) > 1:
        inside = np.clip(every, places[0], places[-1])
        offset = np.asarray(PchipInterpolator(places, values, axis=0)(inside))
    else:
        offset = np.broadcast_to(values[0], (frames, 2)).copy()
    moved = base + offset
    for frame in np.flatnonzero(covered & kept).tolist():
        if frame not in moves:
            moved[frame] = _on_circle(moved[frame], points, scores, frame, parent, lengths)
    for frame in at:
        moved[frame] = targets[frame]
    shown = visible.copy()
    shown[at] = True
    filled = np.zeros(frames, bool)
    for start, stop in runs(~shown):
        if covered[start:stop].all() and start > 0 and stop < frames:
            filled[start:stop] = True
    changed = covered & (shown | filled)
    delta = np.where((changed & visible)[:, None], moved - points[:, joint], 0.0)
    free_only = covered & ~kept
    rigid, all_below = followers(joint, free=True), followers(joint, free=False)
    for follower in all_below:
        along = np.ones(frames, bool) if follower in rigid else ~free_only
        along &= scores[:, follower] > 0
        points[along, follower] += delta[along]
    points[changed, joint] = moved[changed]
    scores[filled, joint] = FILLED_SCORE
    scores[at, joint] = 1


def _lengths(sequence: PoseSequence, joint: int, parent: int | None) -> NDArray[np.float64]:
    """`(frames,)`: of the bone to the parent, pixels; the median where it isn't known."""
    frames = len(sequence)
    if parent is None:
        return np.zeros(frames)
    both = (sequence.scores[:, joint] > 0) & (sequence.scores[:, parent] > 0)
    bones = sequence.points[:, joint].astype(np.float64) - sequence.points[:, parent]
    lengths = np.linalg.norm(bones, axis=1)
    usual = float(np.median(lengths[both])) if both.any() else 0.0
    return np.where(both, lengths, usual)


def _on_circle(
    place: NDArray[np.float64],
    points: NDArray[np.float64],
    scores: NDArray[np.float32],
    frame: int,
    parent: int | None,
    lengths: NDArray[np.float64],
) -> NDArray[np.float64]:
    """The place, as far from the parent as the bone is long; as it is without a bone."""
    if parent is None or scores[frame, parent] == 0 or lengths[frame] == 0:
        return place
    arm = place - points[frame, parent]
    length = float(np.linalg.norm(arm))
    if length == 0:
        return place
    return np.asarray(points[frame, parent] + arm * (lengths[frame] / length))


def as_json(corrections: Corrections) -> dict[str, Any]:
    """The table of a JSON file of edits."""
    edits: list[dict[str, Any]] = []
    for edit in corrections.edits:
        table: dict[str, Any] = {"frame": edit.frame}
        if isinstance(edit, SwapSides):
            table |= {"to": edit.last, "swap": edit.side}
        elif isinstance(edit, ShowJoint):
            state = "hidden" if edit.hidden else "restored"
            table |= {"to": edit.last, "joint": JOINT_NAMES[edit.joint], state: True}
        else:
            table |= {"joint": JOINT_NAMES[edit.joint], "x": edit.x, "y": edit.y}
            table |= {} if edit.reach is None else {"reach": edit.reach}
            table |= {"free": True} if edit.free else {}
        table |= {"at": edit.at} if edit.at else {}
        edits.append(table)
    size = {} if corrections.size is None else {"size": list(corrections.size)}
    return {"schema": SCHEMA, "source": corrections.source, **size, "edits": edits}
