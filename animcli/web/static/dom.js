// Elements, without strings of HTML: names of files are only ever text.
export function h(tag, props = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(props ?? {})) {
    if (value === undefined || value === null || value === false) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (name === "class") element.className = value;
    else if (name === "data") Object.assign(element.dataset, value);
    else if (["value", "checked", "disabled", "hidden", "indeterminate", "loop", "muted", "htmlFor"].includes(name)) element[name] = value;
    else element.setAttribute(name, value === true ? "" : value);
  }
  put(element, children);
  return element;
}

export function put(element, children) {
  for (const child of children.flat(4)) {
    if (child === null || child === undefined || child === false) continue;
    element.append(child instanceof Node ? child : document.createTextNode(String(child)));
  }
  return element;
}

export function fill(element, ...children) {
  element.replaceChildren();
  return put(element, children);
}

export const button = (label, onclick, props = {}) => h("button", { type: "button", onclick, ...props }, label);

// The same list again without losing the focus: elements with a key are kept by it.
export function refocus(element, redraw) {
  const active = document.activeElement;
  const key = element.contains(active) ? active.dataset.key : undefined;
  redraw();
  if (key) element.querySelector(`[data-key="${CSS.escape(key)}"]`)?.focus();
}

export function field(label, control, help, id) {
  control.id = id ?? control.id ?? "";
  const hint = help ? h("small", { id: `${control.id}-help` }, help) : null;
  if (hint) control.setAttribute("aria-describedby", hint.id);
  return h("label", { class: "field", htmlFor: control.id }, h("span", {}, label), control, hint);
}

export function duration(seconds) {
  if (seconds < 100) return seconds >= 10 ? `${Math.round(seconds)} s` : `${seconds.toFixed(1)} s`;
  const minutes = Math.round(seconds / 60);
  return minutes < 100 ? `${minutes} min` : `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
}

export function bytes(n) {
  if (n < 1e6) return `${Math.max(1, Math.round(n / 1e3))} kB`;
  return n < 1e9 ? `${(n / 1e6).toFixed(1)} MB` : `${(n / 1e9).toFixed(1)} GB`;
}

export const quoted = (words) =>
  words.map((w) => (/^[\w@%+=:,./-]+$/.test(w) ? w : `'${w.replaceAll("'", "'\\''")}'`)).join(" ");

// A command, cut between its words only, so that no dash of an option stays behind.
export const command = (text) =>
  (text.match(/'[^']*'|\S+/g) ?? []).flatMap((word) => [h("span", { class: "word" }, word), " "]);
