"""The page at work: parts of footage, people, previews, measures, files to take along."""

import shutil
import time
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from builders.videos import tiny_clip
from numpy.typing import NDArray
from page_tab import FRAMES, LOADED, PATIENCE_MS, Tab
from PIL import Image
from web_server import STAND_INS, Served, serving

from animcli.pose import keypoints as s
from animcli.pose.io_pose import read_pose
from animcli.video.images import write_picture
from animcli.video.reader import open_footage

pytestmark = pytest.mark.browser

STRIP = """() => {
  const image = document.querySelector(".job img.strip");
  const canvas = document.createElement("canvas");
  [canvas.width, canvas.height] = [48, 12];
  canvas.getContext("2d").drawImage(image, 0, 0, 48, 12);
  return [image.naturalWidth, image.naturalHeight,
    [...canvas.getContext("2d").getImageData(0, 0, 48, 12).data]];
}"""
"""Width, height and, made small, pixels of the preview of a job."""

SHOWN = """() => {
  const canvas = document.createElement("canvas");
  [canvas.width, canvas.height] = [64, 96];
  canvas.getContext("2d").drawImage(document.querySelector(".screen video"), 0, 0);
  return [...canvas.getContext("2d").getImageData(0, 0, 64, 96).data];
}"""
"""Pixels of the frame that is shown of a render in progress."""


def test_what_is_denoised_is_seen_and_changes_from_step_to_step(
    tab: Tab, files: Path, tmp_path: Path
) -> None:
    gate = tmp_path / "gate"
    gate.write_text("1")
    tab.bring(files / "ref.png", files / "doll.pose")
    tab.page.click("#tab-render")
    tab.page.click("summary:has-text('which lack something')")
    tab.page.check("input[name=preset][value=tiny]")
    tab.small()
    tab.choose("render-window", "6")
    tab.choose("render-steps", "4")
    tab.page.wait_for_selector("#command:has-text('--window')")
    tab.page.click("#render")
    shown = tab.page.wait_for_selector(".job[data-state=running] img.strip")
    assert shown.get_attribute("alt") == "4 frames of what is being rendered"
    width, height, pixels = tab.page.evaluate(STRIP)
    first = np.array(pixels).reshape(12, 48, 4)[..., :3]
    assert (width, height) == (4 * 160, 240)  # of 64x96, which are denoised, side by side
    assert first.std() > 2  # colours of latents, and no even grey
    gate.write_text("3")
    until = time.monotonic() + PATIENCE_MS / 1000
    change = 0
    while change <= 2:  # a picture may come again before the next step is kept
        assert time.monotonic() < until
        tab.page.wait_for_timeout(50)
        width, _, pixels = tab.page.evaluate(STRIP)
        if width:  # it has come
            seen = np.array(pixels).reshape(12, 48, 4)[..., :3]
            change = np.abs(seen - first).max()
    gate.unlink()
    tab.wait_for_job("done")


def test_what_is_decoded_plays_while_the_rest_is_being_rendered(
    tab: Tab, files: Path, tmp_path: Path
) -> None:
    gate = tmp_path / "gate"
    gate.write_text(str(3 + 60))
    tab.bring(files / "ref.png", files / "doll.pose")
    tab.small("110")
    tab.choose("render-loop", "on")
    tab.page.wait_for_selector("#command:has-text('--loop')")
    tab.page.click("#render")
    tab.page.wait_for_selector(".screen:has-text('the first 48 frames')")
    seconds = """wanted => {
      const video = document.querySelector(".screen video");
      return video.readyState > 1 && Math.abs(video.duration - wanted) < 0.05;
    }"""
    tab.until(seconds, 2)  # 48 frames at 24 a second
    shown = tab.page.evaluate(SHOWN)
    tab.page.evaluate(
        """() => {
          const video = document.querySelector(".screen video");
          window.begun = [];
          video.addEventListener("seeked", () => window.begun.push(video.currentTime));
          video.play();
        }"""
    )
    gate.write_text(str(3 + 100))
    tab.page.wait_for_selector(".screen:has-text('the first 96 frames')")
    tab.until(seconds, 4)
    tab.until("() => window.begun.some((time) => time > 1.9)")  # behind what was seen
    gate.unlink()
    tab.wait_for_job("done")
    assert tab.page.locator(".screen").count() == 0
    tab.page.click(".job button:has-text('Show it')")
    tab.until("() => document.querySelector('video.a')?.readyState > 1")
    made = tab.page.evaluate(SHOWN.replace(".screen video", "video.a"))
    assert np.abs(np.array(made) - np.array(shown)).max() <= 2


