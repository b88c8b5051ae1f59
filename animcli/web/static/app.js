// The page: areas, tabs, and what the server tells.
import { enter, get, listen, post, Refused } from "./api.js";
import { bringArea } from "./bring.js";
import { button, fill, h } from "./dom.js";
import { motionArea } from "./motion.js";
import { queueArea } from "./queue.js";
import { renderArea } from "./render.js";
import { resultsArea } from "./results.js";
import { choose, chosenMotion, chosenPicture, MOVING, named, on, state, tell } from "./state.js";
import { TEXT } from "./text.js";

const toasts = h("div", { class: "toasts", role: "status", "aria-live": "polite" });
function say(...children) {
  const toast = h("div", { class: "toast" }, children, button(TEXT.close, () => toast.remove(), { class: "plain small" }));
  toasts.append(toast);
  while (toasts.children.length > 3) toasts.firstChild.remove();
  return toast;
}
on("say", (text) => setTimeout((toast) => toast.remove(), 4000, say(text)));
on("error", (error) => {
  if (!(error instanceof Refused)) console.error(error);
  const kind = TEXT.codes[error.kind] ?? TEXT.codes.bug;
  say(h("div", { class: "error", role: "alert" }, h("b", {}, `error: ${named(error.message)}`), error.hint ? h("span", {}, `hint: ${error.hint}`) : null, h("span", { class: "small" }, kind)));
});

async function queueIt(words, held = false) {
  const said = await post("/api/jobs", { words, held });
  if (matchMedia("(max-width: 1180px)").matches && !held) show("queue");
  return said;
}

const areas = {}, tabs = {};
function show(name) {
  const focused = document.activeElement;
  for (const [each, area] of Object.entries(areas)) {
    const on_ = each === name;
    area.hidden = !on_;
    tabs[each].setAttribute("aria-selected", String(on_));
    tabs[each].tabIndex = on_ ? 0 : -1;
  }
  // Who came by a button of an area that is hidden now goes on from the tab of this one.
  if (!focused.checkVisibility()) tabs[name].focus();
  history.replaceState(null, "", `#${name}`);
  areas[name].firstChild.shown?.();
}

// The tabs are in the document, so that they are seen before any module has come.
function page(session) {
  const at = (id) => document.getElementById(id);
  const made = { bring: bringArea(show), motion: motionArea(queueIt), render: renderArea(queueIt), results: resultsArea(queueIt, show), queue: queueArea() };
  for (const [name, area] of Object.entries(made)) {
    tabs[name] = at(`tab-${name}`);
    tabs[name].addEventListener("click", () => show(name));
    areas[name] = h("div", { id: `area-${name}`, role: "tabpanel", "aria-labelledby": `tab-${name}`, class: name === "queue" ? "queue" : "" }, area);
  }
  document.querySelector("nav.tabs").addEventListener("keydown", (event) => {
    const names = Object.keys(tabs).filter((name) => tabs[name].offsetParent);
    const now = names.findIndex((name) => tabs[name] === document.activeElement);
    const to = { ArrowRight: now + 1, ArrowLeft: now - 1, Home: 0, End: names.length - 1 }[event.key];
    if (to === undefined) return;
    const name = names[(to + names.length) % names.length];
    show(name);
    tabs[name].focus();
    event.preventDefault();
  });
  const { queue, ...others } = areas;
  fill(at("project"), session.project);
  at("project").title = session.project;
  at("read-only").hidden = !session.read_only;
  fill(at("main"), Object.values(others));
  at("layout").append(queue);
  document.body.append(toasts);
  on("count", (n) => { fill(at("count"), n); at("count").hidden = n === 0; });
  const place = location.hash.slice(1);
  show(areas[place] ? place : "bring");
  return at("line");
}

// Words of a result, put back into the forms.
on("settings", ({ words, inputs, change = {} }) => {
  const at = words.lastIndexOf("then") + 1 ? words.lastIndexOf("then") + 1 : 0;
  const last = words.slice(at), values = {};
  let preset = state.presets.usual, motion = "";
  const known = new Map(state.presets.commands.render.flatMap((each) => [[each.flag, [each, true]], ...(each.negative ? [[each.negative, [each, false]]] : [])]));
  for (let n = 2; n < last.length; n++) {
    const [option, on_] = known.get(last[n]) ?? [];
    if (last[n] === "--preset") preset = last[++n];
    else if (last[n] === "--motion") motion = last[++n];
    else if (last[n] === "-o" || last[n] === "--output") n++;
    else if (option?.kind === "switch") values[option.name] = { flag: option.flag, negative: option.negative, value: on_ };
    else if (option) values[option.name] = { flag: option.flag, negative: "", value: last[++n] };
  }
  const here = (digest) => state.uploads.get(digest);
  const found = inputs.map((each) => here(each.digest)).filter(Boolean);
  const picture = here(last[1]) ?? found.find((each) => each.kind === "picture");
  const moving = here(motion) ?? found.find((each) => MOVING.includes(each.kind));
  choose({
    render: { preset, values: { ...values, ...change } }, marks: null,
    ...(picture ? { picture: picture.digest } : {}), ...(moving ? { motion: moving.digest } : {}),
  });
  tell("presets");
  show("render");
  const lacking = inputs.filter((each) => !each.here).length;
  tell("say", [TEXT.results.settings, lacking ? TEXT.results.lacking(lacking) : ""].join(" "));
});

// In a tab that has chosen nothing yet, what there is one of is chosen.
function only(uploads) {
  const one = (fits) => { const found = uploads.filter((each) => !each.error && fits(each.kind)); return found.length === 1 ? found[0].digest : ""; };
  const picture = chosenPicture() ? "" : one((kind) => kind === "picture");
  const motion = chosenMotion() ? "" : one((kind) => MOVING.includes(kind));
  return { ...(picture ? { picture } : {}), ...(motion ? { motion, marks: null } : {}) };
}

async function start() {
  const session = await enter();
  if (!session) {
    fill(document.body, h("main", { class: "welcome card stack" }, h("h1", {}, TEXT.welcome.title), h("p", {}, TEXT.welcome.body)));
    return;
  }
  state.project = session.project;
  state.readOnly = session.read_only;
  const line = page(session);
  let met = document.hidden;
  listen({
    // Said again where something may have been missed.
    hello: (said) => { tell("jobs", said.queue); if (met) { tell("uploads"); tell("history"); } met = true; }, queue: (said) => tell("jobs", said), job: (said) => tell("job", said),
    uploads: () => tell("uploads"), history: () => tell("history"), edits: (said) => tell("edits", said),
  }, (open) => { line.classList.toggle("off", !open); fill(line, open ? TEXT.connected : TEXT.disconnected); });
  const kept = (work, use) => work.then(use, (error) => tell("error", error));
  await Promise.all([
    kept(get("/api/presets"), (said) => {
      state.presets = said;
      state.keys = new Set(said.presets.flatMap((each) => Object.keys(each.values ?? {})));
      tell("presets");
    }),
    kept(get("/api/weights"), (said) => { state.weights = said; tell("weights"); }),
    kept(get("/api/uploads"), (said) => {
      state.uploads = new Map(said.map((each) => [each.digest, each]));
      choose(only(said));
      tell("uploads-known");
    }),
    kept(get("/api/history"), (said) => { state.history = said; }),
  ]);
  document.body.dataset.ready = "yes";
}
start();
