// Bring in: pictures, motions, and results that give their settings back.
import { frameOf, get, post, remove, upload } from "./api.js";
import { button, bytes, fill, h, refocus } from "./dom.js";
import { choose, MOVING, on, state, tell } from "./state.js";
import { TEXT } from "./text.js";

const words = TEXT.bring;
const LARGE = 16 << 20;  // bytes from which on room is asked for before any are sent

export function bringArea(show) {
  const files = h("input", { type: "file", multiple: true, class: "sr", id: "bring-files", "aria-label": words.choose, tabindex: "-1", onchange: () => take(files) });
  const folder = h("input", { type: "file", webkitdirectory: true, class: "sr", id: "bring-folder", "aria-label": words.folder, tabindex: "-1", onchange: () => takeFolder(folder) });
  const busy = h("div", { class: "stack close", role: "status" });
  const pictures = h("div", { class: "grid", role: "group", "aria-label": words.pictures });
  const motions = h("div", { class: "grid", role: "group", "aria-label": words.motions });
  const others = h("div", { class: "stack close" });
  const next = button(words.next, () => show("motion"), { class: "primary" });
  const sample = button(words.sample, () => samples(sample));
  const drop = h(
    "div", { class: "drop" },
    h("h3", {}, words.drop), h("p", { class: "soft" }, words.what),
    h("div", { class: "row" }, button(words.choose, () => files.click(), { class: "primary", id: "choose-files" }), button(words.folder, () => folder.click()), sample),
    files, folder, busy,
  );
  for (const name of ["dragover", "dragenter"]) document.addEventListener(name, (event) => {
    event.preventDefault();
    drop.classList.add("over");
  });
  document.addEventListener("dragleave", (event) => event.relatedTarget ?? drop.classList.remove("over"));
  document.addEventListener("drop", (event) => {
    event.preventDefault();
    drop.classList.remove("over");
    if (event.dataTransfer.files.length) bringIn([...event.dataTransfer.files]);
  });

  const take = (input) => { const chosen = [...input.files]; input.value = ""; bringIn(chosen); };
  const takeFolder = async (input) => {
    const chosen = [...input.files].sort((a, b) => a.name.localeCompare(b.name, "en", { numeric: true }));
    input.value = "";
    const digests = [];
    for (const file of chosen) { const one = await one_(file); if (one?.kind === "picture") digests.push(one.digest); }
    if (!digests.length) return;
    await tried(async () => {
      const name = chosen[0].webkitRelativePath.split("/")[0] || "pictures";
      settle(await post("/api/uploads/join", { digests, name }));
    });
  };

  async function one_(file) {
    const text = h("span", { class: "small" });
    const bar = h("progress", { max: 1, value: 0 });
    const line = h("div", { class: "stack close" }, text, bar);
    busy.append(line);
    try {
      if (file.size > LARGE) await post("/api/uploads/room", { name: file.name, bytes: file.size });
      return await upload(file, (part) => {
        bar.value = part;
        fill(text, words.loading(file.name, Math.round(part * 100)));
      });
    } catch (error) {
      tell("error", error);
      return null;
    } finally {
      line.remove();
    }
  }

  async function bringIn(list) {
    show("bring");
    for (const file of list) {
      const found = await one_(file);
      if (found) settle(found);
    }
  }

  async function tried(run) {
    try { await run(); } catch (error) { tell("error", error); }
  }

  async function samples(control) {
    control.disabled = true;
    fill(control, words.sampling);
    await tried(async () => (await post("/api/samples")).uploads.forEach(settle));
    control.disabled = false;
    fill(control, words.sample);
  }

  // What just came is what is wanted, unless something of its kind was chosen already.
  async function settle(found) {
    state.uploads.set(found.digest, found);
    if (found.kind === "picture") {
      choose({ picture: found.digest });
      if (found.people === undefined) lookCloser(found);
    } else if (MOVING.includes(found.kind)) {
      const result = state.history.some((each) => each.digest === found.digest);
      if (result) await tried(async () => tell("settings", await post("/api/history", { digest: found.digest })));
      else choose({ motion: found.digest, marks: null });
    } else if (found.kind === "manifest") {
      await tried(async () => tell("settings", await post("/api/history", { manifest: JSON.parse(found.text) })));
    }
    redraw();
  }

  // One after the other: a browser has few connections, and this takes long.
  function lookCloser(found) {
    looking.add(found.digest);
    redraw();
    looks = looks.then(() => tried(async () => {
      if (!state.uploads.has(found.digest)) return;
      const looked = await post("/api/uploads/look", { digest: found.digest });
      state.uploads.set(found.digest, looked);  // of the map as it is now: another list may have come
    })).then(() => {
      looking.delete(found.digest);
      redraw();
    });
  }
  const looking = new Set();
  let looks = Promise.resolve();

  function tile(each) {
    const chosen = each.digest === state.picture || each.digest === state.motion;
    const moving = MOVING.includes(each.kind);
    const pick = () => choose(moving ? { motion: each.digest, marks: null } : { picture: each.digest });
    const facts = [each.size ? `${each.size[0]}×${each.size[1]}` : "", each.frames ? `${each.frames} frames` : "", bytes(each.bytes)];
    const problem = each.error ?? each.problem;
    return h(
      "div", { class: `tile${chosen ? " chosen" : ""}` },
      h(
        "button", { type: "button", class: "pick", "aria-pressed": String(chosen), onclick: pick, data: { key: each.digest }, disabled: each.kind === "unknown" },
        h("span", { class: "thumb" }, ["picture", "video"].includes(each.kind) ? h("img", { src: frameOf(each.digest, 0, 320), alt: "", loading: "lazy" }) : TEXT.kinds[each.kind]),
        h(
          "span", { class: "about" },
          h("span", { class: "name", title: each.name }, each.name),
          h("span", { class: "soft small" }, facts.filter(Boolean).join(" · ")),
          chosen ? h("span", {}, h("span", { class: "badge" }, moving ? words.chosenMotion : words.chosenPicture)) : null,
          looking.has(each.digest) ? h("span", { class: "soft small" }, words.looking) : null,
          problem ? h("span", { class: "error small" }, h("b", {}, problem), each.hint ?? each.advice ?? "") : null,
        ),
      ),
      button("×", () => drop_(each), { class: "corner", "aria-label": words.remove(each.name) }),
    );
  }

  async function drop_(each) {
    await tried(() => remove(`/api/uploads/${each.digest}`));
    state.uploads.delete(each.digest);
    if (state.picture === each.digest) choose({ picture: "" });
    if (state.motion === each.digest) choose({ motion: "", marks: null });
    redraw();
  }

  function redraw() {
    const all = [...state.uploads.values()];
    const list = (element, kinds, empty) => refocus(element, () => {
      const found = all.filter((each) => kinds.includes(each.kind));
      fill(element, found.length ? found.map(tile) : h("p", { class: "soft" }, empty));
    });
    list(pictures, ["picture"], words.noPictures);
    list(motions, MOVING, words.noMotions);
    fill(others, all.filter((each) => each.kind === "unknown").map((each) => h(
      "div", { class: "error", role: "alert" }, h("b", {}, `${each.name}: ${each.error}`), each.hint,
      h("div", {}, button(words.remove(each.name), () => drop_(each), { class: "plain" })),
    )));
    next.disabled = !(state.motion && state.uploads.has(state.motion));
  }

  on("uploads", async () => {
    await tried(async () => { state.uploads = new Map((await get("/api/uploads")).map((each) => [each.digest, each])); });
    redraw();
  });
  on("choice", redraw);
  redraw();
  return h(
    "section", { class: "stack" },
    h("div", { class: "panel-head" }, h("h2", {}, words.title), h("span", { class: "soft" }, words.about)),
    drop, others,
    h("div", { class: "pair" }, h("div", { class: "stack close" }, h("h3", {}, words.pictures), pictures), h("div", { class: "stack close" }, h("h3", {}, words.motions), motions)),
    h("div", {}, next),
  );
}
