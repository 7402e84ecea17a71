// Talking to the server: requests, the token, and the stream of what happens.
//
// The stream is read with fetch because an EventSource cannot send a token. It reconnects by itself, each time a little
// later, and also when it has been silent for longer than the server's keep-alive allows. The token lives as long as
// the tab and is never written anywhere else.

const TOKEN = "autoscalebot.token";
/** The server sends at least a comment every 15 s; two missed ones and a little are a dead line. */
const SILENCE_MS = 35_000;
const FIRST_RETRY_MS = 500;
/** Longer would make a person reload the page. */
const LONGEST_RETRY_MS = 15_000;

/** What an error answer says; `status` 0 is: no answer at all. */
export class ApiError extends Error {
  constructor(status, key, message) {
    super(message);
    this.status = status;
    this.key = key;
  }
}

let token = null;
try {
  token = sessionStorage.getItem(TOKEN);
} catch {
  /* storage may be forbidden; then the token lasts until a reload */
}

export const hasToken = () => token !== null;

export function setToken(value) {
  token = value;
  try {
    if (value === null) sessionStorage.removeItem(TOKEN);
    else sessionStorage.setItem(TOKEN, value);
  } catch {
    /* as above */
  }
}

const listeners = new Set();

/** Calls `listener` whenever the server asks for a token. */
export const onSignedOut = (listener) => listeners.add(listener);

const headers = (more) => (token === null ? more : { ...more, Authorization: `Bearer ${token}` });

/** Relative, so that a path that a proxy puts in front is kept. */
const address = (path) => new URL(`api/v1/${path}`, document.baseURI.split("#")[0]);

async function failure(response) {
  const body = await response.json().catch(() => null);
  const key = body?.error?.key ?? "http";
  return new ApiError(response.status, key, body?.error?.message ?? `the server answered ${response.status}`);
}

async function request(path, options) {
  let response;
  try {
    response = await fetch(address(path), { cache: "no-store", ...options, headers: headers(options?.headers ?? {}) });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new ApiError(0, "unreachable", "the server cannot be reached");
  }
  if (response.status === 401) for (const listener of listeners) listener();
  if (!response.ok) throw await failure(response);
  return response;
}

/** @param {string} path @param {Record<string, any>} [query] empty values are left out */
export async function get(path, query = {}, signal) {
  const given = Object.entries(query).filter(([, value]) => value !== null && value !== undefined && value !== "");
  const tail = given.length ? `?${new URLSearchParams(given)}` : "";
  return (await request(path + tail, { signal })).json();
}

export async function post(path, body) {
  const options = { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body) };
  return (await request(path, options)).json();
}

/** Follows cursors until there are no more, or `most` entries. */
export async function getAll(path, list, query, most, signal) {
  const all = [];
  let before = null;
  do {
    const page = await get(path, { ...query, limit: 100, before }, signal);
    all.push(...page[list]);
    before = page.next;
  } while (before && all.length < most);
  return all;
}

/**
 * Reads the stream until the returned function is called.
 * @param {string|null} process only this one, or all
 * @param {{message: (event: string, data: any) => void, state: (state: "live"|"reconnecting"|"connecting") => void}} to
 */
export function stream(process, to) {
  const stopped = new AbortController();
  let wait = FIRST_RETRY_MS;

  async function once() {
    const attempt = new AbortController();
    const stop = () => attempt.abort();
    stopped.signal.addEventListener("abort", stop);
    let alarm = setTimeout(stop, SILENCE_MS);
    try {
      const path = process === null ? "stream" : `stream?process=${encodeURIComponent(process)}`;
      const response = await request(path, { signal: attempt.signal, headers: { Accept: "text/event-stream" } });
      to.state("live");
      const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
      let text = "";
      for (;;) {
        const { value, done } = await reader.read();
        if (done) return;
        clearTimeout(alarm);
        alarm = setTimeout(stop, SILENCE_MS);
        wait = FIRST_RETRY_MS;
        const blocks = (text + value).replaceAll("\r\n", "\n").split("\n\n");
        text = blocks.pop();
        for (const block of blocks) deliver(block);
      }
    } finally {
      clearTimeout(alarm);
      stopped.signal.removeEventListener("abort", stop);
    }
  }

  function deliver(block) {
    let event = "message",
      data = "";
    for (const line of block.split("\n")) {
      if (line.startsWith("event:")) event = line.slice(6).trim();
      else if (line.startsWith("data:")) data += line.slice(5).trimStart();
    }
    if (data) to.message(event, JSON.parse(data));
  }

  async function keepReading() {
    to.state("connecting");
    while (!stopped.signal.aborted) {
      try {
        await once();
      } catch (error) {
        if (error.status === 401) return;
      }
      if (stopped.signal.aborted) return;
      to.state("reconnecting");
      // A little chance, so that many open pages do not come back in the same moment.
      await new Promise((resume) => setTimeout(resume, wait * (0.75 + Math.random() / 2)));
      wait = Math.min(wait * 2, LONGEST_RETRY_MS);
    }
  }

  keepReading();
  return () => stopped.abort();
}
