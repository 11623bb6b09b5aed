// What is around every view: the top of the page, what went wrong, and the sign-in in place of a view.

import { html, nothing } from "./lit-html/lit-html.js";
import { API } from "./api.js";
import { clock } from "./format.js";
import { list, schedules, submit } from "./route.js";

const NAME = "Async Job API";

export const isIn = (session) => session !== undefined && (!session.keyNeeded || session.signedIn);

const link = (route, view, address, text) =>
  html`<a href=${address} aria-current=${route?.view === view ? "page" : nothing}>${text}</a>`;

const top = ({ session, route, lostAt }, signOut) => html`<header class="top">
  <a class="name" href="#/">${NAME}</a>
  <nav aria-label="Main">
    ${isIn(session)
      ? html`${link(route, list, "#/", "Jobs")} ${link(route, schedules, "#/schedules", "Schedules")} ${link(route, submit, "#/submit", "Submit")}`
      : nothing}
    <a href=${new URL("docs", API)}>API</a>
  </nav>
  ${isIn(session) ? html`<span class="live ${lostAt ? "off" : "on"}" role="status">${lostAt ? "not connected" : "live"}</span>` : nothing}
  ${session?.signedIn ? html`<button @click=${signOut}>Sign out</button>` : nothing}
</header>`;

function lost({ lostAt, data }) {
  const stale = data ? " What you see here is from then and may have changed." : "";
  return html`<p class="notice lost" role="alert">${`The server has not answered since ${clock(lostAt)}.${stale} This page tries again by itself.`}</p>`;
}

export const page = (state, main, signOut) => html`${top(state, signOut)}
  <main>
    ${state.lostAt ? lost(state) : nothing}
    ${[state.fault, state.notice].filter(Boolean).map((text) => html`<p class="notice" role="alert">${text}</p>`)} ${main}
  </main>
  <p class="unseen" id="said" role="status"></p>`;

export function signIn(send) {
  const submit = (event) => {
    event.preventDefault();
    send(event.target.elements.key.value);
  };
  return html`<h1>Sign in</h1>
    <form class="submit" @submit=${submit}>
      <div class="field">
        <label for="key">API key</label>
        <input id="key" name="key" type="password" required autocomplete="current-password" autofocus />
      </div>
      <p class="send"><button class="primary">Sign in</button></p>
    </form>`;
}

export function title({ session, route, data }) {
  if (!isIn(session)) return session ? `Sign in – ${NAME}` : NAME;
  return data === undefined ? NAME : `${route.view.title(data, route.filters)} – ${NAME}`;
}
