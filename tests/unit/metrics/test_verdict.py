"""The verdict says what is wrong, when, and what to try; and nothing else."""

from dataclasses import replace
from fractions import Fraction

import pytest
from builders.drawn_renders import FAULTS, drawn, recorded

from animcli.metrics.measurement import METRICS, Measurement, left_out
from animcli.metrics.verdict import RULES, judge, show_span, show_value
from animcli.metrics.without_truth import floor_of, measure

RATE = Fraction(24)
SEED = 900001


def measured(
    key: str, value: float, *per_frame: float, floor: float | None = None
) -> Measurement:
    return Measurement(METRICS[key], value, "p", per_frame=per_frame, floor=floor)


def findings(*measurements: Measurement) -> dict[str, str]:
    return {f.metric: f.severity for f in judge(measurements, RATE).findings}


@pytest.mark.parametrize(
    ("fault", "metric", "severity"),
    [
        ("late", "pose_error", "notable"),
        ("mirrored", "sides_swapped", "bad"),
        ("absent", "pose_found", "bad"),
        ("pumped", "flicker", "bad"),
        ("drifting", "background", "notable"),
        ("repainted", "background_psnr", "notable"),
        ("seamed", "seam", "bad"),
        ("retextured", "seam_figure", "bad"),
        ("blurred", "sharpness", "bad"),
    ],
)
def test_a_fault_is_named(fault: str, metric: str, severity: str) -> None:
    floor = floor_of(recorded(drawn(SEED))).values
    found = measure(replace(recorded(FAULTS[fault](SEED)), floor=floor))
    assert findings(*found)[metric] == severity


@pytest.mark.parametrize("seed", [900000, SEED, 900002])
def test_a_drawing_has_nothing_wrong(seed: int) -> None:
    verdict = judge(measure(recorded(drawn(seed))), RATE)
    assert verdict.findings == ()
    assert verdict.headline == f"Nothing wrong was found in {len(verdict.fine)} measures."


def test_the_seconds_are_those_of_the_bad_frames() -> None:
    per_frame = [1.0] * 48
    per_frame[12:18] = [20.0] * 6
    per_frame[40] = 9.0
    (found,) = judge([measured("pose_error", 4, *per_frame)], RATE).findings
    assert found.when == ((0.5, 0.75), (40 / 24, 41 / 24))


def test_spans_that_are_near_are_one_and_only_the_worst_are_told() -> None:
    per_frame = [0.0] * 240
    for place, value in (
        (10, 9.0),
        (14, 9.0),
        (60, 3.0),
        (100, 9.0),
        (140, 9.0),
        (200, 9.0),
    ):
        per_frame[place] = value
    (found,) = judge([measured("flicker", 5, *per_frame)], RATE).findings
    assert [round(start * 24) for start, _ in found.when] == [10, 100, 140]


def test_a_fault_that_is_always_there_has_no_seconds() -> None:
    (found,) = judge([measured("flicker", 8, *[8.0] * 40)], RATE).findings
    assert found.when == ()


def test_a_jump_is_where_one_frame_stands_out() -> None:
    per_frame = [2.0] * 40
    per_frame[30] = 30.0
    (found,) = judge([measured("largest_step", 15, *per_frame)], RATE).findings
    assert found.when == ((1.25, 31 / 24),)


def test_what_the_driving_video_has_itself_is_no_fault() -> None:
    assert findings(measured("pose_error", 6, floor=5)) == {}
    assert findings(measured("pose_error", 6, floor=1)) == {"pose_error": "notable"}
    assert findings(measured("warp_error", 9, floor=8)) == {}
    assert findings(measured("warp_error", 40, floor=8)) == {"warp_error": "bad"}


def test_a_warp_error_without_the_driving_videos_is_not_judged() -> None:
    verdict = judge([measured("warp_error", 40)], RATE)
    assert (verdict.findings, verdict.fine) == ((), ())
    assert verdict.headline == "Nothing here can be judged without a truth."


def test_what_was_left_out_is_not_judged_and_comparisons_are_not_either() -> None:
    verdict = judge([left_out("seam", "why"), measured("psnr", 9)], RATE)
    assert (verdict.findings, verdict.fine) == ((), ())


def test_a_jump_at_a_seam_is_told_once() -> None:
    per_frame = [1.0] * 40
    per_frame[30] = 9.0
    seam = measured("seam", 9, *per_frame)
    step = measured("largest_step", 9, *per_frame)
    assert findings(seam, step) == {"seam": "bad"}
    per_frame[10] = 9.0
    elsewhere = measured("largest_step", 9, *per_frame)
    assert findings(seam, elsewhere) == {"seam": "bad", "largest_step": "bad"}


def test_the_floor_is_in_the_sentence() -> None:
    (found,) = judge([measured("pose_error", 8.3, floor=1.9)], RATE).findings
    assert found.what == (
        "The figure isn't where the motion wants it: its keypoints are 8.30 % of its "
        "height off, where the driving video itself has 1.90 %."
    )


def test_the_worst_come_first_and_are_counted() -> None:
    verdict = judge(
        [measured("flicker", 2), measured("seam", 5), measured("background", 9)], RATE
    )
    assert [found.severity for found in verdict.findings] == ["bad", "bad", "notable"]
    assert verdict.headline == "Two things are wrong, one is worth a look."
    assert judge([measured("flicker", 2)], RATE).headline == "One thing is worth a look."
    assert judge([measured("flicker", 9)], RATE).headline == "One thing is wrong."


def test_every_rule_is_whole() -> None:
    assert RULES.keys() <= METRICS.keys()
    for key, rule in RULES.items():
        assert METRICS[key].better != "neither"
        low = METRICS[key].better == "high"
        assert (rule.bad < rule.notable) == low
        assert rule.fine
        assert "{value}" in rule.what
        assert rule.advice


def test_values_and_spans_are_short() -> None:
    assert show_value(measured("seam", 4.562)) == "4.56 times"
    assert show_value(measured("pose_error", 12.34)) == "12.3 %"
    assert show_value(measured("fvd", 1234.5)) == "1234"
    assert show_value(measured("l1_disco", 0.000313)) == "3.13E-04"
    assert show_value(measured("warp_error", 5.49)) == "5.49e-4"
    assert show_value(measured("flicker", 0.004)) == "0.00 levels"
    assert show_value(measured("dtssd", 4.5)) == "4.50 levels\u00b2"
    assert show_value(measured("psnr", 30.0), 0.0) == "0.00 dB"
    assert show_value(measured("ssim", 0.87145)) == "0.871"
    assert show_span((1.25, 1.29)) == "1.25 s"
    assert show_span((1.25, 2.0)) == "1.2 to 2.0 s"