def test_the_marked_part_of_the_footage_is_rendered(
    tab: Tab, served: Served, files: Path
) -> None:
    tab.bring(files / "ref.png", files / "spot.mp4")
    tab.find()
    tab.page.fill("#frame", "2")
    tab.page.click("#mark-in")
    tab.page.fill("#frame", "5")
    tab.page.click("#mark-out")
    assert tab.page.inner_text("#marks") == "frames 2 to 5"
    tab.small("")
    assert tab.page.input_value("#render-start") == "0.0625"  # between frames 1 and 2
    tab.render()
    assert "--start 0.0625 --end 0.2292" in tab.page.inner_text("#command")
    (made,) = (served.project / "studio").glob("*.mp4")
    with open_footage(made) as reader:
        assert len(list(reader.frames())) == 4
    # Beside it is the same part of the motion, frame by frame.
    tab.page.select_option("#compare", label="the motion: spot.mp4")
    tab.page.evaluate(LOADED)
    tab.page.wait_for_selector("#area-results output:has-text('frame 0 of 3')")
    tab.page.click("#area-results button[aria-label='Next frame']")
    tab.page.wait_for_selector("#area-results output:has-text('frame 1 of 3')")
    times = "() => ['a', 'b'].map((n) => document.querySelector(`video.${n}`).currentTime)"
    a, b = tab.page.evaluate(times)
    assert a == pytest.approx(1.3 / 24, abs=0.001)
    assert b - a == pytest.approx(0.0625, abs=0.001)
    # Corrections are made on the whole clip, and the part takes those of its frames.
    tab.page.click("#tab-motion")
    tab.page.fill("#frame", "3")
    tab.page.select_option("#joint", str(s.LEFT_WRIST))
    tab.page.focus("#over")
    tab.page.keyboard.press("ArrowUp")
    tab.page.wait_for_selector("#edit-count:has-text('1 correction')")
    tab.page.click("#tab-render")
    tab.page.wait_for_selector("#command:has-text('correct-pose')")
    words = tab.page.inner_text("#command")
    assert "extract-pose spot.mp4 --start 0.0625 --end 0.2292 then correct-pose" in words
    tab.render()
    (pose,) = (served.project / "studio").glob("*-2.pose")
    corrected = read_pose(pose)
    assert len(corrected) == 4
    assert corrected.origin.corrections["edits"] == 1
    assert corrected.scores[1, s.LEFT_WRIST] == 1  # frame 3 of the footage


def test_one_of_two_people_is_taken_by_a_click_on_them(
    tab: Tab, files: Path, tmp_path: Path
) -> None:
    def pair(index: int, width: int, height: int) -> NDArray[np.uint8]:
        picture = np.full((height, width, 3), 20, np.uint8)
        for x, y in ((20 + index, 30), (90, 60)):
            picture[y : y + 6, x : x + 6] = 250
        return picture

    tiny_clip(tmp_path / "pair.mp4", FRAMES, width=128, height=96, picture=pair)
    tab.bring(tmp_path / "pair.mp4")
    tab.find()
    tab.page.wait_for_selector("text=2 people were found")
    taken = tab.page.locator("button.person[aria-pressed=true]").inner_text()
    other = tab.page.locator("button.person[aria-pressed=false]")
    number = other.inner_text().split()[1].strip(",")
    assert taken.split()[1].strip(",") != number
    other.click()
    tab.page.wait_for_selector(".job[data-job*=pair] >> nth=1")
    tab.page.wait_for_selector(
        f"button.person[aria-pressed=true]:has-text('person {number}')"
    )
    assert tab.page.input_value("#extract-pose-person") == number
    assert read_pose(tab.save("a:has-text('Save as .pose')")).origin.person["track"] == int(
        number
    )


