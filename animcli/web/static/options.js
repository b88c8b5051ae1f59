// Fields for options, out of the command line's own list: names, limits and help are its.
import { field, fill, h } from "./dom.js";
import { on, state } from "./state.js";
import { TEXT } from "./text.js";

export function control(option, kept, onchange, usual) {
  const { name, flag, negative, kind } = option;
  const value = kept()[name]?.value;
  const change = (next) => {
    const all = { ...kept() };  // as it is then, not as it was drawn
    if (next === "" || next === null) delete all[name];
    else all[name] = { flag, negative: negative ?? "", value: next };
    onchange(all);
  };
  const hint = usual === undefined || usual === null || usual === "" ? "" : String(usual);
  if (kind === "switch") {
    const choices = [["", hint ? `${TEXT.render.dflt} (${hint === "true" ? "on" : "off"})` : TEXT.render.unsaid], ["on", "on"], ...(negative ? [["off", "off"]] : [])];
    return h("select", { onchange: (event) => change({ "": "", on: true, off: false }[event.target.value]) },
      choices.map(([each, label]) => h("option", { value: each, selected: (value === true && each === "on") || (value === false && each === "off") }, label)));
  }
  if (kind === "choice") return h("select", { onchange: (event) => change(event.target.value) },
    h("option", { value: "" }, hint || TEXT.render.dflt), option.choices.map((each) => h("option", { value: each, selected: value === each }, each)));
  if (kind === "file") return h("select", { onchange: (event) => change(event.target.value) }, h("option", { value: "" }, "–"),
    [...state.uploads.values()].filter((each) => each.kind === "video").map((each) => h("option", { value: each.digest, selected: value === each.digest }, each.name)));
  const limits = kind === "number" ? { type: "number", min: option.low, max: option.high, step: option.multiple && option.multiple > 1 ? option.multiple : "any" } : { type: "text", spellcheck: "false" };
  return h("input", { ...limits, value: value ?? "", placeholder: hint, onchange: (event) => change(event.target.value.trim()) });
}

// The fields of a command; `only` names those that are shown, in this order.
export function optionFields(command, kept, onchange, only, usual = () => undefined) {
  const element = h("div", { class: "fields" });
  function redraw() {
    const all = state.presets?.commands[command] ?? [];
    const names = typeof only === "function" ? only(all) : only;
    const chosen = names.map((name) => all.find((each) => each.name === name)).filter(Boolean);
    fill(element, chosen.map((option) => field(
      label(option), control(option, kept, (values) => { onchange(values); }, usual(option.name) ?? option.default), option.help, `${command}-${option.name}`,
    )));
  }
  on("presets", redraw);
  redraw();
  return { element, redraw };
}

export const label = ({ flag }) => flag.slice(2).replaceAll("-", " ").replace(/^./, (c) => c.toUpperCase());
