// Frames in step with what is drawn over them. Times are the motion's own, not the clock's.
import { h } from "./dom.js";

export class Player {
  // times: when each frame is shown, in seconds. source: of a video, or "" for none.
  constructor(onframe, onplaying = () => {}) {
    this.onframe = onframe;
    this.onplaying = onplaying;
    this.times = [0];
    this.frame = 0;
    this.loop = true;
    this.marks = null;
    this.playing = false;
    this.video = h("video", { muted: true, playsinline: true, preload: "auto", tabindex: "-1", "aria-hidden": "true" });
    this.video.addEventListener("seeked", () => this.shown());
    this.video.addEventListener("loadeddata", () => this.seek(this.frame));
    this.video.addEventListener("ended", () => this.over());
  }
  load(source, times) {
    this.pause();
    this.times = times.length ? times : [0];
    this.frame = Math.min(this.frame, this.times.length - 1);
    this.hasVideo = Boolean(source);
    this.video.hidden = !source;
    if (source && this.video.getAttribute("src") !== source) this.video.src = source;
    if (!source) this.video.removeAttribute("src");
    this.seek(this.frame);
  }
  get last() { return this.times.length - 1; }
  get step() { return this.last > 0 ? this.times[this.last] / this.last : 1 / 24; }
  get first() { return this.marks ? this.marks[0] : 0; }
  get end() { return this.marks ? this.marks[1] : this.last; }
  // A little into the frame, so that rounding in the container can't show the one before.
  seek(frame) {
    this.frame = Math.max(0, Math.min(this.last, Math.round(frame)));
    if (this.hasVideo && this.video.readyState >= 1) this.video.currentTime = this.times[this.frame] + this.step * 0.3;
    this.onframe(this.frame);
  }
  shown() { if (!this.playing) this.onframe(this.frame); }
  nearest(time) {
    let [low, high] = [0, this.last];
    while (low < high) {
      const middle = (low + high + 1) >> 1;
      this.times[middle] <= time + this.step * 0.25 ? (low = middle) : (high = middle - 1);
    }
    return low;
  }
  toggle() { this.playing ? this.pause() : this.play(); }
  play() {
    if (this.frame >= this.end || this.frame < this.first) this.seek(this.first);
    this.playing = true;
    this.onplaying(true);
    if (this.hasVideo) {
      this.video.play().catch(() => this.pause());
      this.follow();
    } else {
      const began = performance.now() - this.times[this.frame] * 1000;
      const turn = () => {
        if (!this.playing) return;
        const time = (performance.now() - began) / 1000;
        this.frame = this.nearest(time);
        this.onframe(this.frame);
        if (time > this.times[this.end] + this.step) this.over();
        else requestAnimationFrame(turn);
      };
      requestAnimationFrame(turn);
    }
  }
  follow() {
    const turn = (now, meta) => {
      if (!this.playing) return;
      this.frame = this.nearest(meta ? meta.mediaTime : this.video.currentTime);
      this.onframe(this.frame);
      if (this.frame >= this.end && this.marks) this.over();
      else this.again(turn);
    };
    this.again(turn);
  }
  again(turn) {
    if (this.video.requestVideoFrameCallback) this.video.requestVideoFrameCallback(turn);
    else requestAnimationFrame(() => turn(0, null));
  }
  over() {
    if (!this.playing) return;
    if (!this.loop) return this.pause();
    this.playing = false;
    this.seek(this.first);
    this.play();
  }
  pause() {
    if (!this.playing) return;
    this.playing = false;
    this.video.pause();
    this.seek(this.frame);
    this.onplaying(false);
  }
}
