// Talks to the server: the API's own routes, its events, and the sign-in. Knows nothing of how a page looks.

export const API = new URL("../", import.meta.url); // where this file's folder is, so that the API may be below a prefix

export class ApiError extends Error {
  constructor(status, message) {
    super(message);
    this.status = status;
  }
}

// JSON knows no limit of digits, JavaScript's numbers do: what they cannot hold stays the text that it was.
// 1.0 is 1, and stays a number: what a page computes with must not become a text.
const MOST_DIGITS = 17;
const isLost = (value, source) =>
  !Number.isFinite(value) ||
  (Number.isInteger(value) && !Number.isSafeInteger(value)) ||
  source.replace(/e.*/i, "").replace(/[^0-9]/g, "").replace(/^0+/, "").length > MOST_DIGITS;
const exact = (key, value, context) =>
  typeof value === "number" && JSON.rawJSON && context?.source !== undefined && isLost(value, context.source)
    ? JSON.rawJSON(context.source)
    : value;

// For a job that is submitted again: 1.0 is another value than 1 to some functions.
const literal = (key, value, context) =>
  typeof value === "number" && JSON.rawJSON && context?.source !== undefined ? JSON.rawJSON(context.source) : value;

export async function request(method, path, body, reviver = exact) {
  const headers = body === undefined ? {} : { "content-type": "application/json" };
  let answer;
  try {
    answer = await fetch(new URL(path, API), { method, headers, body: body === undefined ? undefined : JSON.stringify(body) });
  } catch {
    throw new ApiError(0, "The server does not answer.");
  }
  const text = await answer.text();
  if (answer.ok) {
    try {
      return text ? JSON.parse(text, reviver) : undefined;
    } catch {
      throw new ApiError(answer.status, "The answer is not the server's.");
    }
  }
  let message = `The server answered ${answer.status}.`;
  try {
    message = JSON.parse(text).message ?? message;
  } catch {
    // something between this page and the server has answered
  }
  throw new ApiError(answer.status, message);
}

const jobPath = (id) => `jobs/${encodeURIComponent(id)}`;

// No job has such an id, and to a browser "jobs/.." is another path.
const isNoId = (id) => id.startsWith(".") || id.includes("/");

async function everyPage(path, name) {
  const found = [];
  for (let cursor = "0"; cursor; ) {
    const page = await request("GET", `${path}?${new URLSearchParams({ limit: 1000, cursor })}`);
    found.push(...page[name]);
    cursor = page.next;
  }
  return found;
}

export const api = {
  session: () => request("GET", "session"),
  signIn: (key) => request("POST", "session", { key }),
  signOut: () => request("DELETE", "session"),
  document: () => request("GET", "openapi.json"),
  stats: (type) => request("GET", type ? `stats?${new URLSearchParams({ type })}` : "stats"),
  jobs: (query) => request("GET", `jobs?${new URLSearchParams(query)}`),
  job: (id, reviver) => request("GET", jobPath(id), undefined, reviver),
  jobIfAny: async (id, reviver) => {
    try {
      return isNoId(id) ? undefined : await api.job(id, reviver);
    } catch (error) {
      if (error.status === 404) return undefined;
      throw error;
    }
  },
  jobToCopy: (id) => api.jobIfAny(id, literal),
  attempts: (id) => everyPage(`${jobPath(id)}/attempts`, "attempts"),
  deliveries: (id) => everyPage(`${jobPath(id)}/deliveries`, "deliveries"),
  cancel: (id) => request("POST", `${jobPath(id)}/cancel`),
  remove: (id) => request("DELETE", jobPath(id)),
  retry: (id) => request("POST", `${jobPath(id)}/retry`),
  runNow: (id) => request("POST", `${jobPath(id)}/run-now`),
  submit: (body) => request("POST", "jobs", body),
  schedules: () => everyPage("schedules", "schedules"),
  runSchedule: (id) => request("POST", `schedules/${id}/run-now`),
  pauseSchedule: (id) => request("POST", `schedules/${id}/pause`),
  resumeSchedule: (id) => request("POST", `schedules/${id}/resume`),
};

export const logAddress = (id) => new URL(`${jobPath(id)}/logs?limit=1000`, API);

// The lines of a job's log, from the first one on, until the job has ended. ended: called when none can come any more.
export function lineStream(id, take, ended) {
  const source = new EventSource(new URL(`${jobPath(id)}/events?logs=true`, API));
  source.addEventListener("log", (event) => take(JSON.parse(event.data)));
  source.onerror = () => source.readyState === EventSource.CLOSED && ended(); // it comes back by itself, unless it need not
  return source;
}

const AGAIN_MS = 3000;

// The changes of all jobs, while the page can be seen: a browser has few connections to one server for all its tabs.
export class Listener {
  // changed: called with {jobId, ...} of each change, and without anything when some may have been missed.
  // connected: called with whether the server is there.
  constructor(changed, connected) {
    this.changed = changed;
    this.connected = connected;
    this.wanted = false;
    document.addEventListener("visibilitychange", () => this.#follow());
  }

  start() {
    this.wanted = true;
    this.#follow();
  }

  stop() {
    this.wanted = false;
    this.#follow();
  }

  #follow() {
    const wanted = this.wanted && document.visibilityState === "visible";
    if (wanted && !this.source) this.#open();
    else if (!wanted && this.source) this.#close();
  }

  #open() {
    const source = (this.source = new EventSource(new URL("events", API)));
    source.onopen = () => {
      this.connected(true);
      this.changed();
    };
    source.onmessage = (event) => this.changed(JSON.parse(event.data));
    source.addEventListener("deleted", (event) => this.changed(JSON.parse(event.data)));
    source.addEventListener("gap", () => this.changed());
    source.onerror = () => {
      this.connected(false);
      if (source.readyState !== EventSource.CLOSED) return; // it tries again by itself
      this.#close();
      this.changed();
      setTimeout(() => this.#follow(), AGAIN_MS);
    };
  }

  #close() {
    this.source.close();
    this.source = undefined;
  }
}
