"""Damages inputs at random and gives them to the commands, each in a forked child.

    python tests/benchmarks/fuzz.py [--cases 1000] [--seed 0] [--quick] [--keep FOLDER]

Videos, pictures, `.pose`, keypoint JSON, BVH and TOML are flipped, cut, repeated, swapped
and rewritten, and go through `extract-pose`, `correct-pose`, `retarget`, `render`,
`inspect`, `batch`, `presets` and `cache`, with small stand-ins for detector and renderer.
A case fails by exit code 1 or one that isn't in the table, a traceback, a warning of
Python's, a crash, more than a minute of CPU time, or anything left behind by a command that
failed.
The same seed gives the same cases. `--quick` leaves out what encodes. Prints the failures;
exit code 1 if there were any.
"""

import argparse
import json
import os
import random
import re
import resource
import shutil
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from builders import dancer
from builders.stages import register, spot_pictures
from builders.videos import tiny_clip
from PIL import Image

from animcli.cli.main import main as anim
from animcli.pose.detectors import registry
from animcli.pose.io_openpose import write_frames
from animcli.pose.io_pose import write_pose
from animcli.registry import RENDERERS
from animcli.video.images import write_picture

KNOWN = frozenset({0, 2, 3, 4, 5, 6, 7, 8, 9})
LONGEST_S = 60
"""Of CPU time: others may be at work on the machine."""
HANGS_S = 600
SMALL = "--size 64x96 --frames 2"
COMMANDS = {  # kind of input -> lines; {} is the damaged file
    "video": (
        "extract-pose {} -o out.pose",
        "extract-pose {} --keep-going --start 0.2 --every 2 -o out.pose",
        "retarget {} --to ref.png -o out.pose",
        "--dry-run render ref.png --motion {} --preset cutout",
        "inspect {} -o looked",
        f"render ref.png --motion good.pose --background {{}} --preset cutout {SMALL}",
    ),
    "picture": (
        "retarget good.pose --to {} -o out.pose",
        "extract-pose {} -o out.pose",
        f"--dry-run render {{}} --motion good.pose --preset cutout {SMALL}",
        f"render {{}} --motion good.pose --preset cutout {SMALL} -o out",
    ),
    "pose": (
        "retarget {} --to ref.png -o out.pose",
        "extract-pose {} -o out.json",
        "extract-pose {} -o out_keypoints",
        f"render ref.png --motion {{}} --preset cutout {SMALL} -o out",
        "inspect {} -o looked",
    ),
    "json": (
        "extract-pose {} -o out.pose",
        "extract-pose {} --size 300x400 --fps 30 -o out.pose",
        f"--dry-run render ref.png --motion good.pose --reference-pose {{}} {SMALL}",
        "correct-pose {} good.pose -o out.pose",
    ),
    "bvh": (
        "extract-pose {} -o out.pose",
        "extract-pose {} --up z --view 30,5 -o out.pose",
    ),
    "toml": (
        "presets list",
        "presets show mine --origin",
        "cache list",
        f"--dry-run render ref.png --motion good.pose --preset mine {SMALL}",
        f"--dry-run render ref.png --cast {{}} --preset cutout {SMALL}",
        "extract-pose good.bvh --names {} -o out.pose",
        "batch {} --dry-run",
    ),
}
ENCODES = ("inspect", "render ref.png --motion good.pose --background", "-o out")
TOMLS = (
    'preset = "cutout"\nwidth = 512\nfps = "30000/1001"\nseed = 3\n',
    'renderer = "cutout"\nabout = "mine"\nwidth = 256\nheight = 384\nlife = 0.5\n',
    '[[character]]\nperson = 1\nmotion = "good.pose"\nspeed = 0.5\n',
    'left_knee = "LeftLeg"\nhead = "Head"\n',
    '[[job]]\nreference = "ref.png"\nmotion = "good.pose"\npreset = "cutout"\n',
)
WORDS = (b"0", b"-1", b"1e308", b"NaN", b"Infinity", b"null", b"true", b'""', b"[]", b"{}")
WORDS += (
    b"99999999999999999999",
    b"'",
    b'"',
    b"\0",
    b"\xff\xfe",
    b"[[",
    b"}",
    b"\r\n",
    b"%s",
)
BVH = """HIERARCHY
ROOT Hips
{{
OFFSET 0 90 0
CHANNELS 6 Xposition Yposition Zposition Zrotation Xrotation Yrotation
{bones}
}}
MOTION
Frames: 4
Frame Time: 0.0416667
{rows}
"""
BONES = {
    "Spine": (0, 20, 0),
    "RightUpLeg": (-10, 0, 0),
    "LeftUpLeg": (10, 0, 0),
}
CHAINS = {
    "Spine": ["Neck", "Head"],
    "RightUpLeg": ["RightLeg", "RightFoot", "RightToeBase"],
    "LeftUpLeg": ["LeftLeg", "LeftFoot", "LeftToeBase"],
}
ARMS = (
    ["RightArm", "RightForeArm", "RightHand"],
    ["LeftArm", "LeftForeArm", "LeftHand"],
)


