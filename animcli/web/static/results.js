// Results: what was made, compared with what it was made of, and made again.
import { frameOf, get, post, remove } from "./api.js";
import { button, bytes, command, duration, fill, h, quoted, refocus } from "./dom.js";
import { ratio } from "./skeleton.js";
import { on, state, tell } from "./state.js";
import { TEXT } from "./text.js";

const words = TEXT.results;
const SAVED = { webm: ["--codec", "vp9"], gif: ["--codec", "gif"], webp: ["--codec", "webp"], png: ["--codec", "png"] };

export function resultsArea(queueIt, show) {
  const grid = h("div", { class: "grid" });
  const viewer = h("div", { class: "stack" });
  const measures = h("section", { class: "card stack close", id: "measures", hidden: true });
  const empty = h("p", { class: "empty" }, words.none);
  let open = "", mode = "slider", other = "", cut = 0.5, flickered = false;

  const safe = async (work) => { try { return await work; } catch (error) { tell("error", error); return undefined; } };

  function tile(each) {
    return h("div", { class: `tile${each.digest === open ? " chosen" : ""}` }, h(
      "button", { type: "button", class: "pick", onclick: () => view(each.digest), "aria-pressed": String(each.digest === open), data: { key: each.digest } },
      h("span", { class: "thumb" }, h("img", { src: frameOf(each.digest, 0, 320), alt: "", loading: "lazy" })),
      h("span", { class: "about" }, h("span", { class: "name", title: each.name }, each.name),
        h("span", { class: "soft small" }, [words.took(duration(each.seconds)), each.there ? bytes(each.bytes) : words.gone].join(" · "))),
    ));
  }
  function redraw() {
    empty.hidden = state.history.length > 0;
    refocus(grid, () => fill(grid, state.history.map(tile)));
    if (open && !state.history.some((each) => each.digest === open)) { open = ""; fill(viewer); }
  }

  const seedOf = () => ({ flag: "--seed", value: String(Math.floor(Math.random() * 2 ** 31)) });
  async function use(each, change = {}) {
    tell("settings", { words: each.words, inputs: each.inputs, change });
  }
  async function clear(each) {
    const asked = h("dialog", {}, h("div", { class: "stack" }, h("p", {}, words.sure(each.name, bytes(each.bytes))), h("div", { class: "row" },
      button(words.yes, () => asked.close("yes"), { class: "danger" }), button(words.no, () => asked.close("no"), { class: "primary" }))));
    document.body.append(asked);
    asked.addEventListener("close", async () => {
      asked.remove();
      if (asked.returnValue !== "yes") return;
      await safe((async () => {
        if (each.keys.length) await post("/api/jobs", { words: ["cache", "clear", ...each.keys] });
        await remove(`/api/history/${each.digest}`);
        await reload();
      })());
    });
    asked.showModal();
  }

  // What `anim evaluate` said of a result: the last of its jobs in the queue.
  function showMeasures(each) {
    const jobs = state.jobs.filter((job) => job.command === "evaluate" && job.state === "done" && job.words[2] === each.name);
    const said = jobs.at(-1)?.results.find((one) => one.results)?.results[0];
    measures.hidden = !said;
    if (!said) return;
    const number = (value) => (value === null ? "–" : Math.abs(value) >= 100 ? value.toFixed(0) : Number(value.toPrecision(3)));
    fill(measures, h("h3", {}, words.measured), h("p", {}, said.verdict.headline),
      h("ul", { class: "stack close" }, said.verdict.findings.map((one) => h("li", { class: "small" }, h("b", {}, one.what), " ", one.advice))),
      h("div", { class: "wide" }, h("table", {},
        h("thead", {}, h("tr", {}, words.columns.map((name) => h("th", { scope: "col" }, name)))),
        h("tbody", {}, Object.entries(said.metrics).map(([name, one]) => h("tr", {}, h("th", { scope: "row" }, name.replaceAll("_", " ")),
          h("td", { class: "number" }, number(one.value), one.unit ? ` ${one.unit}` : ""), h("td", { class: "soft small" }, one.left_out ?? words.better[one.better] ?? "")))))));
  }

  function view(digest) {
    const each = state.history.find((one) => one.digest === digest);
    if (!each) return;
    open = digest;
    redraw();
    const moves = /\.(mp4|webm|mov)$/.test(each.name), drawn = /\.(gif|webp)$/.test(each.name);
    const a = h("video", { src: moves ? `/media/${digest}` : null, loop: true, muted: true, playsinline: true, class: "a", preload: "auto", hidden: !moves });
    const still = moves ? null : h("img", { src: drawn ? `/media/${digest}` : frameOf(digest, 0, 960), alt: each.name });
    const b = h("video", { loop: true, muted: true, playsinline: true, class: "b", preload: "auto", hidden: true });
    const difference = h("canvas", { hidden: true });
    const line = h("div", { class: "cut", hidden: true });
    const tags = [h("span", { class: "tag a" }, each.name), h("span", { class: "tag b", hidden: true })];
    const box = h("div", { class: "compare" }, still, b, a, difference, line, tags);
    const play = button(TEXT.motion.play, () => (a.paused ? a.play() : a.pause()));
    const place = h("input", { type: "range", id: "result-frame", min: 0, max: 0, step: 1, value: 0, "aria-label": words.title, oninput: () => seek(Number(place.value)) });
    const slide = h("input", { type: "range", min: 0, max: 1, step: 0.002, value: cut, "aria-label": words.cut, oninput: () => { cut = Number(slide.value); lay(); } });
    // Frame n is shown from n / rate on; a little later, so that rounding can't show another.
    let rate = 24, last = 0;
    const frameNow = () => Math.min(last, Math.floor(a.currentTime * rate + 0.05));
    const seek = (frame) => { a.pause(); a.currentTime = (Math.max(0, Math.min(last, frame)) + 0.3) / rate; };
    const step = (frames) => seek(frameNow() + frames);
    const counter = h("output", { class: "mono", for: "result-frame" });
    if (moves) safe(get(`/api/facts/${digest}`)).then((said) => {
      if (!said?.rate) return;
      [rate, last] = [ratio(said.rate), (said.frames || Math.round(said.seconds * ratio(said.rate))) - 1];
      place.max = last;
      together();
    });
    const modes = h("div", { class: "row" }, Object.entries(words.modes).map(([name, label]) => button(label, () => { mode = name; lay(); }, { data: { mode: name } })));
    const others = h("select", { id: "compare", onchange: () => { other = others.value; choose_(); } },
      h("option", { value: "" }, words.nothing),
      each.inputs.filter((x) => state.uploads.get(x.digest)?.kind === "video").map((x) => h("option", { value: x.digest }, `${words.motion}: ${state.uploads.get(x.digest).name}`)),
      state.history.filter((x) => x.digest !== digest && /\.(mp4|webm)$/.test(x.name)).map((x) => h("option", { value: x.digest }, x.name)));

    function choose_() {
      b.hidden = !other; tags[1].hidden = !other;
      if (other) { b.src = `/media/${other}`; fill(tags[1], others.selectedOptions[0].textContent); }
      lay();
    }
    // The same frame on both sides: the second one follows the first. Of its motion a result
    // may be a part, and slower.
    const isMotion = () => each.inputs.some((x) => x.digest === other);
    const speed = () => (isMotion() ? ratio(each.follows.speed) : 1);
    const beside = () => a.currentTime * speed() + (isMotion() ? ratio(each.follows.start) : 0);
    const together = () => {
      b.playbackRate = speed();
      if (other && Math.abs(b.currentTime - beside()) > 0.02) b.currentTime = Math.min(beside(), b.duration || 0);
      place.value = frameNow();
      place.setAttribute("aria-valuetext", TEXT.motion.frame(frameNow(), last));
      fill(counter, TEXT.motion.frame(frameNow(), last));
      if (mode === "difference" && other) subtract();
    };
    function lay() {
      const sliding = mode === "slider" && other;
      box.classList.toggle("side", mode === "side" && Boolean(other));
      a.style.clipPath = sliding ? `inset(0 ${(1 - cut) * 100}% 0 0)` : "";
      a.style.visibility = mode === "flicker" && other && flickered ? "hidden" : "";
      b.style.clipPath = sliding ? `inset(0 0 0 ${cut * 100}%)` : "";
      line.hidden = !sliding; line.style.left = `${cut * 100}%`;
      slide.parentElement.hidden = !sliding;
      difference.hidden = !(mode === "difference" && other);
      modes.hidden = !other;
      for (const each of modes.children) each.setAttribute("aria-pressed", String(each.dataset.mode === mode));
      together();
    }
    function subtract() {
      if (!a.videoWidth) return;
      difference.width = a.videoWidth; difference.height = a.videoHeight;
      const context = difference.getContext("2d");
      context.drawImage(a, 0, 0);
      context.globalCompositeOperation = "difference";
      context.drawImage(b, 0, 0, a.videoWidth, a.videoHeight);
      context.globalCompositeOperation = "lighter";
      for (let twice = 0; twice < 2; twice++) context.drawImage(difference, 0, 0);  // x4
      context.globalCompositeOperation = "source-over";
    }
    for (const name of ["timeupdate", "seeked", "loadeddata"]) { a.addEventListener(name, together); }
    b.addEventListener("seeked", () => mode === "difference" && subtract());
    a.addEventListener("play", () => { fill(play, TEXT.motion.pause); if (other) b.play(); });
    a.addEventListener("pause", () => { fill(play, TEXT.motion.play); b.pause(); together(); });
    const frames = h("div", { class: "row tight" }, button("‹", () => step(-1), { "aria-label": TEXT.motion.previous }), play, button("›", () => step(1), { "aria-label": TEXT.motion.following }));
    fill(
      viewer, box,
      moves ? h("div", { class: "transport" }, frames, place, counter) : null,
      h("div", { class: "row" }, h("label", { htmlFor: "compare" }, words.compare), h("div", {}, others), modes),
      h("label", {}, h("span", { class: "soft small" }, words.cut), slide),
      h("div", { class: "row" },
        button(words.use, () => use(each), { class: "primary", id: "use-settings" }),
        button(words.seed, () => use(each, { seed: seedOf() })),
        moves ? button(words.evaluate, () => safe(queueIt(["evaluate", digest])), { id: "evaluate" }) : null,
        button(words.remove, () => clear(each), { class: "danger push" })),
      h("div", { class: "row" }, h("span", { class: "soft" }, words.save),
        h("a", { class: "button", href: `/media/${digest}?save` }, moves || drawn ? each.name.split(".").at(-1).toUpperCase() : words.savings.png),
        each.pose ? h("a", { class: "button", href: `/media/${each.pose}?save` }, words.savings.pose) : null,
        h("a", { class: "button", href: `/api/history/${digest}` }, words.savings.manifest),
        Object.entries(SAVED).filter(() => moves).map(([name, line]) => button(words.savings[name], () => safe(queueIt(["encode", digest, ...line]))))),
      measures,
      h("p", { class: "command mono" }, command(quoted(["anim", ...each.words.map((word) => state.uploads.get(word)?.name ?? word)]))),
    );
    other = ""; choose_();
    showMeasures(each);
    viewer.onkeydown = (event) => {
      const acts = { "[": () => step(-1), "]": () => step(1), b: () => { flickered = !flickered; mode = "flicker"; lay(); } };
      if (event.target.matches("select, input:not([type=range])") || !acts[event.key]) return;
      acts[event.key]();
      event.preventDefault();
    };
  }

  async function reload() {
    const found = await safe(get("/api/history"));
    if (found) state.history = found;
    redraw();
  }
  on("history", reload);
  on("done", () => { const each = state.history.find((one) => one.digest === open); if (each) showMeasures(each); });
  on("show-result", async (digest) => { await reload(); show("results"); view(digest); });
  return Object.assign(h(
    "section", {}, h("div", { class: "panel-head" }, h("h2", {}, words.title)), empty,
    h("div", { class: "stack" }, viewer, grid),
  ), { shown: reload });
}
