// The page: what it shows, and when that is loaded again.
//
// What a view shows is always what the server said last: an event says only that something has changed, and the view is
// loaded again then, once for as many events as came meanwhile.

import { nothing, render } from "./lit-html/lit-html.js";
import { Listener, api } from "./api.js";
import { unfold } from "./filters.js";
import * as frame from "./frame.js";
import { job, list, route, schedules, submit } from "./route.js";

const PAUSE_MS = 400; // between two loads, at least; and five times what a load takes
const TICK_MS = 1000; // ages, and durations that go on
const STATS_MS = 10000; // the chart moves on when nothing happens

// session: of the browser, undefined until the server has told. route, data: the view, and what it shows.
// functions: those of the API. notice: why what somebody wanted was not done, until they want something else; fault: why
// nothing could be loaded. loadedAt: when the server last answered; lostAt: the same, once it answers no more. back: the
// list that a job's page leads back to.
const state = { session: undefined, route: undefined, data: undefined, functions: new Map(), notice: "", fault: "", back: "#/" };

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
    fail(error, "notice");
  }
}

// `place` is where the state says it.
function fail(error, place) {
  if (error.status === undefined) reportError(error);
  if (error.status === 401 && state.session?.keyNeeded) {
    state.session.signedIn = false;
    listener.stop();
  } else if (error.status === 0) {
    lose();
  } else {
    state[place] = error.message;
  }
  draw();
}

function lose() {
  state.lostAt ??= state.loadedAt ?? new Date();
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
    if (wanted === state.route) Object.assign(state, { data, fault: "", loadedAt: new Date(), lostAt: undefined });
  } catch (error) {
    if (wanted === state.route) fail(error, "fault");
  }
  loading = false;
  pause = Math.max(PAUSE_MS, 5 * (performance.now() - begin));
  if (wanted !== state.route) pause = 0;
  draw();
  if (again) refresh();
}

function navigate() {
  const before = state.route;
  state.route = route(location.hash);
  state.notice = state.fault = "";
  if (state.route.view === list) state.back = location.hash || "#/";
  if (before?.view !== state.route.view || before?.id !== state.route.id) {
    before?.view.leave?.();
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
  if (view === list || view === schedules || (view === job && (change === undefined || change.jobId === id))) refresh();
}

const listener = new Listener(changed, (connected) => {
  if (connected) state.lostAt = undefined;
  else lose();
  draw();
});

// -- showing ---------------------------------------------------------------------------------------------------------

async function signIn(key) {
  state.notice = "";
  try {
    await api.signIn(key);
    await begin();
  } catch (error) {
    if (frame.isIn(state.session)) return; // by another key, entered before this one was refused
    state.notice = error.message;
    draw();
  }
}

async function signOut() {
  await act(api.signOut);
  await begin();
}

function main() {
  const { session, route, data, functions, back } = state;
  if (session === undefined) return nothing;
  if (!frame.isIn(session)) return frame.signIn(signIn);
  if (data === undefined) return nothing;
  return route.view.view({ data, filters: route.filters, functions, session, back, go, act, redraw: draw });
}

function draw() {
  render(frame.page(state, main(), signOut), document.body);
  document.title = frame.title(state);
}

// -- beginning -------------------------------------------------------------------------------------------------------

async function begin() {
  try {
    // Both at once: a view needs them both, and may be drawn while one is still awaited.
    const [session, { functions }] = await Promise.all([api.session(), submit.load()]);
    Object.assign(state, { session, functions });
  } catch (error) {
    fail(error, "fault");
    setTimeout(begin, STATS_MS);
    return;
  }
  addEventListener("hashchange", navigate); // from now on: before, there is nothing to load a view with
  navigate();
  if (frame.isIn(state.session)) listener.start();
  else listener.stop();
}

addEventListener("keydown", (event) => {
  if (event.key !== "/" || event.ctrlKey || event.metaKey || event.target.closest("input, textarea, select")) return;
  const search = document.querySelector("input[type=search]");
  if (search) {
    event.preventDefault();
    unfold(draw);
    search.focus();
  }
});
setInterval(() => {
  if (document.visibilityState === "visible" && state.data && state.route.view !== submit) draw();
}, TICK_MS);
setInterval(() => {
  if (document.visibilityState === "visible" && state.route && (state.lostAt || (state.route.view === list && state.data))) refresh();
}, STATS_MS);
begin();