def test_a_joint_is_found_again_near_where_it_is(tab: Tab, files: Path) -> None:
    tab.bring(files / "spot.mp4")
    tab.find()
    before = read_pose(tab.save("a:has-text('Save as .pose')"))
    tab.choose("reach", "0")
    tab.page.fill("#frame", "3")
    tab.page.select_option("#joint", str(s.LEFT_WRIST))
    tab.page.focus("#over")
    for _ in range(2):
        tab.page.keyboard.press("Shift+ArrowRight")
    tab.page.wait_for_selector("#edit-count:has-text('1 correction')")
    tab.page.wait_for_selector("a:has-text('Save the corrections'):visible")
    link = tab.page.get_attribute("a:has-text('Save as .pose')", "href")
    tab.page.click("button:has-text('Find again here')")
    tab.until(
        "link => ![...document.querySelectorAll('a')].some((a) => a.href.endsWith(link))",
        link,
    )
    made = read_pose(tab.save("a:has-text('Save as .pose')"))
    away = np.linalg.norm(made.points[3, s.LEFT_WRIST] - before.points[3, s.LEFT_WRIST])
    assert away < 12  # the detector's ring turns; 20 pixels off is where it was put
    assert made.origin.corrections["edits"] == 1


def test_footage_that_no_browser_plays_is_seen_all_the_same(
    tab: Tab, tmp_path: Path
) -> None:
    tiny_clip(tmp_path / "old.avi", FRAMES, width=64, height=96, codec="mpeg4")
    tab.bring(tmp_path / "old.avi")
    tab.page.click("#tab-motion")
    tab.until("() => document.querySelector('.stage video').readyState >= 2")
    size = "v => [v.videoWidth, v.videoHeight]"
    assert tab.page.locator(".stage video").evaluate(size) == [64, 96]
    assert tab.page.input_value("#frame") == "0"
    assert tab.page.locator("#frame").get_attribute("max") == str(FRAMES - 1)


def test_a_result_is_measured_and_taken_along_in_other_forms(
    tab: Tab, served: Served, files: Path
) -> None:
    tab.bring(files / "ref.png", files / "spot.mp4")
    tab.small()
    tab.render()
    tab.page.click("#evaluate")
    tab.page.wait_for_selector("#measures:not([hidden]) td.number")
    names = tab.page.locator("#measures tbody th").all_inner_texts()
    assert len(names) > 3
    assert len(set(names)) == len(names)
    assert read_pose(tab.save("a:has-text('Motion (.pose)')")).size == (64, 96)
    tab.page.click("button:text-is('GIF')")
    tab.until("() => document.querySelectorAll('.job[data-state=done]').length === 3")
    (made,) = (served.project / "studio").glob("*.gif")
    with Image.open(made) as moving:
        assert getattr(moving, "n_frames", 1) == 6
    tab.page.click("button:text-is('PNG pictures (zip)')")
    tab.until("() => document.querySelectorAll('.job[data-state=done]').length === 4")
    folder = next(x for x in (served.project / "studio").iterdir() if x.is_dir())
    tab.page.click("#tab-results")
    tab.page.click(f".tile .name[title='{folder.name}']")
    archive = zipfile.ZipFile(tab.save("a:text-is('PNG pictures (zip)')"))
    assert archive.testzip() is None
    assert sorted(archive.namelist()) == sorted(x.name for x in folder.iterdir())
    assert sum(name.endswith(".png") for name in archive.namelist()) == 6


def test_what_cant_be_done_here_is_grey_and_says_why(
    browser: Any, files: Path, tmp_path: Path
) -> None:
    empty = {"ANIM_WEIGHTS": str(tmp_path / "weights")}
    write_picture(tmp_path / "night.png", np.zeros((96, 64, 3), np.uint8))
    with serving(tmp_path / "project", program=STAND_INS, env=empty) as served:
        tab = Tab(browser, served)
        tab.page.click("#tab-render")  # nothing is chosen yet, so no plan was made
        others = tab.page.locator("summary:has-text('which lack something')").inner_text()
        assert tab.page.locator(".preset.lacks:has(input[value=ipa-controlnet])").count()
        tab.page.click("#tab-bring")
        tab.bring(tmp_path / "night.png")
        tab.page.wait_for_selector(".tile .error:has-text('found 0 persons')")
        tab.bring(files / "ref.png", files / "doll.pose")
        tab.page.click("#tab-render")
        tab.page.click("summary:has-text('which lack something')")
        card = tab.page.locator(".preset.lacks:has(input[value=animate-anyone])")
        assert "needs weights: animate-anyone" in card.inner_text()
        assert " GB)" in card.inner_text()
        card.locator("input").check()
        tab.page.wait_for_selector(".preset.lacks button:has-text('Get animate-anyone')")
        tab.page.wait_for_selector(".preset:has-text('no GPU here')")
        now = tab.page.locator("summary:has-text('which lack something')").inner_text()
        assert now == others  # a plan tells of the device, and nothing new of weights
        tab.page.click("#render")
        tab.page.wait_for_selector(".job[data-state=failed] .error:has-text('hint:')")
        said = tab.page.inner_text(".job .error")
        assert "(exit code 5)" in said
        tab.page.wait_for_selector(".job .error button:has-text('Get ')")
        tab.close()


