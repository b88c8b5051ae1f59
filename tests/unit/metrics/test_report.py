"""Reports: the page, JSON, CSV and Markdown of what was measured."""

import csv
import io
import json
import re
from dataclasses import replace
from fractions import Fraction
from html.parser import HTMLParser
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from builders.drawn_renders import clip_of
from PIL import Image

from animcli.metrics.clips import Clip
from animcli.metrics.measurement import METRICS, Measurement, left_out
from animcli.metrics.report.charts import HEIGHT, WIDTH, Series, curve
from animcli.metrics.report.html import to_html
from animcli.metrics.report.record import (
    EvaluatedResult,
    EvaluationReport,
    WorstFrame,
    rows,
    worst_frames,
)
from animcli.metrics.report.tables import report_json, to_csv, to_markdown
from animcli.metrics.verdict import judge

if TYPE_CHECKING:
    from playwright.sync_api import Browser

RATE = Fraction(24)
FRAMES = 48
HOSTILE = "<script>alert('a')</script> & \"b\".mp4"


def measured(key: str, value: float, protocol: str = "", **more: object) -> Measurement:
    return Measurement(METRICS[key], value, protocol or f"{key}: as always", **more)


def measurements(seam: float = 5.2, psnr: float = 24.5) -> tuple[Measurement, ...]:
    curve_of = (None, *np.linspace(1, 3, FRAMES - 1).tolist())
    jump = (None, *[1.0] * 22, 9.0, *[1.0] * 24)
    return (
        measured("psnr", psnr, per_frame=tuple([psnr] * FRAMES), frames=FRAMES),
        measured("fvd", 812.4, samples=(33, 31), notes=("only 31 clips",)),
        measured("pose_error", 2.5, per_frame=curve_of, floor=1.9, notes=("median 2.4 %",)),
        measured("seam", seam, per_frame=jump, marks=(12, 24)),
        left_out("lpips", "the weights vgg16 aren't here; anim weights pull vgg16"),
    )


def evaluation(name: str = "a.mp4", **values: float) -> EvaluatedResult:
    found = measurements(**values)
    picture = np.full((30, 40, 3), 90, np.uint8)
    frame = WorstFrame(
        "seam", 23, 0.958, "largest step", picture, ("the frame before", picture)
    )
    made = (("command", "anim render a.png --motion b.mp4"), ("seed", "42"))
    return EvaluatedResult(
        name, FRAMES, RATE, (40, 30), found, judge(found, RATE), worst=(frame,), made=made
    )


def report(*evaluations: EvaluatedResult) -> EvaluationReport:
    return EvaluationReport(
        evaluations or (evaluation(),),
        "truth.mp4",
        (("animcli", "0.1"),),
        ("not comparable",),
    )


