// The queue: what runs, how far it is, what comes next. All tabs show the same.
import { post, raw, remove } from "./api.js";
import { button, duration, fill, h, quoted, refocus } from "./dom.js";
import { named, on, state, tell } from "./state.js";
import { TEXT } from "./text.js";

const words = TEXT.queue;

export function queueArea() {
  const list = h("div", {}), screens = h("div", { class: "stack close" });
  const live = h("p", { class: "sr", "aria-live": "polite" });
  const pause = button("", () => act(post("/api/jobs/all", { pause: !state.paused })));
  const opened = new Set(), strips = new Map(), starts = new Map(), players = new Map();
  const act = async (work) => { try { await work; } catch (error) { tell("error", error); } };

  function pace(job) {
    const { what, done, of } = job.progress;
    const start = starts.get(job.name);
    if (!start || start.what !== what || start.done > done) starts.set(job.name, { what, done, at: performance.now() });
    const { at, done: from } = starts.get(job.name), spent = (performance.now() - at) / 1000;
    if (done <= from || spent <= 0) return [];
    const each = spent / (done - from);
    return [each > 1 ? words.each(duration(each)) : words.rate((1 / each).toFixed(1)), of > done ? words.left(duration(each * (of - done))) : ""];
  }

  function card(job, n) {
    const { name, progress, state: now } = job;
    const going = ["running", "stopping"].includes(now);
    const facts = going ? [words.elapsed(duration(Math.max(0, Date.now() / 1000 - job.began))), ...(progress.what ? pace(job) : []), job.memory_mb ? words.memory(job.memory_mb) : ""] : [job.seconds ? words.elapsed(duration(job.seconds)) : "", job.outlook];
    const result = job.results.find((each) => each.stage && each.stage !== "extract-pose");
    const key = (what) => ({ data: { key: `${name} ${what}` } });
    const folds = (what) => ({ open: opened.has(`${name} ${what}`), ontoggle: (event) => opened[event.target.open ? "add" : "delete"](`${name} ${what}`) });
    const chain = job.stages.map((each) => h("li", { class: "done" }, each.stage, " ", h("span", { class: "soft small" }, each.outcome === "fresh" ? TEXT.render.state.done : duration(each.seconds))));
    const steps = chain.length && now === "done" ? h("details", folds("steps"), h("summary", { class: "small", ...key("steps") }, words.steps(chain.length)), h("ol", { class: "chain" }, chain)) : null;
    if (going && progress.what) chain.push(h("li", { class: "going" }, progress.what));
    return h(
      "div", { class: "job", data: { job: name, state: now } },
      h("div", { class: "row" }, h("span", { class: "name", title: quoted(job.words) }, name), h("span", { class: `badge push${now === "failed" ? " bad" : ""}` }, words.states[now])),
      going ? h("progress", progress.of ? { max: progress.of, value: progress.done, "aria-label": progress.what } : { "aria-label": name }) : null,
      going && progress.of ? h("span", { class: "small" }, `${progress.what}: ${progress.done} / ${progress.of}`) : null,
      h("span", { class: "soft small" }, facts.filter(Boolean).join(" · ")),
      steps ?? (chain.length ? h("ol", { class: "chain" }, chain) : null),
      going && strips.has(name) ? h("img", { class: "strip", src: strips.get(name).url, alt: words.preview(strips.get(name).frames) }) : null,
      job.error ? h("div", { class: "error", role: "alert" }, h("b", {}, `error: ${named(job.error)}`), job.hint ? h("span", {}, `hint: ${job.hint}`) : null, h("span", { class: "small" }, `${TEXT.codes[codeName(job.exit_code)] ?? ""} (exit code ${job.exit_code})`), remedy(job)) : null,
      h(
        "div", { class: "row" },
        now === "done" && result ? button(words.show, () => tell("show-result", result.sha256), { class: "primary", ...key("show") }) : null,
        now === "waiting" || now === "running" ? button(words.stop, () => act(remove(`/api/jobs/${encodeURIComponent(name)}`)), key("stop")) : null,
        now === "stopping" ? button(words.now, () => act(remove(`/api/jobs/${encodeURIComponent(name)}`)), { class: "danger", ...key("now") }) : null,
        ["stopped", "failed"].includes(now) ? button(words.go, () => act(post(`/api/jobs/${encodeURIComponent(name)}`, { do: "go-on" })), { class: "primary", ...key("go") }) : null,
        now === "waiting" && n > 0 ? button("↑", () => act(post(`/api/jobs/${encodeURIComponent(name)}`, { place: n - 1 })), { "aria-label": `${words.up}: ${name}`, ...key("up") }) : null,
        now === "waiting" ? button("↓", () => act(post(`/api/jobs/${encodeURIComponent(name)}`, { place: n + 1 })), { "aria-label": `${words.down}: ${name}`, ...key("down") }) : null,
        !going ? button(words.remove, () => act(remove(`/api/jobs/${encodeURIComponent(name)}?remove`)), { class: "plain", ...key("remove") }) : null,
      ),
      job.log.length ? h("details", folds("log"), h("summary", { class: "small", ...key("log") }, words.log), h("pre", { class: "log mono" }, named(job.log.join("\n")))) : null,
    );
  }
  const codeName = (code) => ({ 2: "usage", 3: "input", 4: "project", 5: "weights", 6: "device", 7: "disk", 8: "output", 9: "batch" })[code] ?? "bug";

  // A hint that is something to do becomes a button.
  function remedy(job) {
    const pull = /anim weights pull ([\w -]+)/.exec(job.hint ?? "");
    return pull ? h("div", {}, button(TEXT.render.pull(pull[1].trim(), ""), () => act(post("/api/jobs", { words: ["weights", "pull", ...pull[1].trim().split(" ")] })))) : null;
  }

  // Once a second at most; what comes sooner is looked at then, for no other event may follow.
  let last = 0, later = 0;
  function lookLater(name, ms) {
    later ||= setTimeout(() => {
      later = 0;
      const job = state.jobs.find((each) => each.name === name);
      if (job) look(job);
    }, ms);
  }
  async function look(job) {
    if (job.state !== "running" || !["denoising", "rendering"].includes(job.progress.what) || document.hidden) return;
    const wait = last + 1000 - Date.now();
    if (wait > 0) return lookLater(job.name, wait);
    last = Date.now();
    try {
      const answer = await raw(`/api/jobs/${encodeURIComponent(job.name)}/preview`);
      if (answer.status !== 200) return lookLater(job.name, 1000);
      const before = strips.get(job.name);
      strips.set(job.name, { url: URL.createObjectURL(await answer.blob()), frames: answer.headers.get("x-frames") });
      if (before) URL.revokeObjectURL(before.url);
      redraw();
      if (job.progress.what === "rendering") await watch(job);
    } catch { /* a picture to look at is all that is missing */ }
  }

  // What is decoded already plays in a place of its own, where no other news moves it.
  async function watch({ name, progress }) {
    const one = players.get(name) ?? player(name);
    if (one.asking || (one.next ?? one).frames >= progress.done) return;
    one.asking = true;
    try {
      const answer = await raw(`/api/jobs/${encodeURIComponent(name)}/decoded?after=${(one.next ?? one).frames}`);
      if (answer.status !== 200 || players.get(name) !== one) return;
      if (one.next) URL.revokeObjectURL(one.next.url);
      one.next = { url: URL.createObjectURL(await answer.blob()), frames: Number(answer.headers.get("x-frames")) };
      if (!one.frames) screens.append(one.box);
      if (one.video.paused) turn(one, one.video.currentTime);
    } finally { one.asking = false; }
  }
  function player(name) {
    const video = h("video", { controls: true, muted: true, playsinline: true, "aria-label": words.decoded(name) });
    const note = h("figcaption", { class: "soft small" });
    const one = { name, video, note, frames: 0, next: null, asking: false, box: h("figure", { class: "screen", data: { of: name } }, video, note) };
    // At the end of what there was it goes on, where more has come, or begins again.
    video.addEventListener("ended", () => { turn(one, one.next ? video.duration : 0); video.play().catch(() => undefined); });
    players.set(name, one);
    return one;
  }
  function turn(one, time) {
    if (one.next) {
      if (one.frames) URL.revokeObjectURL(one.video.src);
      one.video.src = one.next.url;
      one.frames = one.next.frames;
      one.next = null;
      fill(one.note, words.decodedFrames(one.name, one.frames));
    }
    one.video.currentTime = time;
  }
  function closePlayers() {
    for (const [name, one] of players) {
      const job = state.jobs.find((each) => each.name === name);
      if (job && !["done", "failed"].includes(job.state)) continue;
      players.delete(name);
      one.box.remove();
      for (const url of [one.frames ? one.video.src : "", one.next?.url]) if (url) URL.revokeObjectURL(url);
    }
  }

  function redraw() {
    closePlayers();
    fill(pause, state.paused ? words.resume : words.pause);
    pause.hidden = !state.jobs.some((each) => ["running", "waiting"].includes(each.state)) && !state.paused;
    refocus(list, () => fill(list, state.jobs.length ? [...state.jobs.filter((each) => each.state !== "done"), ...state.jobs.filter((each) => each.state === "done").reverse()].map(card) : h("p", { class: "soft" }, words.none)));
    tell("count", state.jobs.filter((each) => ["running", "waiting", "stopping"].includes(each.state)).length);
  }
  on("jobs", (said) => {
    const before = new Map(state.jobs.map((each) => [each.name, each.state]));
    state.jobs = said.jobs; state.paused = said.paused;
    redraw();
    // Of those that ended while nobody listened.
    for (const job of said.jobs) if (job.state === "done" && (before.get(job.name) ?? "done") !== "done") tell("done", job);
  });
  on("job", (job) => {
    const n = state.jobs.findIndex((each) => each.name === job.name);
    const before = state.jobs[n]?.state;
    n < 0 ? state.jobs.push(job) : (state.jobs[n] = job);
    if (before !== job.state) {
      fill(live, `${job.name}: ${words.states[job.state]}`);
      if (job.state === "done") tell("done", job);
    }
    look(job);
    redraw();
  });
  redraw();
  return h("section", { class: "card" }, h("div", { class: "row" }, h("h2", {}, words.title), h("span", { class: "push" }, pause)), live, screens, list);
}
