// Render: which preset, which options, what it takes, and the words for it.
import { frameOf, get, post } from "./api.js";
import { button, bytes, command, fill, h, quoted } from "./dom.js";
import { optionFields } from "./options.js";
import { choose, chosenMotion, chosenPicture, named, on, renderWords, state, tell } from "./state.js";
import { TEXT } from "./text.js";

const words = TEXT.render;
const USUAL = ["size", "frames", "fps", "seed", "steps", "guidance", "loop", "audio"];

export function renderArea(queueIt) {
  const cards = h("div", { class: "presets" }), more = h("details");
  const about = () => state.presets?.presets.find((each) => each.name === state.render.preset);
  const kept = () => state.render.values;
  const keep = (values) => choose({ render: { ...state.render, values } });
  const usual = (name) => (name === "size" && about()?.values?.width ? `${about().values.width}x${about().values.height}` : about()?.values?.[name]);
  // What the preset's renderer would refuse isn't offered.
  const listens = (option) => !state.keys?.has(option.name) || option.name in (about()?.values ?? {});
  const few = optionFields("render", kept, keep, (all) => USUAL.filter((name) => all.some((each) => each.name === name && listens(each))), usual);
  const rest = optionFields("render", kept, keep, (all) => all.filter((each) => !USUAL.includes(each.name) && !["preset", "motion", "compare", "keep_going", "person", "detector", "detector_device"].includes(each.name) && listens(each)).map((each) => each.name), usual);
  const pair = h("div", { class: "chosen-pair" });
  const plan = h("div", { class: "stack close", "aria-live": "polite" });
  const shown = h("p", { class: "command mono", id: "command" });
  const go = button(words.go, () => run({}), { class: "primary", id: "render" });
  const preview = button(words.preview, () => run(quick()), { id: "preview" });
  const hold = button(words.hold, () => run({}, true));
  const copy = button(words.copy, copyWords);
  const dice = button(["⚄ ", words.dice], () => { keep({ ...kept(), seed: { flag: "--seed", value: String(Math.floor(Math.random() * 2 ** 31)) } }); few.redraw(); });

  function quick() {
    const frames = Math.min(24, Number(kept().frames?.value) || 24, (state.pose_frames ?? 24));
    const only = ["fps", "loop", "start", "end", "every"].filter((name) => kept()[name]).map((name) => [name, kept()[name]]);
    return { preset: state.presets.usual, values: { ...Object.fromEntries(Object.keys(kept()).map((name) => [name, { value: "" }])), ...Object.fromEntries(only), frames: { flag: "--frames", value: String(frames) } } };
  }
  const ready = () => chosenPicture() && (about()?.words || chosenMotion());
  async function run(change, held = false) {
    try { await queueIt(renderWords(change), held); } catch (error) { tell("error", error); }
  }
  async function copyWords() {
    await navigator.clipboard?.writeText(shown.textContent.trim()).catch(() => undefined);
    tell("say", words.copied);
  }

  // What a preset can't run without is known at once; the device, once a plan has loaded torch.
  let known = null, asking = false;
  const weight = (name) => state.weights.find((each) => each.name === name);
  const lacks = (preset) => (preset.weights ?? []).filter((name) => weight(name) && !weight(name).here && !weight(name).by_itself);
  const needs = (preset) => Boolean(preset.error || lacks(preset).length || preset.packages?.length);
  async function findDevice() {
    if (known || asking) return;
    asking = true;
    known = await get("/api/device").catch(() => null);
    redrawCards();
  }

  function card(preset) {
    const lacking = lacks(preset);
    const bytesOf = (name) => weight(name)?.bytes ?? 0;
    const total = (names) => bytes(names.reduce((sum, name) => sum + bytesOf(name), 0));
    const choice = h("input", { type: "radio", name: "preset", value: preset.name, checked: preset.name === state.render.preset, disabled: Boolean(preset.error), onchange: () => pick(preset.name) });
    const device = known?.device[0];
    const runs = device?.state === "ok" ? device.fact : device ? words.noGpu : words.gpu;
    const facts = preset.denoises ? [preset.renderer === "tiny" ? "" : runs] : [words.quick];
    if (preset.denoises && state.weights.length && !lacking.length) facts.push(words.weightsHere);
    return h(
      "label", { class: `preset${needs(preset) ? " lacks" : ""}` },
      h("span", { class: "head" }, choice, preset.name),
      h("span", {}, preset.about ?? ""),
      h("span", { class: "soft small" }, facts.filter(Boolean).join(" · ")),
      preset.error ? h("span", { class: "error small" }, preset.error) : null,
      lacking.length ? h("span", { class: "small" }, words.lacks(`${lacking.join(", ")} (${total(lacking)})`)) : null,
      preset.packages?.length ? h("span", { class: "small" }, words.packages(preset.packages.join(" "))) : null,
      lacking.length && preset.name === state.render.preset ? h("span", { class: "row" }, lacking.map((name) => {
        return button([words.pull(name, bytes(bytesOf(name))), h("span", { class: "soft small" }, weight(name)?.licence ?? "")], () => queueIt(["weights", "pull", name]).catch((error) => tell("error", error)));
      })) : null,
      preset.name === state.render.preset ? h("span", { class: "soft small" }, preset.advice) : null,
    );
  }
  function pick(name) {
    const next = state.presets.presets.find((each) => each.name === name);
    const values = Object.fromEntries(Object.entries(kept()).filter(([key]) => !state.keys.has(key) || key in next.values || key === "size"));
    choose({ render: { preset: name, values } });
    redraw();
  }

  function redraw() {
    if (!state.presets) return;
    redrawCards();
    few.redraw(); rest.redraw();
    refresh();
  }
  function redrawCards() {
    const focused = document.activeElement?.name === "preset";
    if (!about()) state.render.preset = state.presets.usual;
    const rank = (each) => (each.name === state.presets.usual ? 0 : needs(each) ? 2 : 1);
    const all = [...state.presets.presets].sort((a, b) => rank(a) - rank(b));
    fill(cards, all.filter((each) => !needs(each)).map(card));
    const others = all.filter(needs);
    fill(more, h("summary", {}, words.more(others.length)), h("div", { class: "presets" }, others.map(card)));
    more.hidden = !others.length;
    more.open ||= others.some((each) => each.name === state.render.preset);
    if (focused) area.querySelector("input[name=preset]:checked")?.focus();
  }

  let asked = 0, timer = 0;
  function refresh() {
    const [picture, motion] = [chosenPicture(), chosenMotion()];
    const there = (each) => h("figure", { class: "stack close" }, h("div", { class: "thumb tile" }, each && ["picture", "video"].includes(each.kind) ? h("img", { src: frameOf(each.digest, 0, 320), alt: "" }) : each ? TEXT.kinds[each.kind] : "–"), h("figcaption", { class: "name small" }, each?.name ?? "–"));
    fill(pair, there(picture), about()?.words ? null : there(motion), state.corrected ? h("span", { class: "badge" }, words.corrected) : null);
    empty.hidden = Boolean(ready()); for (const each of [go, preview, hold, copy]) each.disabled = !ready() || state.readOnly;
    copy.disabled = !ready(); preview.hidden = Boolean(about()?.words);
    clearTimeout(timer);
    if (!ready()) { fill(plan); fill(shown); return; }
    timer = setTimeout(ask, 250);
  }
  async function ask() {
    const mine = ++asked, line = renderWords();
    let spelled = "";
    fill(plan, h("span", { class: "soft" }, words.planning));
    try {
      spelled = quoted((await post("/api/display", { words: line })).words);
      if (mine === asked) fill(shown, command(spelled));
      const said = await post("/api/plan", { words: line });
      if (mine !== asked) return;
      findDevice();
      const lines = said.stages.map((each) => h("li", { class: each.done ? "done" : "" }, each.name, " ", h("span", { class: "soft small" }, each.done ? words.state.done : "")));
      fill(plan, h("ol", { class: "chain" }, lines), said.outlook.map((each) => h("p", { class: "small" }, each)), said.state === "would go on" ? h("p", { class: "badge" }, words.state[said.state]) : null,
        said.lacks.length ? h("p", { class: "error" }, words.lacks(said.lacks.join(", "))) : null);
      go.disabled ||= false;
    } catch (error) {
      if (mine !== asked) return;
      fill(shown, command(spelled));
      fill(plan, h("div", { class: "error", role: "alert" }, h("b", {}, named(error.message)), error.hint, otherSize(error.hint)));
    }
  }
  // A hint that names a size becomes a button.
  function otherSize(hint) {
    const [size] = /\b\d{2,5}x\d{2,5}\b/.exec(hint ?? "") ?? [];
    return size ? h("div", {}, button(words.size(size), () => {
      keep({ ...kept(), size: { flag: "--size", value: size } });
      few.redraw();
    })) : null;
  }

  const empty = h("p", { class: "empty" }, words.none);
  const area = h(
    "section", {},
    h("div", { class: "panel-head" }, h("h2", {}, words.title)),
    empty,
    h(
      "div", { class: "split" },
      h("div", { class: "stack" },
        h("div", { class: "stack", role: "radiogroup", "aria-label": words.preset }, cards, more),
        h("div", { class: "card stack" }, h("div", { class: "row" }, h("h3", {}, words.usual), h("span", { class: "push" }, dice)), few.element, h("p", { class: "soft small" }, words.frames),
          h("details", {}, h("summary", {}, words.all), h("div", { class: "stack" }, rest.element)))),
      h("div", { class: "card stack" },
        h("h3", {}, words.chosen), pair,
        h("h3", {}, words.plan), plan,
        h("div", { class: "row" }, go, preview),
        h("div", { class: "row" }, copy, hold),
        shown),
    ),
  );
  on("presets", redraw);
  on("weights", redraw);
  on("uploads-known", refresh);
  on("done", async (job) => {
    if (job.command === "weights") state.weights = await get("/api/weights").catch(() => state.weights);
    redraw();
  });
  on("choice", refresh);
  on("marks", keepMarks);
  // Of footage the marked part is taken by its times; of other motions, so many frames.
  function keepMarks({ marks, part }) {
    const { start, end, frames, ...values } = kept(), footage = chosenMotion()?.kind === "video";
    if (marks && footage) {
      values.start = { flag: "--start", value: part.start };
      if (part.end) values.end = { flag: "--end", value: part.end };
    }
    if (marks && !footage) values.frames = { flag: "--frames", value: String(marks[1] + 1) };
    if (frames && footage) values.frames = frames;
    state.render.values = values;
    few.redraw(); rest.redraw();
  }
  on("pose", (pose) => { state.pose_frames = pose?.frames; });
  return Object.assign(area, { shown: redraw });
}