@dataclass(frozen=True)
class Case:
    """One damaged file, and the line that it is given to."""

    number: int
    kind: str
    source: Path
    line: str
    seed: str


@dataclass(frozen=True)
class Failure:
    """A case that ended as none should."""

    case: Case
    why: str
    said: str


def chain(names: list[str], offset: tuple[int, int, int], inside: str = "") -> str:
    """Joints of a BVH, each hanging on the one before it."""
    head, *rest = names
    within = chain(rest, (0, -30 if "Leg" in head else 15, 0)) if rest else "End Site\n{\n"
    within = within if rest else f"{within}OFFSET 0 5 0\n}}\n"
    joint = f"JOINT {head}\n{{\nOFFSET {' '.join(map(str, offset))}\n"
    return f"{joint}CHANNELS 3 Zrotation Xrotation Yrotation\n{within}{inside}}}\n"


def bvh() -> str:
    """A small motion of captured joints, under Mixamo's names."""
    arms = "".join(
        chain(names, (side * 15, 15, 0)) for side, names in zip((-1, 1), ARMS, strict=True)
    )
    bones = "".join(
        chain([name, *CHAINS[name]], BONES[name], arms if name == "Spine" else "")
        for name in BONES
    )
    joints = bones.count("JOINT")
    rows = [
        "0 90 0 " + " ".join(f"{(7 * row + k) % 40 - 20}" for k in range(3 * joints + 3))
        for row in range(4)
    ]
    return BVH.format(bones=bones, rows="\n".join(rows))


def prepare(folder: Path) -> dict[str, list[Path]]:
    """Whole inputs to damage, by kind; beside them `ref.png` and `good.*` for the rest."""
    pictures = list(spot_pictures(8))
    write_picture(folder / "ref.png", pictures[0])
    motion = dancer.film(
        dancer.perform(dancer.Body(), dancer.dance(1, frames=8)), dancer.STAGE
    )
    write_pose(folder / "good.pose", motion)
    (folder / "good.bvh").write_text(bvh())
    inputs: dict[str, list[Path]] = {
        kind: [] for kind in ("video", "picture", "pose", "json", "bvh", "toml")
    }

    def shown(index: int, *_: int) -> object:
        return pictures[index]

    for suffix in (".mp4", ".mkv", ".avi"):
        path = folder / f"whole{suffix}"
        tiny_clip(path, 8, width=64, height=96, picture=shown)  # type: ignore[arg-type]
        inputs["video"].append(path)
    frames = [Image.fromarray(each) for each in pictures]
    for name in ("whole.gif", "moving.webp", "moving.png"):
        frames[0].save(folder / name, save_all=True, append_images=frames[1:4])
        inputs["video"].append(folder / name)
    for suffix in (".png", ".jpg", ".webp", ".tif", ".bmp"):
        frames[0].save(folder / f"still{suffix}")
        inputs["picture"].append(folder / f"still{suffix}")
    inputs["pose"].append(folder / "good.pose")
    write_frames(folder / "whole.json", motion)
    inputs["json"].append(folder / "whole.json")
    edits = [{"frame": 1, "joint": "nose", "x": 10, "y": 20}]
    (folder / "edits.json").write_text(json.dumps({"edits": edits}))
    inputs["json"].append(folder / "edits.json")
    inputs["bvh"].append(folder / "good.bvh")
    for number, text in enumerate(TOMLS):
        (folder / f"{number}.toml").write_text(text)
        inputs["toml"].append(folder / f"{number}.toml")
    return inputs


