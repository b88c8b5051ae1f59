// What is chosen in this tab, and what the server has told. Only choices are kept here.
const KEPT = "anim-choices";
const waiting = new Map();

export const state = {
  project: "", readOnly: false,
  uploads: new Map(), jobs: [], paused: false, history: [], presets: null, weights: [],
  picture: "", motion: "", marks: null, corrected: "", pose: "",
  extract: {}, render: { preset: "", values: {} },
  ...JSON.parse(sessionStorage.getItem(KEPT) ?? "{}"),
};

export function on(name, run) {
  waiting.set(name, [...(waiting.get(name) ?? []), run]);
}

export function tell(name, said) {
  for (const run of waiting.get(name) ?? []) run(said);
}

export function choose(change) {
  Object.assign(state, change);
  const { picture, motion, marks, extract, render } = state;
  sessionStorage.setItem(KEPT, JSON.stringify({ picture, motion, marks, extract, render }));
  tell("choice", change);
}

export const MOVING = ["video", "pose", "keypoints", "capture"];
export const chosenMotion = () => state.uploads.get(state.motion);
export const chosenPicture = () => state.uploads.get(state.picture);

// Text of the server's, in which uploads have the names that they came with.
export const named = (text) => text.replace(/[^\s'"]*\/uploads\/([0-9a-f]{64})\/(?:file\.\w+|file|pictures)/g, (path, digest) => state.uploads.get(digest)?.name ?? path);

// Words, in which a digest stands for a file.
const said = (values) =>
  Object.values(values).flatMap(({ flag, negative, value }) => {
    if (value === "" || value === null || value === undefined) return [];
    if (value === true) return [flag];
    if (value === false) return negative ? [negative] : [];
    return [flag, String(value)];
  });

export function motionWords(part = []) {
  const motion = chosenMotion();
  if (!motion || motion.kind === "pose") return null;
  return ["extract-pose", state.motion, ...said(state.extract), ...part];
}

export function correctedWords(part = []) {
  if (!state.corrected) return motionWords(part);
  const options = Object.entries(state.extract).filter(([name]) => ["detector", "person"].includes(name));
  const found = motionWords(part);
  if (!found) return ["correct-pose", state.corrected, state.motion];
  return options.length === Object.keys(state.extract).length && !part.length
    ? ["correct-pose", state.corrected, state.motion, ...said(Object.fromEntries(options))]
    : [...found, "then", "correct-pose", state.corrected];
}

export function renderWords(change = {}) {
  const { preset, values } = state.render;
  const about = state.presets?.presets.find((each) => each.name === (change.preset ?? preset));
  const words = ["render", state.picture];
  const { start, end, every, ...options } = { ...values, ...(change.values ?? {}) };
  // The part of the footage is said where the footage is.
  const part = said([start, end, every].filter(Boolean));
  const tail = ["--preset", change.preset ?? preset, ...said(options)];
  if (about?.words) return [...words, ...tail, ...part];
  const before = correctedWords(part);
  const plain = state.extract && Object.keys(state.extract).every((name) => ["detector", "person"].includes(name));
  if (state.corrected || (before && !plain)) return [...before, "then", ...words, ...tail, ...(motionWords() ? [] : part)];
  const person = before ? said(state.extract) : [];
  return [...words, "--motion", state.motion, ...tail, ...person, ...part];
}
