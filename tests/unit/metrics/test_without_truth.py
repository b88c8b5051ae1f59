"""A render and its record become measures; what can't be measured says why."""

from dataclasses import replace

import numpy as np
import pytest
from builders.drawn_renders import (
    BORDERS,
    SIZE,
    clip_of,
    drawn,
    faces,
    pumped,
    recorded,
    seamed,
)

from animcli.metrics.identity import BODY_FACE, DLIB, face_points
from animcli.metrics.measurement import METRICS, Measurement
from animcli.metrics.without_truth import Reference, RenderedResult, floor_of, measure

SEED = 900001


def by_key(found: list[Measurement]) -> dict[str, Measurement]:
    return {each.metric.key: each for each in found}


def mean_colours(pictures: list[np.ndarray]) -> np.ndarray:
    return np.array([each.reshape(-1, 3).mean(0) for each in pictures], np.float32)


@pytest.fixture(scope="module")
def clean() -> dict[str, Measurement]:
    return by_key(measure(recorded(drawn(SEED)), {"identity": (mean_colours, DLIB)}))


def test_every_metric_without_a_truth_is_measured_or_says_why_not(
    clean: dict[str, Measurement],
) -> None:
    alone = [key for key, metric in METRICS.items() if metric.topic != "truth"]
    assert sorted(clean) == sorted(alone)
    absent = {key: each.notes[0] for key, each in clean.items() if each.value is None}
    assert absent == {
        "identity": "no face from the front was found in the reference picture",
        "identity_sface": "get it with: anim weights pull sface",
    }


def test_every_measure_has_its_protocol(clean: dict[str, Measurement]) -> None:
    for key, each in clean.items():
        if each.value is not None:
            assert each.protocol.startswith(f"{key}: ")


def test_curves_have_a_value_for_each_frame(clean: dict[str, Measurement]) -> None:
    frames = len(drawn(SEED).frames)
    for key in ("pose_error", "pose_found", "sharpness"):
        assert len(clean[key].per_frame) == clean[key].frames == frames
    for key in ("warp_error", "flicker", "seam", "largest_step", "motion"):
        assert len(clean[key].per_frame) == frames
        assert clean[key].per_frame[0] is None
        assert clean[key].frames == frames - 1
    assert clean["seam"].marks == BORDERS


def test_a_seam_and_its_frame_are_found() -> None:
    found = by_key(measure(recorded(seamed(SEED))))
    assert found["seam"].value > 3
    assert found["largest_step"].notes[0] == f"before frame {BORDERS[0]}"
    worst = int(np.nanargmax([v or 0 for v in found["seam"].per_frame]))
    assert worst == BORDERS[0]


def test_without_windows_there_are_no_seams() -> None:
    source = recorded(drawn(SEED))
    unknown = by_key(measure(replace(source, borders=None)))
    assert unknown["seam"].notes == ("it isn't known where context windows end",)
    one = by_key(measure(replace(source, borders=())))
    assert "no borders: a single window" in one["seam_figure"].notes[0]


def test_a_moving_camera_leaves_the_background_out() -> None:
    found = by_key(measure(replace(recorded(pumped(SEED)), moving=True)))
    for key in ("flicker", "background", "background_psnr"):
        assert found[key].notes == ("the camera moves",)


def test_a_video_alone_is_measured_over_time_only() -> None:
    found = by_key(measure(RenderedResult(clip_of(drawn(SEED).frames))))
    measured = {key for key, each in found.items() if each.value is not None}
    assert measured == {
        "warp_error", "kept", "motion", "largest_step", "temporal_flickering",
    }  # fmt: skip
    assert "--pose" in found["pose_error"].notes[0]
    assert found["flicker"].notes == ("it isn't known where the figure is",)


def test_the_figure_is_taken_from_the_keypoints_where_there_is_no_matte() -> None:
    source = replace(recorded(drawn(SEED)), masks=None)
    masks = list(source.figure()())
    assert len(masks) == source.clip.frames
    assert {mask.shape for mask in masks} == {SIZE[::-1]}
    found = by_key(measure(source))
    assert found["flicker"].value < 0.1
    assert found["background_psnr"].value > 40


def test_the_driving_videos_own_values_stand_beside() -> None:
    floor = floor_of(recorded(drawn(SEED))).values
    assert floor["sides_swapped"] == 0
    found = by_key(measure(replace(recorded(pumped(SEED)), floor=floor)))
    assert found["warp_error"].floor == floor["warp_error"]
    assert found["sides_swapped"].floor == 0
    assert found["seam"].floor is None
    assert found["background"].floor is None


def test_cuts_of_the_driving_video_are_no_steps() -> None:
    source = replace(recorded(seamed(SEED)), cuts=(BORDERS[0],))
    found = by_key(measure(source))
    assert found["largest_step"].value < 3
    assert "1 cuts of the driving video left out" in found["largest_step"].notes
    assert by_key(measure(recorded(seamed(SEED))))["seam"].value > 3 > found["seam"].value
    everywhere = by_key(measure(replace(source, cuts=BORDERS)))["seam"]
    assert everywhere.notes == ("every border is at a cut of the driving video",)


def test_faces_are_compared_and_counted() -> None:
    pictures, points = faces(900000)
    joints = np.zeros((len(points), 18, 2))
    joints[:, BODY_FACE] = points
    found = face_points(joints, np.ones((len(points), 18)), 0.5)
    found[4] = np.nan
    mask = np.ones(pictures[0].shape[:2], bool)
    source = RenderedResult(
        clip_of(np.stack(pictures)),
        reference=Reference(pictures[0], mask, pictures[0], found[0]),
        faces=found,
    )
    measured = by_key(measure(source, {"identity": (mean_colours, DLIB)}))["identity"]
    assert measured.frames == 5
    assert measured.per_frame[0] == 0
    assert measured.per_frame[4] is None
    assert measured.notes[0].startswith("83 % of the frames have a face")
    small = replace(source, faces=found / 4)
    assert source.reference is not None
    distant = replace(source, reference=replace(source.reference, face=found[0] / 4))
    for each, where in ((small, "any frame"), (distant, "the reference picture")):
        left = by_key(measure(each, {"identity": (mean_colours, DLIB)}))["identity"]
        assert left.value is None
        assert left.notes[0].startswith(f"the face in {where} is ")
        assert left.notes[0].endswith(" pixels wide at most; 40 are wanted")
