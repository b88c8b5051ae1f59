// Motion: the skeleton over its frames, curves, and joints that are dragged right.
import { frameOf, post } from "./api.js";
import { button, fill, h } from "./dom.js";
import { Edits } from "./edits.js";
import { optionFields } from "./options.js";
import { Player } from "./player.js";
import { draw, fetchPose, HANDS, nameOf, outline, parentOf, BODY, FEET, FACE } from "./skeleton.js";
import { choose, chosenMotion, correctedWords, motionWords, on, state, tell } from "./state.js";
import { TEXT } from "./text.js";

const words = TEXT.motion;
const GRAB = 16;

export function motionArea(queueIt) {
  let pose = null, target = null, edits = null, joint = -1, drag = null, people = [];
  const show = { body: true, hands: true, face: false, target: false };
  const canvas = h("canvas", { class: "over", id: "over", tabindex: "0", role: "application", "aria-label": words.canvas });
  const note = h("div", { class: "note", hidden: true });
  const player = new Player(drawAll, (playing) => fill(play, playing ? words.pause : words.play));
  const stage = h("div", { class: "stage" }, player.video, canvas, note);
  const play = button(words.play, () => player.toggle(), { id: "play" });
  const slider = h("input", { type: "range", min: 0, max: 0, value: 0, step: 1, id: "frame", "aria-label": words.title, oninput: () => player.seek(Number(slider.value)) });
  const counter = h("output", { class: "mono", for: "frame" });
  const curve = h("canvas", { class: "curve", "aria-label": words.curve, role: "img" });
  const status = h("div", { role: "status", class: "stack close" });
  const joints = h("select", { id: "joint", onchange: () => pick(Number(joints.value)) });
  const reach = h("input", { type: "number", min: 0, max: 200, id: "reach", placeholder: words.auto, "aria-describedby": "reach-help" });
  const free = h("input", { type: "checkbox", id: "free" });
  const side = h("select", { id: "side", "aria-label": words.swap }, Object.entries(words.swapSide).map(([value, label]) => h("option", { value }, label)));
  const count = h("p", { class: "soft small", role: "status", id: "edit-count" });
  const undo = button(words.undo, () => edits?.undo(pose), { id: "undo" }), redo = button(words.redo, () => edits?.redo(pose), { id: "redo" });
  const find = button(words.find, findMotion, { class: "primary", id: "find" });
  const options = optionFields("extract-pose", () => state.extract, (extract) => choose({ extract }), ["detector", "person", "hands", "face", "clean"]);
  const crowd = h("div", { class: "stack close" });
  const save = h("a", { class: "button", hidden: true }, words.save), saveEdits = h("a", { class: "button", hidden: true }, words.saveEdits);
  const marks = h("span", { class: "soft small", id: "marks" });
  const markIn = button(words.markIn, () => mark(0), { id: "mark-in" });
  const loop = h("input", { type: "checkbox", checked: true, onchange: () => { player.loop = loop.checked; } });

  const view = () => {
    const size = pose?.size ?? chosenMotion()?.size ?? [16, 9];
    const [width, height] = [canvas.clientWidth, canvas.clientHeight];
    const scale = Math.min(width / size[0], height / size[1]);
    return { scale, left: (width - size[0] * scale) / 2, top: (height - size[1] * scale) / 2, unit: Math.min(width, height) / 190 };
  };

  function drawAll(frame) {
    slider.value = frame;
    fill(counter, words.frame(frame, player.last));
    slider.setAttribute("aria-valuetext", words.frame(frame, player.last));
    paint();
  }

  function paint() {
    const ratio = devicePixelRatio || 1;
    canvas.width = canvas.clientWidth * ratio; canvas.height = canvas.clientHeight * ratio;
    const context = canvas.getContext("2d");
    context.scale(ratio, ratio);
    const now = view();
    if (pose && player.frame < pose.frames) draw(context, pose, player.frame, now, show, joint);
    if (target && show.target && player.frame < target.frames) {
      const whole = Math.min(canvas.clientWidth / target.size[0], canvas.clientHeight / target.size[1]);
      outline(context, target, player.frame, { scale: whole, left: (canvas.clientWidth - target.size[0] * whole) / 2, top: (canvas.clientHeight - target.size[1] * whole) / 2 });
    }
    for (const { number, box, frame } of people) {
      if (frame !== player.frame) continue;
      context.strokeStyle = "#fff"; context.lineWidth = 2;
      context.strokeRect(box[0] * now.scale + now.left, box[1] * now.scale + now.top, (box[2] - box[0]) * now.scale, (box[3] - box[1]) * now.scale);
      context.fillStyle = "#fff"; context.font = "600 15px system-ui";
      context.fillText(String(number), box[0] * now.scale + now.left + 6, box[1] * now.scale + now.top + 18);
    }
    paintCurve();
  }

  function paintCurve() {
    const ratio = devicePixelRatio || 1, width = curve.clientWidth, height = curve.clientHeight;
    if (!width) return;
    curve.width = width * ratio; curve.height = height * ratio;
    const context = curve.getContext("2d"), style = getComputedStyle(document.documentElement);
    context.scale(ratio, ratio);
    const colour = (name) => style.getPropertyValue(name);
    const x = (frame) => (player.last ? (frame / player.last) * (width - 8) + 4 : width / 2);
    if (state.marks) { context.fillStyle = colour("--accent-wash"); context.fillRect(x(state.marks[0]), 0, x(state.marks[1]) - x(state.marks[0]), height); }
    if (pose) {
      context.fillStyle = colour("--bad-wash");
      for (let f = 0; f < pose.frames; f++) if (pose.nobody(f)) context.fillRect(x(f - 0.5), 0, x(f + 0.5) - x(f - 0.5), height);
      for (const [name, value] of [["--accent", (f) => pose.confidence(f)], ["--warm", (f) => (joint >= 0 ? pose.at(f, joint).score : NaN)]]) {
        context.strokeStyle = colour(name); context.lineWidth = 1.7; context.beginPath();
        for (let f = 0; f < pose.frames; f++) context.lineTo(x(f), height - 6 - Math.min(1, value(f)) * (height - 12));
        context.stroke();
      }
      context.fillStyle = colour("--warm");
      for (const edit of edits?.list ?? []) { context.beginPath(); context.arc(x(edit.frame), 6, 3, 0, 7); context.fill(); }
    }
    context.fillStyle = colour("--ink"); context.fillRect(x(player.frame) - 1, 0, 2, height);
  }
  const scrub = (event) => { if (event.buttons || event.type === "pointerdown") player.seek(((event.offsetX - 4) / (curve.clientWidth - 8)) * player.last); };
  curve.addEventListener("pointerdown", scrub); curve.addEventListener("pointermove", scrub);

  function pick(chosen) {
    joint = chosen;
    joints.value = String(chosen);
    paint();
  }

  const shownJoint = (n) => n < FEET ? show.body : n < FACE ? show.face : show.hands;
  const pointAt = (event) => {
    const now = view(), box = canvas.getBoundingClientRect();
    return { x: (event.clientX - box.left - now.left) / now.scale, y: (event.clientY - box.top - now.top) / now.scale, grab: GRAB / now.scale };
  };
  function nearestJoint({ x, y, grab }) {
    let best = -1, least = grab;
    for (let n = 0; n < HANDS; n++) {
      if (!shownJoint(n)) continue;
      const p = pose.at(player.frame, n);
      const away = p.score > 0 ? Math.hypot(p.x - x, p.y - y) : Infinity;
      if (away < least - (n >= BODY ? 0.5 : 0)) { best = n; least = away; }
    }
    return best;
  }
  canvas.addEventListener("pointerdown", (event) => {
    if (!pose) return;
    player.pause();
    const where = pointAt(event);
    const box = people.find(({ box: b, frame }) => frame === player.frame && where.x >= b[0] && where.x <= b[2] && where.y >= b[1] && where.y <= b[3]);
    pick(nearestJoint(where));
    if (joint < 0 && box) return takePerson(box.number);
    if (joint < 0) return undefined;
    canvas.setPointerCapture(event.pointerId);
    drag = { frame: player.frame, moved: false, start: where };
    return undefined;
  });
  canvas.addEventListener("pointermove", (event) => {
    if (!drag) return;
    const where = pointAt(event);
    drag.moved ||= Math.hypot(where.x - drag.start.x, where.y - drag.start.y) > 2 / view().scale;
    if (drag.moved) { drag.free = event.shiftKey || free.checked; put(where.x, where.y, drag.free); paint(); }
  });
  const drop = () => {
    if (!drag) return;
    const { moved, free: loose } = drag;
    drag = null;
    if (moved) keep(loose);
  };
  canvas.addEventListener("pointerup", drop);
  canvas.addEventListener("pointercancel", drop);

  // As the server will do it: around what the joint hangs on, unless it is freed.
  function put(x, y, loose) {
    const parent = parentOf(joint), f = player.frame;
    const before = pose.at(f, joint);
    if (!loose && parent !== undefined) {
      const root = pose.at(f, parent);
      drag_length ??= root.score > 0 && before.score > 0 ? Math.hypot(before.x - root.x, before.y - root.y) : 0;
      const away = Math.hypot(x - root.x, y - root.y);
      if (drag_length && away) { x = root.x + ((x - root.x) * drag_length) / away; y = root.y + ((y - root.y) * drag_length) / away; }
    }
    pose.put(f, joint, x, y);
  }
  let drag_length = null;
  function keep(loose) {
    drag_length = null;
    const { x, y } = pose.at(player.frame, joint);
    const wanted = reach.value === "" ? null : Math.max(0, Math.round(Number(reach.value)));
    return safe(edits.move(pose, player.frame, joint, x, y, wanted, loose));
  }
  const span = () => state.marks ?? [player.frame, player.frame];

  let nudging = 0;
  canvas.addEventListener("keydown", (event) => {
    const step = event.shiftKey ? 10 : 1;
    const moves = { ArrowLeft: [-step, 0], ArrowRight: [step, 0], ArrowUp: [0, -step], ArrowDown: [0, step] };
    if (event.key === "[" || event.key === "]") player.seek(player.frame + (event.key === "]" ? 1 : -1));
    else if (event.key === " ") player.toggle();
    else if (event.key === "Escape" && joint >= 0) pick(-1);
    else if (event.key === "Tab" && pose && !leaves(event.shiftKey)) pick(nextJoint(event.shiftKey ? -1 : 1));
    else if (event.key === "Delete" && pose && joint >= 0) safe(edits.mark(pose, ...span(), joint, "hidden"));
    else if ((event.ctrlKey || event.metaKey) && event.key.toLowerCase() === "z") event.shiftKey ? edits?.redo(pose) : edits?.undo(pose);
    else if (moves[event.key] && pose && joint >= 0) {
      const p = pose.at(player.frame, joint);
      pose.put(player.frame, joint, p.x + moves[event.key][0], p.y + moves[event.key][1]);
      paint();
      clearTimeout(nudging);  // several presses are one correction
      nudging = setTimeout(() => keep(true), 350);
    } else return;
    event.preventDefault();
  });
  const visible = () => [...Array(FEET).keys()].filter((n) => pose.at(player.frame, n).score > 0);
  // Tab leaves at the last joint and Shift+Tab at the first, so that nobody is caught here.
  const leaves = (back) => { const all = visible(); return !all.length || (back ? joint <= all[0] : joint >= all[all.length - 1]); };
  const nextJoint = (step) => { const all = visible(); return all[all.indexOf(joint) + step] ?? all[0]; };

  async function safe(work) { try { return await work; } catch (error) { tell("error", error); return undefined; } }

  async function findAgain() {
    const p = pose.at(player.frame, joint), [width, height] = pose.size;
    const said = await post("/api/find", { digest: state.motion, frame: player.frame, x: Math.round(p.x), y: Math.round(p.y), size: Math.round(Math.max(width, height) * 0.6), detector: pose.detector });
    const [x, y, score] = said.joints[joint];
    if (score <= 0) return fillNote(`${nameOf(joint)}: ${TEXT.kinds.unknown}`);
    pose.put(player.frame, joint, x, y);
    return keep(true);
  }
  function fillNote(text) { fill(note, text); note.hidden = !text; }

  async function findMotion() {
    await safe(queueIt(motionWords()));
  }
  function takePerson(number) {
    choose({ extract: { ...state.extract, person: { flag: "--person", value: String(number) } } });
    options.redraw();
    findMotion();
  }

  async function applyEdits() {
    state.corrected = edits.digest;
    count.replaceChildren(edits.list.length ? words.edits(edits.list.length) : words.none1);
    undo.disabled = !edits.past.length; redo.disabled = !edits.future.length;
    await loadPose();
    tell("choice", { corrected: edits.digest });
  }

  // The motion as it is now: found, and corrected where there are corrections.
  async function loadPose() {
    const line = correctedWords();
    let digest = chosenMotion()?.kind === "pose" && !state.corrected ? state.motion : "";
    if (state.corrected) digest = (await post("/api/make", { words: line })).digest;
    else if (line) digest = (await post("/api/plan", { words: line })).stages.at(-1)?.digest ?? "";
    pose = digest ? await fetchPose(digest) : null;
    state.pose = digest;
    save.hidden = !digest; save.href = `/media/${digest}?save`;
    saveEdits.hidden = !state.corrected; saveEdits.href = `/media/${state.corrected}?save`;
    fill(find, pose ? words.again : words.find);
    find.hidden = chosenMotion()?.kind === "pose";
    await loadTarget();
    showPeople();
  }
  async function loadTarget() {
    target = null;
    if (!show.target || !pose || !state.picture) return paint();
    const before = correctedWords();
    const line = before ? [...before, "then", "retarget", "--to", state.picture] : ["retarget", state.motion, "--to", state.picture];
    const made = await safe(post("/api/make", { words: line }));
    if (made) { target = await fetchPose(made.digest); fillNote(made.notes.join("; ")); }
    return paint();
  }

  function showPeople() {
    people = (pose?.person?.tracks ?? []).filter((each) => each.box.length === 4).map((each) => ({ number: each.number, box: each.box, frame: each.largest_in, frames: each.frames }));
    if (people.length < 2) { people = []; return fill(crowd); }
    return fill(crowd, h("h3", {}, words.people(people.length)), h("div", { class: "row" }, people.map((each) => button(
      [h("img", { src: frameOf(state.motion, each.frame, 160), alt: "", width: 54, height: 40 }), words.person(each.number, each.frames)],
      () => takePerson(each.number), { "aria-pressed": String(pose.person.track === each.number), class: "person" },
    ))));
  }

  let shownMotion = "", shownExtract = "";
  async function load() {
    const motion = chosenMotion();
    empty.hidden = Boolean(motion); whole.hidden = !motion;
    if (!motion) { shownMotion = ""; return; }
    const extract = JSON.stringify(state.extract), other = shownMotion !== state.motion;
    if (!other && extract === shownExtract) return;
    [shownMotion, shownExtract] = [state.motion, extract];
    if (other) {
      pose = target = null; joint = -1; state.corrected = ""; fillNote("");
      edits = new Edits(state.motion, applyEdits);
      player.frame = 0;
    }
    const mine = state.motion;
    if (other) await safe(loadVideo(motion));
    await safe((async () => {
      if (other) { await edits.load(); state.corrected = edits.digest; }
      count.replaceChildren(edits.list.length ? words.edits(edits.list.length) : words.none1);
      await loadPose();
    })());
    if (mine !== state.motion) return;
    if (pose) await safe(loadVideo(motion));
    tell("pose", pose);
  }

  const standIn = {};
  async function loadVideo(motion) {
    let source = "", times = pose?.times;
    if (motion.kind === "video") {
      source = motion.plays ? `/media/${motion.digest}` : "";
      if (!motion.plays) {
        fillNote(words.stand);
        standIn[motion.digest] ??= (await post("/api/stand-in", { digest: motion.digest })).digest;
        source = `/media/${standIn[motion.digest]}`;
        fillNote("");
      }
      const [top, bottom = "1"] = motion.rate.split("/");
      // Containers that don't count their frames, such as AVI, say how long they are.
      const length = motion.frames ?? Math.max(1, Math.round(((motion.seconds ?? 0) * Number(top)) / Number(bottom)));
      times ??= Array.from({ length }, (_, n) => (n * Number(bottom)) / Number(top));
    }
    slider.max = (times ?? [0]).length - 1;
    player.marks = state.marks;
    player.load(source, times ?? [0]);
    showMarks();
  }

  function mark(which) {
    const [a, b] = state.marks ?? [0, player.last];
    const next = which === null ? null : which === 0 ? [player.frame, Math.max(b, player.frame)] : [Math.min(a, player.frame), player.frame];
    player.marks = next;
    choose({ marks: next });
    tell("marks", { marks: next, part: next && partOf(next) });
    showMarks();
  }
  // Times between frames, so that rounding can't take another one; the end of the last is none.
  function partOf([a, b]) {
    const times = player.times, between = (n) => ((times[n - 1] + times[n]) / 2).toFixed(4);
    return { start: a > 0 ? between(a) : "0", end: b < player.last ? between(b + 1) : "" };
  }
  function showMarks() {
    // Other motions than footage begin at their first frame; `--frames` says where they end.
    markIn.disabled = chosenMotion()?.kind !== "video";
    markIn.title = markIn.disabled ? words.noIn : "";
    showRange();
  }
  function showRange() { fill(marks, state.marks ? words.range(...state.marks) : ""); paint(); }

  const toggle = (name, label) => h("label", { class: "check" }, h("input", { type: "checkbox", checked: show[name], onchange: async (event) => {
    show[name] = event.target.checked;
    if (name === "target") await loadTarget();
    paint();
  } }), label);

  fill(joints, h("option", { value: -1 }, words.noJoint), [...Array(HANDS).keys()].map((n) => h("option", { value: n }, nameOf(n).replaceAll("_", " "))));
  const ifJoint = (run) => () => pose && joint >= 0 && safe(run());
  const empty = h("p", { class: "empty" }, words.none);
  const whole = h(
    "div", { class: "split" },
    h(
      "div", { class: "stack" },
      stage,
      h("div", { class: "transport" },
        h("div", { class: "row tight" }, button("‹", () => player.seek(player.frame - 1), { "aria-label": words.previous }), play, button("›", () => player.seek(player.frame + 1), { "aria-label": words.following })),
        slider, counter),
      curve,
      h("div", { class: "row" }, h("label", { class: "check" }, loop, words.loop), markIn, button(words.markOut, () => mark(1), { id: "mark-out" }), button(words.clearMarks, () => mark(null), { class: "plain" }), marks),
      h("div", { class: "row" }, h("span", { class: "soft" }, words.show), toggle("body", words.body), toggle("hands", words.hands), toggle("face", words.face), toggle("target", words.target)),
      crowd,
    ),
    h(
      "div", { class: "stack" },
      h("div", { class: "card stack close" }, find, status, h("details", {}, h("summary", {}, words.options), options.element), h("div", { class: "row" }, save, saveEdits)),
      h(
        "div", { class: "card stack close" },
        h("h3", {}, words.correct), h("p", { class: "soft small" }, words.how),
        h("label", { class: "field", htmlFor: "joint" }, h("span", {}, words.joint), joints),
        h("label", { class: "field", htmlFor: "reach" }, h("span", {}, words.reach), reach, h("small", { id: "reach-help" }, words.reachHelp)),
        h("label", { class: "check" }, free, words.free),
        h("div", { class: "row" },
          button(words.hide, ifJoint(() => edits.mark(pose, ...span(), joint, "hidden"))), button(words.restore, ifJoint(() => edits.mark(pose, ...span(), joint, "restored"))),
          button(words.again1, ifJoint(findAgain))),
        h("div", { class: "row" }, button(words.swap, () => pose && safe(edits.swap(pose, ...span(), side.value))), h("div", {}, side)),
        h("p", { class: "soft small" }, words.spanHelp),
        h("div", { class: "row" }, undo, redo), count,
        h("details", {}, h("summary", {}, words.keysTitle), h("dl", { class: "keys" }, words.keys.map(([key, what]) => [h("dt", {}, h("kbd", {}, key)), h("dd", {}, what)]))),
      ),
    ),
  );
  undo.disabled = redo.disabled = true;
  new ResizeObserver(paint).observe(stage);
  on("choice", (change) => ("motion" in change || "extract" in change) && load());
  on("uploads-known", load);
  on("done", () => { shownExtract = ""; load(); });
  // What another tab has kept; of our own the answer may still be on its way.
  on("edits", ({ source, digest }) => source === state.motion && safe(edits?.work.catch(() => undefined).then(async () => {
    if (digest === edits.kept) return;
    await edits.load();
    await applyEdits();
  })));
  on("picture", loadTarget);
  return Object.assign(h("section", {}, h("div", { class: "panel-head" }, h("h2", {}, words.title)), empty, whole), { shown: paint });
}