def damaged(data: bytes, rng: random.Random, *, text: bool) -> bytes:
    """The bytes of a file, hurt in one to four ways."""
    found = bytearray(data)
    ways: list[Callable[[], None]] = []

    def at() -> int:
        return rng.randrange(len(found)) if found else 0

    def flip() -> None:
        for _ in range(rng.choice((1, 3, 30))):
            if found:
                found[at()] ^= 1 << rng.randrange(8)

    def cut() -> None:
        del found[at() :]

    def leave_out() -> None:
        start = at()
        del found[start : start + rng.choice((1, 7, 100, 1000))]

    def repeat() -> None:
        start = at()
        piece = found[start : start + rng.choice((4, 40, 400))]
        found[start:start] = piece * rng.choice((1, 2, 50))

    def blank() -> None:
        start, size = at(), rng.choice((4, 64, 512))
        found[start : start + size] = bytes(min(size, len(found) - start))

    def noise() -> None:
        start = at()
        found[start : start + 16] = rng.randbytes(16)

    def word() -> None:
        start = at()
        found[start:start] = rng.choice(WORDS)

    def number() -> None:
        numbers = list(re.finditer(rb"-?\d+(\.\d+)?", bytes(found[:200_000])))
        if numbers:
            place = rng.choice(numbers)
            found[place.start() : place.end()] = rng.choice(WORDS)

    def line() -> None:
        lines = bytes(found).split(b"\n")
        one, other = rng.randrange(len(lines)), rng.randrange(len(lines))
        lines[one], lines[other] = lines[other], lines[one]
        found[:] = b"\n".join(lines)

    ways += [flip, cut, leave_out, repeat, blank, noise]
    if text:
        ways += [word, number, number, number, line]
    for _ in range(rng.choice((1, 1, 2, 4))):
        rng.choice(ways)()
    return bytes(found)


def cases(
    inputs: dict[str, list[Path]], count: int, seed: int, *, quick: bool
) -> Iterator[Case]:
    """`count` cases, kinds in turn."""
    kinds = list(inputs)
    for number in range(count):
        own = f"{seed}:{number}"
        rng = random.Random(own)
        kind = kinds[number % len(kinds)]
        lines = [
            line
            for line in COMMANDS[kind]
            if not (quick and any(each in line for each in ENCODES) and ".pose" not in line)
            and not (quick and line.startswith("inspect"))
        ]
        yield Case(number, kind, rng.choice(inputs[kind]), rng.choice(lines), own)


def place_input(case: Case, whole: Path, folder: Path) -> str:
    """A project with the damaged file in it; the line, with its name filled in."""
    rng = random.Random(case.seed + " damage")
    for name in ("ref.png", "good.pose", "good.bvh"):
        shutil.copy(whole / name, folder / name)
    text = case.kind in ("json", "bvh", "toml")
    hurt = damaged(case.source.read_bytes(), rng, text=text)
    name = f"hurt{case.source.suffix}"
    (folder / name).write_bytes(hurt)
    if case.kind == "toml":
        (folder / "presets").mkdir()
        (folder / "presets" / "mine.toml").write_bytes(hurt)
        if rng.random() < 0.5:
            (folder / "anim.toml").write_bytes(hurt)
    return case.line.format(name)


