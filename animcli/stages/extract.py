"""Video in, joints over time out."""

from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import ClassVar

from animcli.project.writing import beside
from animcli.stages.stage import Bench, Source, settings_of


@dataclass(frozen=True)
class ExtractStage:
    """Finds one person's joints in every frame of a video.

    video: a video, an animation or a folder of pictures.
    clean: fill short gaps and take out the trembling.
    keep_going: leave damaged frames out instead of stopping at them.
    picture_rate: frames per second of a folder of pictures, which doesn't say.
    person: `largest`, `center`, or a number from 1.
    device, every, channels: see `DWPose`; other detectors know none of them.
    """

    name: ClassVar[str] = "extract-pose"
    revision: ClassVar[int] = 3
    suffix: ClassVar[str] = ".pose"

    video: Source
    detector: str = "blazepose"
    hands: bool = True
    face: bool = True
    clean: bool = True
    keep_going: bool = False
    picture_rate: Fraction = Fraction(24)
    person: str = "largest"
    device: str = "cpu"
    every: int = 10
    channels: str = "trained"

    @property
    def weights(self) -> tuple[str, ...]:
        from animcli.stages.detectors import weights_of

        return weights_of(self.detector)

    @property
    def libraries(self) -> tuple[str, ...]:
        from animcli.stages.detectors import libraries_of

        return (*libraries_of(self.detector), "av", "pillow", "scipy")

    def inputs(self) -> Mapping[str, Source]:
        return {"video": self.video}

    def settings(self) -> Mapping[str, object]:
        return settings_of(self)

    def run(self, bench: Bench) -> None:
        from dataclasses import replace

        from animcli.pose.clean import clean
        from animcli.pose.posefile import write_pose
        from animcli.stages.detection import find_motion, shown_spans
        from animcli.stages.detectors import Manner, draw_threshold, open_detector
        from animcli.video.limits import Limits
        from animcli.video.read import open_footage

        models = next(iter(bench.weights.values()), None)
        manner = Manner(self.hands, self.face, self.device, self.every, self.channels)
        detector = open_detector(self.detector, models, manner)
        threshold = draw_threshold(self.detector)
        with open_footage(
            bench.inputs["video"],
            keep_going=self.keep_going,
            limits=Limits(least_frames=2),
            rate=self.picture_rate,
            quick=True,
        ) as reader:
            for line in reader.info.notes:
                bench.note(line)
            found = find_motion(bench, reader, detector, self.person, threshold)
            empty = [not scores.any() for scores in found.scores]
            if any(empty):
                bench.note(
                    f"nobody was found in {sum(empty)} of {len(found)} frames: "
                    f"{shown_spans(empty)}"
                )
            if (others := found.origin.person["of"]) != 1:
                bench.note(
                    f"{others} people were found, person {found.origin.person['track']} "
                    "is taken; `anim inspect` shows them, --person N takes another"
                )
            rate = reader.info.rate
        origin = replace(
            found.origin,
            # Without its name: the same video under another name gives the same bytes.
            source={
                "sha256": bench.recipe.inputs["video"],
                "size_px": list(found.size),
                "rate": str(rate),
                "frames": len(found),
            },
            detector={
                "backend": self.detector,
                "models": dict(bench.recipe.weights),
                "hands": self.hands,
                "face": self.face,
            },
        )
        sequence = replace(found, draw_threshold=threshold, origin=origin)
        if self.clean:
            sequence = clean(sequence)
        with beside(bench.out) as part:
            write_pose(part, sequence)