def test_a_plain_button_is_in_line_where_it_stands_alone(tab: Tab, served: Served) -> None:
    served.json("POST", "/api/jobs", {"words": ["weights", "verify", "tiny"]})
    tab.wait_for_job("done")
    assert tab.page.locator(".job button").all_inner_texts() == ["Remove"]
    text, name = tab.page.evaluate(
        """() => [".job button", ".job .name"].map((each) => {
          const range = document.createRange();
          range.selectNodeContents(document.querySelector(each));
          return range.getBoundingClientRect().left;
        })"""
    )
    assert abs(text - name) < 0.5


def test_what_an_empty_field_means_is_said_by_the_fields_name(tab: Tab) -> None:
    tab.page.click("#tab-render")
    note = tab.page.inner_text("p:has-text('as long as the motion')")
    label = tab.page.inner_text("label[for=render-frames] > span")
    assert label.lower() in note.lower()


def test_a_long_name_leaves_a_job_within_its_card(
    tab: Tab, files: Path, tmp_path: Path
) -> None:
    long = shutil.copy(files / "doll.pose", tmp_path / f"{'dance-' * 15}.pose")
    tab.bring(files / "ref.png", long)
    tab.page.click("#tab-render")
    tab.page.click("#render")
    tab.page.wait_for_selector(".job .badge")
    right, inside, name, state = tab.page.evaluate(  # at once: jobs are drawn anew
        """() => {
          const card = document.querySelector(".queue").getBoundingClientRect();
          const parts = [...document.querySelectorAll(".job, .job *")];
          const ends = parts.map((e) => e.getBoundingClientRect().right);
          const tops = [".job .name", ".job .badge"].map(
            (each) => document.querySelector(each).getBoundingClientRect().top);
          return [card.right, Math.max(...ends), ...tops];
        }"""
    )
    assert inside < right
    assert abs(name - state) < 8  # the state stands beside the name


def test_words_that_are_refused_are_not_shown_as_a_command(tab: Tab, files: Path) -> None:
    tab.bring(files / "ref.png", files / "doll.pose")
    tab.page.click("#tab-render")
    tab.page.wait_for_selector("#command:has-text('anim render')")
    tab.choose("render-size", "7x9")
    tab.page.wait_for_selector("[role=alert]:has-text('multiples of 8')")
    assert tab.page.inner_text("#command") == ""
    tab.page.click("button:has-text('Take 64x64')")
    tab.page.wait_for_selector("#command:has-text('--size 64x64')")
    assert tab.page.input_value("#render-size") == "64x64"
    tab.errors.clear()  # the refusal is a status of 422


def test_the_page_is_painted_before_any_module_or_answer_has_come(
    browser: Any, served: Served
) -> None:
    context = browser.new_context()
    context.set_default_timeout(PATIENCE_MS)
    page = context.new_page()
    held = []
    for late in ("**/*.js", "**/api/**"):
        page.route(late, lambda route: held.append(route))
    page.goto(served.url, wait_until="commit")
    painted = "() => performance.getEntriesByName('first-contentful-paint').length"
    while not page.evaluate(painted):
        page.wait_for_timeout(20)
    assert page.locator("nav.tabs button:visible").all_inner_texts() == [
        "Bring in", "Motion", "Render", "Results",
    ]  # fmt: skip
    assert len(held) > 10  # all modules are asked for at once
    for route in held:
        route.abort()
    context.close()


def test_a_tab_that_isnt_seen_lets_go_of_its_connection_and_catches_up(
    tab: Tab, served: Served, files: Path
) -> None:
    turned = """hidden => {
      Object.defineProperty(document, "hidden", { value: hidden, configurable: true });
      document.dispatchEvent(new Event("visibilitychange"));
    }"""
    tab.page.wait_for_selector("#line:not(.off)")
    tab.page.evaluate(turned, True)
    served.upload((files / "doll.pose").read_bytes(), "doll.pose")
    tab.page.wait_for_timeout(300)
    assert tab.page.locator(".tile .name[title='doll.pose']").count() == 0
    tab.page.evaluate(turned, False)
    tab.page.wait_for_selector(".tile .name[title='doll.pose']")