def run_forked(line: str, folder: Path) -> tuple[int, str]:
    """Exit code of a line done in a child (negative: the signal), and what it printed."""
    said = folder.with_suffix(".said")
    child = os.fork()
    if child == 0:
        code = 1
        try:
            os.chdir(folder)
            resource.setrlimit(resource.RLIMIT_CPU, (LONGEST_S, LONGEST_S))
            out = os.open(said, os.O_CREAT | os.O_WRONLY | os.O_TRUNC, 0o600)
            os.dup2(out, 1)
            os.dup2(out, 2)
            code = anim(line.split())
            sys.stdout.flush()
            sys.stderr.flush()
        except BaseException as error:  # noqa: BLE001  # what main lets through is a failure
            os.write(2, f"Traceback: {error!r} got through\n".encode())
        finally:
            os._exit(code)
    deadline = time.monotonic() + HANGS_S
    while True:
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            break
        if time.monotonic() > deadline:
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
            return -signal.SIGALRM, said.read_text(errors="replace")
        time.sleep(0.005)
    return os.waitstatus_to_exitcode(status), said.read_text(errors="replace")


def verdict(code: int, said: str, before: set[str], folder: Path) -> str:
    """Fault of how a line ended; empty where it ended as it should."""
    if code == -signal.SIGALRM:
        return f"hung for {HANGS_S} s"
    if code in (-signal.SIGXCPU, -signal.SIGKILL):
        return f"took more than {LONGEST_S} s of CPU time"
    if code not in KNOWN:
        return f"exit code {code}"
    if "Traceback" in said or "this is a bug" in said:
        return "a traceback"
    if found := re.search(r"^.*Warning: .*$", said, re.MULTILINE):
        return found[0]
    after = {str(path.relative_to(folder)) for path in folder.rglob("*")}
    parts = [name for name in after if ".part" in name]
    left = [name for name in after - before if not name.startswith(".anim")]
    if parts or (code != 0 and left):
        return f"left behind: {', '.join(sorted(parts or left))}"
    return ""


def failures(
    count: int, seed: int, *, quick: bool, scratch: Path, ends: Counter[str]
) -> Iterator[Failure]:
    """Do the cases; give those that failed."""
    whole = scratch / "whole"
    whole.mkdir()
    inputs = prepare(whole)
    for case in cases(inputs, count, seed, quick=quick):
        folder = scratch / f"case-{case.number}"
        folder.mkdir()
        line = place_input(case, whole, folder)
        before = {str(path.relative_to(folder)) for path in folder.rglob("*")}
        code, said = run_forked(line, folder)
        ends[f"{case.kind} {code}"] += 1
        if why := verdict(code, said, before, folder):
            yield Failure(case, why, f"anim {line}\n{said}")
        else:
            shutil.rmtree(folder)
            folder.with_suffix(".said").unlink()


def stand_in() -> None:
    """Small ones for detector and renderer, under the names that lines say."""
    register()
    registry.DETECTORS["blazepose"] = registry.DETECTORS["bright-spot"]
    RENDERERS["cutout"] = RENDERERS["gradient"]


def main() -> int:
    """Do all cases; 1 if any failed."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--cases", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--keep", type=Path, help="keep the inputs of failures there")
    asked = parser.parse_args()
    stand_in()
    ends: Counter[str] = Counter()
    wrong = 0
    with tempfile.TemporaryDirectory() as made:
        scratch = asked.keep or Path(made)
        scratch.mkdir(exist_ok=True)
        for failure in failures(
            asked.cases, asked.seed, quick=asked.quick, scratch=scratch, ends=ends
        ):
            wrong += 1
            print(f"case {failure.case.seed}: {failure.why}\n{failure.said}\n", flush=True)
    print(", ".join(f"{end}: {times}" for end, times in sorted(ends.items())))
    print(f"{asked.cases} cases, {wrong} failed; rate of {Fraction(wrong, asked.cases)}")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
