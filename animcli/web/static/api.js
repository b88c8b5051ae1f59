// Requests to the server, and what it tells by itself.
import { TEXT } from "./text.js";

let token = "";
const PLACE = "anim-token";

export class Refused extends Error {
  constructor(said) {
    super(said.error);
    this.hint = said.hint ?? "";
    this.kind = said.kind ?? "bug";
  }
}

export async function enter() {
  const given = /^#t=([\w-]+)$/.exec(location.hash);
  token = given ? given[1] : sessionStorage.getItem(PLACE) ?? "";
  if (given) history.replaceState(null, "", location.pathname);
  if (!token) return null;
  const answer = await fetch("/api/session", { method: "POST", headers: headers(), body: "{}" });
  if (!answer.ok) return null;
  sessionStorage.setItem(PLACE, token);
  return answer.json();
}

const headers = () => ({ "X-Anim-Token": token, "Content-Type": "application/json" });

async function ask(path, options) {
  let answer;
  try {
    answer = await fetch(path, options);
  } catch {
    throw new Refused({ error: TEXT.offline, kind: "device" });
  }
  if (answer.status === 422) throw new Refused(await answer.json());
  if (!answer.ok) throw new Refused({ error: `${path}: ${answer.status}`, kind: "bug" });
  return answer;
}

export const get = async (path) => (await ask(path)).json();
export const raw = (path) => ask(path);
export const post = async (path, said = {}) =>
  (await ask(path, { method: "POST", headers: headers(), body: JSON.stringify(said) })).json();
export const remove = async (path) => (await ask(path, { method: "DELETE", headers: headers() })).json();

// XMLHttpRequest, since fetch doesn't tell how much of a body was sent.
export function upload(file, onpart) {
  return new Promise((resolve, reject) => {
    const request = new XMLHttpRequest();
    request.open("PUT", `/api/uploads?name=${encodeURIComponent(file.name)}`);
    request.setRequestHeader("X-Anim-Token", token);
    request.upload.onprogress = (event) => event.lengthComputable && onpart(event.loaded / event.total);
    request.onerror = () => reject(new Refused({ error: TEXT.offline }));
    request.onload = () => {
      let said = {};
      try { said = JSON.parse(request.responseText); } catch { said = { error: `${request.status}` }; }
      request.status === 200 ? resolve(said) : reject(new Refused(said));
    };
    request.send(file);
  });
}

// A browser has six connections to a server, for all tabs together: one that isn't seen has none.
export function listen(handlers, onstate) {
  let source = null;
  const turn = () => {
    if (document.hidden) { source?.close(); source = null; return; }
    if (source) return;
    source = new EventSource("/api/events");
    for (const [kind, run] of Object.entries(handlers)) {
      source.addEventListener(kind, (event) => run(JSON.parse(event.data)));
    }
    source.onopen = () => onstate(true);
    source.onerror = () => onstate(false);
  };
  document.addEventListener("visibilitychange", turn);
  turn();
}

export const frameOf = (digest, frame, width) => `/media/${digest}?frame=${frame}&width=${width}`;
