// Corrections: a list of edits that is kept by the server after each change.
import { get, post } from "./api.js";
import { nameOf } from "./skeleton.js";

const STEPS = 100;

export class Edits {
  constructor(source, onchange) {
    this.source = source;
    this.onchange = onchange;
    this.list = [];
    this.past = [];
    this.future = [];
    this.digest = "";
    this.kept = "";  // of the list, empty or not, that the server has
    this.work = Promise.resolve();
  }
  async load() {
    const kept = await get(`/api/edits/${this.source}`);
    this.list = kept.edits ?? [];
    this.digest = this.list.length ? kept.digest : "";
    this.kept = kept.digest ?? "";
  }
  table(pose) {
    return { schema: 1, source: pose.source ?? "", size: pose.size, edits: this.list };
  }
  change(list, pose) {
    this.past = [...this.past, this.list].slice(-STEPS);
    this.future = [];
    return this.set(list, pose);
  }
  set(list, pose) {
    this.list = list;
    // One after the other, so that the last drag is the one that stays.
    this.work = this.work.catch(() => undefined).then(() => this.keep(this.table(pose))).then(() => this.onchange());
    return this.work;
  }
  async keep(table) {
    const said = await post(`/api/edits/${this.source}`, table);
    this.digest = table.edits.length ? said.digest : "";
    this.kept = said.digest;
  }
  undo(pose) {
    if (!this.past.length) return undefined;
    this.future.push(this.list);
    return this.set(this.past.pop(), pose);
  }
  redo(pose) {
    if (!this.future.length) return undefined;
    this.past.push(this.list);
    return this.set(this.future.pop(), pose);
  }
  // A later place of the same joint in the same frame replaces the earlier one.
  move(pose, frame, joint, x, y, reach, free) {
    const name = nameOf(joint), at = pose.when(frame);
    const edit = { frame, joint: name, x: round(x), y: round(y), at };
    if (reach !== null) edit.reach = reach;
    if (free) edit.free = true;
    const others = this.list.filter((each) => !(each.frame === frame && each.joint === name && "x" in each));
    return this.change([...others, edit], pose);
  }
  mark(pose, frame, to, joint, what) {
    return this.change([...this.list, { frame, to, joint: nameOf(joint), [what]: true, at: pose.when(frame) }], pose);
  }
  swap(pose, frame, to, side) {
    return this.change([...this.list, { frame, to, swap: side, at: pose.when(frame) }], pose);
  }
}

const round = (number) => Math.round(number * 100) / 100;
