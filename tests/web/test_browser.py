"""The page in a real browser: what people do with it, end to end.

Detector and renderer are small stand-ins, all else is real.
"""

import json
import shutil
import signal
import subprocess
import sys
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from batch_stand_ins import environment
from builders.paper_doll import STANDING
from page_tab import EVIL, FAINT, FRAMES, LOADED, NAMELESS, PATIENCE_MS, Tab
from web_server import HERE, STAND_INS, Served, serving

from animcli.pose import keypoints as s
from animcli.pose.io_pose import read_pose

pytestmark = pytest.mark.browser

WRIST = s.LEFT_WRIST


def command_line(folder: Path, *words: str) -> None:
    run = subprocess.run(
        [sys.executable, str(HERE / "tests" / "page_stand_ins.py"), *words], cwd=folder,
        env=environment(), capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert run.returncode == 0, run.stderr


RENDER = ["render", "ref.png", "--motion", "doll.pose", "--size", "64x96", "--frames",
          str(FRAMES - 2), "--no-retarget", "--preset", "cutout"]  # fmt: skip


def test_a_render_from_the_page_is_the_command_lines_byte_by_byte(
    tab: Tab, served: Served, files: Path, tmp_path: Path
) -> None:
    tab.bring(files / "ref.png", files / "doll.pose")
    tab.small()
    tab.page.wait_for_selector("#command:has-text('--no-retarget')")
    shown = tab.page.inner_text("#command").split()
    assert shown[:4] == ["anim", "render", "ref.png", "--motion"]
    tab.page.click("#render")
    tab.wait_for_job("done")
    (made,) = (served.project / "studio").glob("*.mp4")
    other = tmp_path / "other"
    shutil.copytree(files, other)
    command_line(other, *shown[1:], "-o", "out.mp4")
    assert (
        sha256(made.read_bytes()).digest()
        == sha256((other / "out.mp4").read_bytes()).digest()
    )
    # Its settings come back from the file alone.
    tab.page.click("#tab-render")
    tab.choose("render-frames", "3")
    tab.page.click("#tab-bring")
    tab.page.set_input_files("#bring-files", str(made.with_name(f"{made.name}.json")))
    tab.page.wait_for_selector("#area-render:not([hidden])")
    assert tab.page.input_value("#render-frames") == str(FRAMES - 2)
    assert tab.page.input_value("#render-no_retarget") == "on"


def test_a_new_tab_has_chosen_what_there_is_one_of(
    tab: Tab, browser: Any, served: Served, files: Path
) -> None:
    tab.bring(files / "ref.png", files / "doll.pose")
    other = Tab(browser, served)
    other.page.click("#tab-render")
    other.page.wait_for_selector("#command:has-text('ref.png --motion doll.pose')")
    tab.bring(files / "spot.mp4")
    third = Tab(browser, served)
    chosen = third.page.locator(".tile.chosen .name")
    assert chosen.all_inner_texts() == ["ref.png"]  # of two motions, none
    for each in (other, third):
        each.close()


def test_files_can_be_dropped_and_wrong_ones_are_told_in_anims_words(
    tab: Tab, files: Path
) -> None:
    data = tab.page.evaluate_handle(
        """([name, bytes]) => {
          const data = new DataTransfer();
          data.items.add(new File([new Uint8Array(bytes)], name));
          return data;
        }""",
        ["ref.png", list((files / "ref.png").read_bytes())],
    )
    tab.page.dispatch_event(".drop", "drop", {"dataTransfer": data})
    tab.page.wait_for_selector(".tile .name[title='ref.png']")
    tab.page.set_input_files("#bring-files", str(files / "page.mp4"))
    tab.page.wait_for_selector(".error:has-text('looks like a web page')")
    tab.page.set_input_files("#bring-files", str(files / EVIL))
    tab.page.wait_for_selector(f".tile .name:text-is({json.dumps(EVIL)})")
    assert tab.page.locator("img[src=x]").count() == 0


def test_the_skeleton_lies_on_the_joints(tab: Tab, files: Path) -> None:
    tab.bring(files / "doll.pose")
    tab.page.click("#tab-motion")
    tab.page.wait_for_selector("#save, a:has-text('Save as .pose'):visible")
    colour = """([x, y, size]) => {
      const c = document.getElementById("over"), r = devicePixelRatio;
      const [width, height] = [c.clientWidth, c.clientHeight];
      const scale = Math.min(width / size[0], height / size[1]);
      const at = [x * scale + (width - size[0] * scale) / 2];
      at.push(y * scale + (height - size[1] * scale) / 2);
      return [...c.getContext("2d").getImageData(at[0] * r, at[1] * r, 1, 1).data];
    }"""
    pose = read_pose(files / "doll.pose")
    for frame in (0, 5):
        tab.page.fill("#frame", str(frame))
        for joint in (WRIST, s.NOSE, s.RIGHT_ANKLE):
            x, y = (float(v) for v in pose.points[frame, joint])
            assert tab.page.evaluate(colour, [x, y, [256, 384]])[3] > 200
            assert (
                tab.page.evaluate(colour, [x, y + 24, [256, 384]])[3] == 0 or joint != WRIST
            )
    assert tab.page.evaluate(colour, [250, 20, [256, 384]])[3] == 0


def test_a_wrist_is_dragged_and_stays_there(tab: Tab, served: Served, files: Path) -> None:
    tab.bring(files / "doll.pose")
    tab.page.click("#tab-motion")
    tab.page.wait_for_selector("a:has-text('Save as .pose'):visible")
    tab.choose("reach", "1")
    tab.page.fill("#frame", "4")
    box = tab.page.locator("#over").bounding_box()
    scale = min(box["width"] / 256, box["height"] / 384)
    left = box["x"] + (box["width"] - 256 * scale) / 2
    top = box["y"] + (box["height"] - 384 * scale) / 2
    x, y = STANDING[WRIST][0] + 8, STANDING[WRIST][1]
    tab.page.mouse.move(left + x * scale, top + y * scale)
    tab.page.mouse.down()
    tab.page.mouse.move(left + (x + 30) * scale, top + (y - 40) * scale, steps=4)
    tab.page.mouse.up()
    tab.page.wait_for_selector("#edit-count:has-text('1 correction')")
    tab.page.wait_for_selector("a:has-text('Save the corrections'):visible")
    tab.page.reload()
    tab.page.wait_for_selector("body[data-ready=yes]")
    tab.page.wait_for_selector("#edit-count:has-text('1 correction')")
    tab.page.wait_for_selector("a:has-text('Save the corrections'):visible")
    with tab.page.expect_download() as saved:
        tab.page.click("a:has-text('Save as .pose')")
    made, before = read_pose(Path(saved.value.path())), read_pose(files / "doll.pose")
    changed = (made.points != before.points).any(axis=2)
    assert sorted(set(np.argwhere(changed)[:, 0].tolist())) == [3, 4, 5]
    assert set(np.argwhere(changed)[:, 1].tolist()) == {WRIST}
    bone = [
        np.linalg.norm(p.points[4, WRIST] - p.points[4, s.LEFT_ELBOW])
        for p in (made, before)
    ]
    assert bone[0] == pytest.approx(bone[1], abs=0.01)
    tab.page.click("#tab-render")
    assert "correct-pose" not in tab.page.inner_text("#command")  # no picture yet
    edits = list((served.project / ".anim" / "edits").iterdir())
    assert len(edits) == 1


def test_by_keyboard_alone_a_joint_is_moved_and_the_move_undone(
    tab: Tab, files: Path
) -> None:
    tab.bring(files / "doll.pose")
    tab.page.focus("#tab-bring")
    tab.page.keyboard.press("ArrowRight")
    tab.page.wait_for_selector("#area-motion:not([hidden])")
    tab.page.wait_for_selector("a:has-text('Save as .pose'):visible")
    tab.page.focus("#over")
    tab.page.keyboard.press("]")
    for _ in range(8):
        tab.page.keyboard.press("Tab")
    assert tab.page.input_value("#joint") == str(WRIST)
    tab.page.keyboard.press("Shift+ArrowUp")
    tab.page.wait_for_selector("#edit-count:has-text('1 correction')")
    tab.page.keyboard.press("Control+z")
    tab.page.wait_for_selector("#edit-count:has-text('No corrections')")
    tab.page.keyboard.press("Escape")
    assert tab.page.input_value("#joint") == "-1"


def test_a_closed_tab_loses_nothing_and_two_tabs_agree(
    browser: Any, served: Served, files: Path, tmp_path: Path
) -> None:
    gate = tmp_path / "gate"
    gate.write_text("0")
    first = Tab(browser, served)
    first.bring(files / "ref.png", files / "doll.pose")
    first.small()
    first.page.wait_for_selector("#command:has-text('--no-retarget')")
    first.page.click("#render")
    first.page.wait_for_selector(".job[data-state=running]:has-text('denoising: 1 / 3')")
    first.close()
    second, third = Tab(browser, served), Tab(browser, served)
    second.page.wait_for_selector(".job[data-state=running]:has-text('denoising: 1 / 3')")
    third.page.click(".job button:has-text('Stop')")
    gate.write_text("1")
    for tab in (second, third):
        tab.wait_for_job("stopped")
    gate.unlink()
    second.page.click(".job button:has-text('Continue')")
    for tab in (second, third):
        tab.wait_for_job("done")
    third.close()
    second.page.click("text=Show it")
    second.page.wait_for_selector("#use-settings")
    second.close()


def test_after_a_kill_of_everything_the_render_goes_on_to_the_same_frames(
    browser: Any, files: Path, tmp_path: Path
) -> None:
    gate, project = tmp_path / "gate", tmp_path / "project"
    gate.write_text("0")  # one step is told, and stays
    env = {"ANIM_TEST_GATE": str(gate)}
    with serving(project, program=STAND_INS, env=env) as served:
        tab = Tab(browser, served)
        tab.bring(files / "ref.png", files / "doll.pose")
        tab.small()
        tab.page.wait_for_selector("#command:has-text('--no-retarget')")
        tab.page.click("#render")
        tab.page.wait_for_selector(".job:has-text('denoising: 1 / 3')")
        served.process.send_signal(signal.SIGKILL)
        served.process.wait()
        tab.context.close()
    gate.unlink()
    with serving(project, program=STAND_INS, env=env) as served:
        tab = Tab(browser, served)
        tab.wait_for_job("stopped")
        tab.page.click(".job button:has-text('Continue')")
        tab.wait_for_job("done")
        tab.close()
    (made,) = (project / "studio").glob("*.mp4")
    other = tmp_path / "other"
    shutil.copytree(files, other)
    command_line(other, *RENDER, "-o", "out.mp4")
    assert made.read_bytes() == (other / "out.mp4").read_bytes()


def test_footage_is_found_compared_and_looks_right_at_360_pixels(
    tab: Tab, files: Path
) -> None:
    tab.bring(files / "ref.png", files / "spot.mp4")
    tab.page.click("#tab-motion")
    tab.page.click("#find")
    tab.wait_for_job("done")
    tab.page.wait_for_selector("a:has-text('Save as .pose'):visible")
    tab.small()
    tab.page.wait_for_selector("#command:has-text('--no-retarget')")
    tab.page.click("#render")
    tab.page.click("text=Show it")
    tab.page.wait_for_selector("#compare")
    option = tab.page.locator("#compare option").nth(1)
    tab.page.select_option("#compare", option.get_attribute("value"))
    tab.page.evaluate(LOADED)
    tab.page.click("button[data-mode=difference]")
    tab.page.click("button[data-mode=slider]")
    cut = tab.page.evaluate("document.querySelector('video.a').style.clipPath")
    assert cut.startswith("inset(0")
    tab.page.set_viewport_size({"width": 360, "height": 740})
    for name in ("bring", "motion", "render", "results", "queue"):
        tab.page.click(f"#tab-{name}")
        wide = tab.page.evaluate("document.documentElement.scrollWidth")
        assert wide <= 360, name


def test_every_control_has_a_name_and_all_text_can_be_read(
    browser: Any, served: Served, files: Path
) -> None:
    for scheme in ("light", "dark"):
        tab = Tab(browser, served, color_scheme=scheme, reduced_motion="reduce")
        if scheme == "light":
            tab.bring(files / "ref.png", files / "doll.pose")
        for name in ("bring", "motion", "render", "results"):
            tab.page.click(f"#tab-{name}")
            assert tab.page.evaluate(NAMELESS) == []
            assert tab.page.evaluate(FAINT) == []
        tab.close()


def test_the_page_is_light_and_needs_no_other_machine(browser: Any, served: Served) -> None:
    context = browser.new_context()
    context.set_default_timeout(PATIENCE_MS)
    page = context.new_page()
    sizes: list[int] = []
    asked: list[str] = []
    page.on("request", lambda r: asked.append(r.url))
    page.on(
        "response", lambda r: sizes.append(len(r.body())) if "/static/" in r.url else None
    )
    page.goto(served.url)
    page.wait_for_selector("body[data-ready=yes]")
    assert 10_000 < sum(sizes) < 300_000
    assert len(asked) > 10
    assert [url for url in asked if not url.startswith((served.origin, "data:"))] == []
    context.close()


def test_without_its_key_the_page_says_so(browser: Any, served: Served) -> None:
    context = browser.new_context()
    page = context.new_page()
    page.set_default_timeout(PATIENCE_MS)
    page.goto(f"{served.origin}/#t=wrong")
    page.wait_for_selector("text=This page needs its key")
    context.close()
