"""Names of bones in files of motion capture, and which of our keypoints each one is.

Known are the names of Mixamo, CMU, Rokoko, Rigify, Biped (3ds Max), Unreal, DAZ and SMPL. A
name is cut into words; one of them is the side, the others the part. Whatever else a file
calls its bones, a table of the user's says it.
"""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from animcli.errors import InputError, ProjectError
from animcli.pose import keypoints as s
from animcli.settings import read_toml, suggest

HEAD_BONE: Final = "head"

SIDE_NAMES: Final = (
    # keypoints on the right and on the left, and what they are called beside the side
    (
        (s.RIGHT_SHOULDER, s.LEFT_SHOULDER),
        ("arm", "uparm", "upperarm", "shldrbend", "shldr", "shoulder"),
    ),
    (
        (s.RIGHT_ELBOW, s.LEFT_ELBOW),
        ("forearm", "lowerarm", "lowarm", "forearmbend", "elbow"),
    ),
    ((s.RIGHT_WRIST, s.LEFT_WRIST), ("hand", "wrist")),
    ((s.RIGHT_HIP, s.LEFT_HIP), ("upleg", "thigh", "thighbend", "upperleg", "hip")),
    ((s.RIGHT_KNEE, s.LEFT_KNEE), ("leg", "shin", "calf", "lowerleg", "lowleg", "knee")),
    ((s.RIGHT_ANKLE, s.LEFT_ANKLE), ("ankle", "foot")),
    (
        (s.RIGHT_BIG_TOE, s.LEFT_BIG_TOE),
        ("toebase", "toe", "toes", "toe0", "ball", "bigtoe"),
    ),
)
"""The first that a file has is taken: where `LeftArm` is missing, `LeftShoulder` is the
arm's own joint. SMPL's foot is the end of one, and has the ankle above it."""

_SIDES: Final = {"l": "left", "left": "left", "r": "right", "right": "right"}
PREFIXES: Final = re.compile(
    r"^(mixamorig\d*|bip\d+|def|org|cc_base|valvebiped)[ _.-]*", re.I
)
_WORDS: Final = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+")


def plain(name: str) -> str:
    """The side and the part: `leftupleg` of `mixamorig:LeftUpLeg`, and of `UpLeg.L`.

    Names of neither side are their letters: `head` for `Bip01 Head`.
    """
    last = name.rpartition(":")[2]
    while (match := PREFIXES.match(last)) and match.end() < len(last):
        last = last[match.end() :]
    words = [word.lower() for word in _WORDS.findall(last)]
    for place in (0, -1):
        if len(words) > 1 and words[place] in _SIDES:
            side = _SIDES[words.pop(place)]
            return side + "".join(words)
    return "".join(words)


def find_bones(path: Path, names: Sequence[str], said: Mapping[str, str]) -> dict[int, int]:
    """Our keypoint -> the place of its bone among `names`; the head's joint is at `NOSE`.

    said: name of a keypoint, or `head` -> name of the bone, where the user knows better.
    Raises InputError where one of the body isn't there.
    """
    known = {plain(name): place for place, name in reversed([*enumerate(names)])}
    found: dict[int, int] = {}
    for keypoints, parts in SIDE_NAMES:
        for keypoint, side in zip(keypoints, ("right", "left"), strict=True):
            places = [known[side + part] for part in parts if side + part in known]
            if places:
                found[keypoint] = places[0]
    for toe, ankle, side in (
        (s.RIGHT_BIG_TOE, s.RIGHT_ANKLE, "right"),
        (s.LEFT_BIG_TOE, s.LEFT_ANKLE, "left"),
    ):
        foot = known.get(f"{side}foot")
        if toe not in found and foot is not None and foot != found.get(ankle):
            found[toe] = foot
    if HEAD_BONE in known:
        found[s.NOSE] = known[HEAD_BONE]
    for name, bone in said.items():
        if bone not in names:
            raise InputError(
                f"{path}: no joint is called {bone!r}",
                suggest(bone, names) or f"there are: {', '.join(names[:12])}...",
            )
        at = s.NOSE if name == HEAD_BONE else _KEYPOINTS[name]
        found[at] = list(names).index(bone)
    absent = [s.BODY_NAMES[joint] for joint in range(2, 14) if joint not in found]
    if absent:
        raise InputError(
            f"{path}: no joint is named as {absent[0].replace('_', ' ')} usually is",
            "the names of Mixamo, CMU, Rokoko, Rigify, Biped, Unreal, DAZ and SMPL are "
            "known; --names map.toml says others",
        )
    return found


_KEYPOINTS: Final = {
    name: number
    for number, name in enumerate((*s.BODY_NAMES, *s.FEET_NAMES))
    if name.partition("_")[2] in ("big_toe",) or 2 <= number < 14
}
"""Keypoints that a table of names may give, beside `head`."""


def read_names(path: Path) -> dict[str, str]:
    """The user's table: `right_shoulder = "Arm_R"`. Raises ProjectError naming the line."""
    table, _ = read_toml(path, ProjectError)
    for keypoint, bone in table.items():
        if keypoint != HEAD_BONE and keypoint not in _KEYPOINTS:
            raise ProjectError(
                f"{path}: there is no keypoint {keypoint!r}",
                suggest(keypoint, (HEAD_BONE, *_KEYPOINTS))
                or f"such as: {', '.join(_KEYPOINTS)}",
            )
        if not isinstance(bone, str):
            raise ProjectError(f"{path}: {keypoint} is the name of a joint, not {bone!r}")
    return {keypoint: str(bone) for keypoint, bone in table.items()}
