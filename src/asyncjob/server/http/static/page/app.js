// The page: which view the address names, what it shows, and when it is loaded again.
//
// What a view shows is always what the server said last: an event says only that something has changed, and the view is
// loaded again then, once for as many events as came meanwhile.

import { html, nothing, render } from "./lit-html/lit-html.js";
import { Listener, api } from "./api.js";
import * as job from "./job.js";
import * as list from "./list.js";
import * as submit from "./submit.js";

const PAUSE_MS = 400; // between two loads, at least; and five times what a load takes
const TICK_MS = 1000; // durations that go on
const STATS_MS = 10000; // the chart moves on when nothing happens

const state = { session: undefined, route: undefined, data: undefined, types: [], notice: "", connected: true };

// What is no percent-encoding is taken for what it says: there is no such job, and the page says so.
function decoded(text) {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

function route() {
  const [path, query] = location.hash.replace(/^#\/?/, "").split("?");
  const filters = Object.fromEntries(new URLSearchParams(query));
  const [first, encoded] = path.split("/");
  const id = encoded && decoded(encoded);
  if (first === "jobs" && id) return { view: job, filters, id, load: () => job.load(id) };
  if (first === "submit") return { view: submit, filters, load: submit.load };
  return { view: list, filters, load: () => list.load(filters) };
}

const go = (address) => {
  if (location.hash === address) navigate();
  else location.hash = address;
};

async function act(action) {
  state.notice = "";
  try {
    await action();
    refresh();
  } catch (error) {
    fail(error); // and no refresh, which would take the message away
  }
}

function fail(error) {
  if (error.status === undefined) reportError(error);
  if (error.status === 403 && state.session?.keyNeeded) {
    state.session.signedIn = false;
    listener.stop();
  } else {
    state.notice = error.message;
  }
  draw();
}

// -- loading ---------------------------------------------------------------------------------------------------------

let timer;
let pause = 0;
let loading = false;
let again = false;

function refresh() {
  again = true;
  if (!loading && timer === undefined) timer = setTimeout(load, pause);
}

async function load() {
  timer = undefined;
  again = false;
  loading = true;
  const begin = performance.now();
  const wanted = state.route;
  try {
    const data = await wanted.load();
    if (wanted === state.route) Object.assign(state, { data, notice: data === state.data ? state.notice : "" });
  } catch (error) {
    if (wanted === state.route) fail(error);
  }
  loading = false;
  pause = Math.max(PAUSE_MS, 5 * (performance.now() - begin));
  if (wanted !== state.route) pause = 0;
  draw();
  if (again) refresh();
}

function navigate() {
  const before = state.route;
  state.route = route();
  state.notice = "";
  if (before?.view !== state.route.view || before?.id !== state.route.id) {
    state.data = undefined;
    scrollTo(0, 0);
  }
  pause = 0;
  clearTimeout(timer);
  timer = undefined;
  draw();
  refresh();
}

function changed(change) {
  const { view, id } = state.route;
  if (view === list || (view === job && (change === undefined || change.jobId === id))) refresh();
}

const listener = new Listener(changed, (connected) => {
  state.connected = connected;
  draw();
});

// -- showing ---------------------------------------------------------------------------------------------------------

function signIn() {
  const send = async (event) => {
    event.preventDefault();
    const { key } = event.target.elements;
    state.notice = "";
    try {
      await api.signIn(key.value);
      await begin();
    } catch (error) {
      state.notice = error.message;
      draw();
    }
  };
  return html`<h1>Sign in</h1>
    <form class="submit" @submit=${send}>
      <label class="field">API key <input name="key" type="password" required autocomplete="current-password" autofocus /></label>
      <button class="primary">Sign in</button>
    </form>`;
}

async function signOut() {
  await act(api.signOut);
  await begin();
}

function main() {
  if (state.session === undefined) return nothing;
  if (state.session.keyNeeded && !state.session.signedIn) return signIn();
  if (state.data === undefined) return nothing;
  return state.route.view.view({ data: state.data, filters: state.route.filters, types: state.types, go, act });
}

const link = (view, address, text) =>
  html`<a href=${address} aria-current=${state.route?.view === view ? "page" : nothing}>${text}</a>`;

function draw() {
  const within = state.session && (!state.session.keyNeeded || state.session.signedIn);
  render(
    html`<header class="top">
        <a class="name" href="#/">Async Job API</a>
        <nav aria-label="Main">
          ${within ? html`${link(list, "#/", "Jobs")} ${link(submit, "#/submit", "Submit")}` : nothing}
          <a href="/docs">API</a>
        </nav>
        ${within ? html`<span class="live ${state.connected ? "on" : "off"}" role="status">${state.connected ? "live" : "not connected"}</span>` : nothing}
        ${state.session?.signedIn ? html`<button @click=${signOut}>Sign out</button>` : nothing}
      </header>
      <main>
        ${state.notice ? html`<p class="notice" role="alert">${state.notice}</p>` : nothing} ${main()}
      </main>`,
    document.body,
  );
}

// -- beginning -------------------------------------------------------------------------------------------------------

async function begin() {
  try {
    state.session = await api.session();
    state.types = [...(await submit.load()).keys()];
  } catch (error) {
    fail(error);
    setTimeout(begin, STATS_MS);
    return;
  }
  navigate();
  if (!state.session.keyNeeded || state.session.signedIn) listener.start();
  else listener.stop();
}

addEventListener("hashchange", navigate);
addEventListener("keydown", (event) => {
  if (event.key !== "/" || event.ctrlKey || event.metaKey || event.target.closest("input, textarea, select")) return;
  const search = document.querySelector("input[type=search]");
  if (search) {
    event.preventDefault();
    search.focus();
  }
});
setInterval(() => {
  const { data } = state;
  const jobs = data?.jobs ?? (data?.job ? [data.job] : []);
  if (document.visibilityState === "visible" && jobs.some((one) => one.status === "Running")) draw();
}, TICK_MS);
setInterval(() => {
  if (document.visibilityState === "visible" && state.route?.view === list && state.data) refresh();
}, STATS_MS);
begin();