class Page(HTMLParser):
    """Text, tags and addresses of a page; raises where tags don't close in order."""

    VOID = ("meta", "br", "img", "rect", "path", "link")

    def __init__(self, page: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[str] = []
        self.addresses: list[str] = []
        self.text = ""
        self.feed(page)
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.addresses += [v for k, v in attrs if k in ("src", "href", "srcset") and v]
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if "style" not in self.open:
            self.text += f" {data}"


def test_the_page_is_whole_and_wants_nothing_else() -> None:
    page = to_html(report())
    found = Page(page)
    assert all(address.startswith("data:image/jpeg;base64,") for address in found.addresses)
    assert found.tags.count("img") == 2
    assert not {"script", "link", "iframe"} & set(found.tags)
    assert "http" not in re.sub(r"base64,[^']*", "", page)
    assert "url(" not in page
    assert "@import" not in page


def test_the_verdict_comes_first() -> None:
    text = Page(to_html(report())).text
    order = ["One thing is wrong.", "Context windows show", "Try:", "Worst frames",
             "Over time", "All measures", "Left out", "How it was made"]  # fmt: skip
    places = [text.index(word) for word in order]
    assert places == sorted(places)


def test_the_page_shows_every_number_with_its_protocol() -> None:
    text = Page(to_html(report())).text
    for each in measurements():
        if each.value is not None:
            assert each.protocol in text
    for shown in ("24.5 dB", "812", "n = 31", "2.50 %", "driving 1.90 %", "5.20 times"):
        assert shown in text
    assert "Only 31 clips." in text
    assert "anim weights pull vgg16" in text
    assert "Not comparable." in text


def test_a_curve_has_its_scale_beside_it_and_its_seconds_below() -> None:
    page = to_html(report())
    scales = re.findall(
        r"<span class='top'>[\d.]+</span><span class='bottom'>[\d.]+</span></div>"
        r"<div class='axis'><span>0 s</span><span>[\d.]+ s</span>",
        page,
    )
    assert len(scales) == page.count("class='plot'") > 0


def test_files_of_weights_are_folded_behind_how_it_was_made() -> None:
    made = (("renderer", "cutout"), ("blazepose/a_b.tflite", "bbff"), ("own_size", "yes"))
    page = to_html(report(replace(evaluation("a.mp4"), made=made)))
    shown, folded = page.split("<summary>weights (1)</summary>")
    assert "<dt>own size</dt>" in shown
    assert "<dt>blazepose/a_b.tflite</dt>" in folded


def test_names_are_text_and_never_code() -> None:
    page = to_html(report(evaluation(HOSTILE)))
    assert "<script" not in page
    assert HOSTILE in Page(page).text


def test_a_comparison_marks_the_best_of_each_row() -> None:
    both = report(
        evaluation("a.mp4", seam=5.2, psnr=24.5), evaluation("b.mp4", seam=1.1, psnr=20)
    )
    best = {row.metric.key: row.best for row in rows(both)}
    assert best == {"psnr": (0,), "fvd": (0, 1), "pose_error": (0, 1), "seam": (1,)}
    page = to_html(both)
    assert page.count("class='best'") == 6
    assert page.count("class='panel verdict is-") == 2
    assert "<span class='key s1'>b.mp4</span>" in page


def test_numbers_of_different_protocols_never_share_a_row() -> None:
    one = EvaluatedResult(
        "a", 2, RATE, (4, 4), (measured("psnr", 30.0, "256x256"),), judge([], RATE)
    )
    two = EvaluatedResult(
        "b", 2, RATE, (4, 4), (measured("psnr", 20.0, "512x512"),), judge([], RATE)
    )
    table = rows(report(one, two))
    assert [row.protocol for row in table] == ["256x256", "512x512"]
    assert [row.best for row in table] == [(), ()]
    assert [[v and v.value for v in row.values] for row in table] == [
        [30, None],
        [None, 20],
    ]


def test_nothing_is_better_than_the_driving_video() -> None:
    """A blurred render has less warp error than any video has, and isn't best by that."""
    table = rows(
        report(
            *(
                EvaluatedResult(
                    "a",
                    2,
                    RATE,
                    (4, 4),
                    (measured("warp_error", value, floor=1.2),),
                    judge([], RATE),
                )
                for value in (0.2, 1.1, 1.3)
            )
        )
    )
    assert table[0].best == (0, 1)


def test_what_only_explains_has_no_best() -> None:
    found = [
        EvaluatedResult("a", 2, RATE, (4, 4), (measured("motion", value),), judge([], RATE))
        for value in (0.2, 1.1)
    ]
    assert rows(report(*found))[0].best == ()


def test_json_has_everything_but_the_pictures() -> None:
    table = json.loads(report_json(report()))
    (result,) = table["results"]
    assert result["verdict"]["headline"] == "One thing is wrong."
    assert result["verdict"]["findings"][0]["seconds"] == [[23 / 24, 1.0]]
    assert result["metrics"]["fvd"]["samples"] == [33, 31]
    assert result["metrics"]["pose_error"]["driving"] == 1.9
    assert result["metrics"]["pose_error"]["per_frame"][0] is None
    assert len(result["metrics"]["pose_error"]["per_frame"]) == FRAMES
    assert result["metrics"]["lpips"]["value"] is None
    assert "vgg16" in result["metrics"]["lpips"]["left_out"]
    assert result["made"]["seed"] == "42"
    assert result["rate"] == "24"


def test_csv_has_a_line_for_each_value() -> None:
    both = report(evaluation("a.mp4"), evaluation("b,c.mp4"))
    lines = list(csv.DictReader(io.StringIO(to_csv(both))))
    assert len(lines) == 8
    assert {line["result"] for line in lines} == {"a.mp4", "b,c.mp4"}
    fvd = next(line for line in lines if line["metric"] == "fvd")
    assert (float(fvd["value"]), fvd["samples"], fvd["better"]) == (
        812.4,
        "33 and 31",
        "low",
    )


def test_markdown_has_the_best_in_bold() -> None:
    both = report(evaluation("a|b.mp4", seam=5.2), evaluation("b.mp4", seam=1.1))
    text = to_markdown(both)
    assert "## a\\|b.mp4" in text
    assert "- **bad**: Context windows show" in text
    seam = next(line for line in text.splitlines() if line.startswith("| seam ratio"))
    assert "| 5.20 times | **1.10 times** |" in seam
    assert "(n = 31)" in text
    assert "- LPIPS VGG: the weights vgg16" in text
    lines = [line for line in text.splitlines() if line.startswith("|")]
    assert len({line.replace("\\|", "").count("|") for line in lines}) == 1


def grey(levels: range) -> Clip:
    return clip_of([np.full((8, 8, 3), level, np.uint8) for level in levels])


def test_the_worst_frames_are_the_extremes_of_their_metrics() -> None:
    clip = grey(range(10))
    found = worst_frames(
        clip,
        [
            measured("pose_error", 2.0, per_frame=(1.0, 5.0, *[1.0] * 8)),
            measured("psnr", 30.0, per_frame=(*[30.0] * 6, 11.0, *[30.0] * 3)),
            measured("largest_step", 4.0, per_frame=(None, *[1.0] * 5, 9.0, *[1.0] * 3)),
            measured("flicker", 4.0, per_frame=(None, *[1.0] * 9)),
        ],
    )
    assert [(each.frame, int(each.picture.flat[0])) for each in found] == [(1, 1), (6, 6)]
    assert found[0].why == "largest pose error: 5.00 %"
    assert found[1].why == "lowest PSNR: 11.0 dB, largest step"
    assert found[1].beside[0] == "the frame before"
    assert int(found[1].beside[1].flat[0]) == 5
    assert found[1].seconds == 0.25


def test_beside_a_worst_frame_is_the_truth_where_there_is_one() -> None:
    psnr = measured("psnr", 30.0, per_frame=(*[30.0] * 6, 11.0, *[30.0] * 3))
    truth = grey(range(100, 110))
    (found,) = worst_frames(grey(range(10)), [psnr], truth=truth)
    assert found.beside[0] == "truth"
    assert int(found.beside[1].flat[0]) == 106


def test_no_values_have_no_worst_frame() -> None:
    assert (
        worst_frames(grey(range(1)), [left_out("psnr", "why"), measured("psnr", 3.0)]) == []
    )


def points(drawing: str) -> list[tuple[float, float]]:
    (path,) = re.findall(r'class="line s0" d="([^"]*)"', drawing)
    return [(float(x), float(y)) for x, y in re.findall(r"[ML]([\d.]+) ([\d.]+)", path)]


def test_a_curve_goes_through_its_values() -> None:
    drawing, bottom, top = curve([Series("a", [0.0, 5.0, 10.0])], "values")
    assert bottom == 0
    assert top > 10
    (left, _, right) = points(drawing)
    assert left == (0, HEIGHT)
    assert right[0] == WIDTH
    assert right[1] == pytest.approx(HEIGHT * (1 - 10 / top), abs=0.1)


def test_a_frame_without_a_value_breaks_the_line() -> None:
    drawing, _, _ = curve([Series("a", [1.0, 2.0, None, 3.0, None, 4.0, 5.0])], "values")
    (path,) = re.findall(r'class="line s0" d="([^"]*)"', drawing)
    assert path.count("M") == 3
    assert path.count("h0.01") == 1


def test_a_floor_marks_and_spans_are_drawn_where_they_are() -> None:
    drawing, _, top = curve(
        [Series("a", [1.0] * 25)],
        "v",
        floor=4.0,
        marks=[12],
        spans=[(0.5, 1.0)],
        seconds=2.0,
    )
    assert top > 4
    assert f'd="M{WIDTH / 2} 0V{HEIGHT}"' in drawing
    assert f'x="{WIDTH / 4:.1f}" y="0" width="{WIDTH / 4:.1f}"' in drawing
    assert 'class="floor"' in drawing


def test_values_far_from_zero_do_not_start_there() -> None:
    _, bottom, _ = curve([Series("a", [30.0, 31.0])], "v")
    assert bottom > 25


def test_nothing_is_a_flat_drawing() -> None:
    assert curve([Series("a", [None, None])], "v")[1:] != (0, 0)
    assert "svg" in curve([], "v")[0]


@pytest.mark.browser
def test_a_browser_shows_the_page_and_asks_for_nothing_else(
    tmp_path: Path, browser: "Browser"
) -> None:
    path = tmp_path / "report.html"
    path.write_text(to_html(report(evaluation(), evaluation("b.mp4", seam=1.1))))
    page = browser.new_page(viewport={"width": 1000, "height": 1400})
    asked: list[str] = []
    said: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.on("console", lambda message: said.append(message.text))
    page.goto(path.as_uri())
    addresses = [url for url in asked if not url.startswith("data:image/jpeg;base64,")]
    assert addresses == [path.as_uri()]
    assert said == []
    headlines = page.locator(".headline")
    assert headlines.first.is_visible()
    loaded = "images => images.every(image => image.complete && image.naturalWidth > 0)"
    assert page.locator("img").count() == 4
    assert page.locator("img").evaluate_all(loaded)
    wider = "document.documentElement.scrollWidth > window.innerWidth"
    for width in (1000, 360):
        page.set_viewport_size({"width": width, "height": 1400})
        assert not page.evaluate(wider), f"the page is wider than {width} pixels"
    picture = tmp_path / "page.png"
    page.screenshot(path=picture)
    with Image.open(picture) as shown:
        assert len(np.unique(np.asarray(shown.convert("RGB")).reshape(-1, 3), axis=0)) > 200
