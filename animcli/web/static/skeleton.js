// A motion as the server packs it, drawn over frames in OpenPose's colours.
import { raw } from "./api.js";

export const BODY = 18, FEET = 24, FACE = 92, HANDS = 134;
const LIMBS = [[1, 2], [1, 5], [2, 3], [3, 4], [5, 6], [6, 7], [1, 8], [8, 9], [9, 10], [1, 11], [11, 12], [12, 13], [1, 0], [0, 14], [14, 16], [0, 15], [15, 17]];
const TOES = [[13, 18], [13, 19], [13, 20], [10, 21], [10, 22], [10, 23]];
const NAMES = "nose neck right_shoulder right_elbow right_wrist left_shoulder left_elbow left_wrist right_hip right_knee right_ankle left_hip left_knee left_ankle right_eye left_eye right_ear left_ear left_big_toe left_small_toe left_heel right_big_toe right_small_toe right_heel".split(" ");
const PARENTS = { 3: 2, 4: 3, 6: 5, 7: 6, 9: 8, 10: 9, 12: 11, 13: 12, 0: 1, 14: 0, 15: 0, 16: 0, 17: 0, 18: 13, 19: 13, 20: 13, 21: 10, 22: 10, 23: 10, 92: 7, 113: 4 };
const FINGERS = [];
for (let finger = 0; finger < 5; finger++) for (let step = 0; step < 4; step++) FINGERS.push([step ? 4 * finger + step : 0, 4 * finger + step + 1]);
for (const start of [92, 113]) for (const [near, far] of FINGERS) PARENTS[start + far] = start + near;

export const parentOf = (joint) => PARENTS[joint];
export const nameOf = (joint) =>
  joint < FEET ? NAMES[joint] : joint < FACE ? `face_${joint - 24}` : joint < 113 ? `left_hand_${joint - 92}` : `right_hand_${joint - 113}`;
export const hue = (n, of) => `hsl(${Math.round((360 * n) / of)} 95% 58%)`;

export async function fetchPose(digest) {
  const data = await (await raw(`/api/pose/${digest}`)).arrayBuffer();
  const length = new DataView(data).getUint32(0, true);
  const head = JSON.parse(new TextDecoder().decode(new Uint8Array(data, 4, length)));
  return new Pose(head, new Float32Array(data, 4 + length), digest);
}

export const ratio = (text) => {
  const [top, bottom = "1"] = text.split("/");
  return Number(top) / Number(bottom);
};

// begins + tick * base, such as "7/24" of "0", 7 and "1/24": exact, so that edits find their
// frame again, in a part of the footage, too.
export function exact(begins, tick, base) {
  const [top, bottom = "1"] = base.split("/"), [first, per = "1"] = begins.split("/");
  let a = BigInt(tick) * BigInt(top) * BigInt(per) + BigInt(first) * BigInt(bottom), b = BigInt(bottom) * BigInt(per);
  if (a === 0n) return "0";
  let [x, y] = [a, b];
  while (y) [x, y] = [y, x % y];
  a /= x; b /= x;
  return b === 1n ? String(a) : `${a}/${b}`;
}

export class Pose {
  constructor(head, joints, digest) {
    Object.assign(this, head, { joints, digest });
    const second = ratio(head.base);
    this.times = head.ticks.map((tick) => tick * second);
  }
  at(frame, joint) {
    const place = 3 * (134 * frame + joint);
    return { x: this.joints[place], y: this.joints[place + 1], score: this.joints[place + 2] };
  }
  put(frame, joint, x, y) {
    const place = 3 * (134 * frame + joint);
    this.joints[place] = x; this.joints[place + 1] = y;
    this.joints[place + 2] = Math.max(this.joints[place + 2], 1);
  }
  when(frame) { return exact(this.begins, this.ticks[frame], this.base); }
  // Mean score of the body; 0 where nobody is.
  confidence(frame) {
    let sum = 0;
    for (let joint = 0; joint < BODY; joint++) sum += this.at(frame, joint).score;
    return sum / BODY;
  }
  nobody(frame) {
    for (let joint = 0; joint < BODY; joint++) if (this.at(frame, joint).score > this.threshold) return false;
    return true;
  }
}

// view: {scale, left, top} from pixels of the pose to pixels of the canvas.
export function draw(context, pose, frame, view, show, chosen = -1) {
  const place = (joint) => {
    const { x, y, score } = pose.at(frame, joint);
    return { x: x * view.scale + view.left, y: y * view.scale + view.top, score };
  };
  const unit = Math.max(1.5, view.unit ?? 2);
  const line = (a, b, colour, width) => {
    const [p, q] = [place(a), place(b)];
    const sure = Math.min(p.score, q.score);
    if (sure <= 0) return;
    context.globalAlpha = sure > pose.threshold ? 0.85 : 0.22;
    context.strokeStyle = colour;
    context.lineWidth = width;
    context.beginPath(); context.moveTo(p.x, p.y); context.lineTo(q.x, q.y); context.stroke();
  };
  const dot = (joint, colour, size) => {
    const p = place(joint);
    if (p.score <= 0) return;
    context.globalAlpha = p.score > pose.threshold ? 1 : 0.35;
    context.fillStyle = colour;
    context.beginPath(); context.arc(p.x, p.y, size, 0, 2 * Math.PI); context.fill();
  };
  context.lineCap = "round";
  if (show.body) {
    LIMBS.forEach(([a, b], n) => line(a, b, hue(n, 18), 2 * unit));
    TOES.forEach(([a, b]) => line(a, b, "#c9c9c9", unit));
    for (let joint = 0; joint < BODY; joint++) dot(joint, hue(joint, 18), 2 * unit);
    for (let joint = BODY; joint < FEET; joint++) dot(joint, "#c9c9c9", 1.3 * unit);
  }
  if (show.face) for (let joint = FEET; joint < FACE; joint++) dot(joint, "#fff", 0.9 * unit);
  if (show.hands) for (const start of [92, 113]) {
    FINGERS.forEach(([a, b], n) => line(start + a, start + b, hue(n, 20), unit));
    for (let joint = 0; joint < 21; joint++) dot(start + joint, "#4f7bff", unit);
  }
  context.globalAlpha = 1;
  if (chosen >= 0) {
    const p = place(chosen);
    context.strokeStyle = "#fff"; context.lineWidth = 2;
    context.beginPath(); context.arc(p.x, p.y, 5 * unit, 0, 2 * Math.PI); context.stroke();
    context.strokeStyle = "#000"; context.lineWidth = 1;
    context.beginPath(); context.arc(p.x, p.y, 5 * unit + 2, 0, 2 * Math.PI); context.stroke();
  }
}

export function outline(context, pose, frame, view) {
  context.globalAlpha = 0.9; context.strokeStyle = "#ffd34d"; context.setLineDash([5, 4]); context.lineWidth = 2;
  for (const [a, b] of LIMBS) {
    const [p, q] = [pose.at(frame, a), pose.at(frame, b)];
    if (Math.min(p.score, q.score) <= pose.threshold) continue;
    context.beginPath();
    context.moveTo(p.x * view.scale + view.left, p.y * view.scale + view.top);
    context.lineTo(q.x * view.scale + view.left, q.y * view.scale + view.top);
    context.stroke();
  }
  context.setLineDash([]); context.globalAlpha = 1;
}
