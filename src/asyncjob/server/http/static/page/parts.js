// What more than one view shows.

import { html, nothing, svg } from "./lit-html/lit-html.js";
import * as format from "./format.js";

export const STATUSES = ["Pending", "Running", "Success", "Failure", "Canceled"];
export const isFinal = (job) => ["Success", "Failure", "Canceled"].includes(job.status);
export const jobLink = (id) => `#/jobs/${encodeURIComponent(id)}`;

export const badge = (status) => html`<span class="badge ${status}">${status}</span>`;

export const age = (text) =>
  text === undefined ? nothing : html`<time datetime=${text} title=${format.exactTime(text)}>${format.ago(text)}</time>`;

// The time of day first, for a page that is read more closely than a list.
export const moment = (text) =>
  text === undefined
    ? nothing
    : html`<time datetime=${text} title=${format.exactTime(text)}>${format.time(text)} <small>${format.ago(text)}</small></time>`;

const BRIEF = 600; // characters, of what may be a megabyte

// A text of which a row shows two lines, behind what else is in them.
const brief = (text, kind, before = nothing) =>
  html`<span class="brief ${kind}" title=${text.slice(0, BRIEF)}><span>${before}${text.slice(0, BRIEF)}</span></span>`;

export const fault = ({ type, message }) => brief(`${type}: ${message.slice(0, BRIEF)}`, "fault");

export function progress({ progress, status }) {
  if (progress === undefined || status === "Success") return nothing;
  const bar = html`<progress max="1" .value=${progress.fraction} aria-label="Progress"></progress> ${Math.round(progress.fraction * 100)} % `;
  return brief(progress.message ?? "", "progress", bar);
}

// A job that waits for its time says when that is.
export const waiting = (job) =>
  job.status === "Pending" && Date.parse(job.runAt) > Date.now()
    ? html`<span class="waits" title=${format.exactTime(job.runAt)}>runs ${format.until(job.runAt)}</span>`
    : nothing;

// -- ids -------------------------------------------------------------------------------------------------------------

const WHOLE = 18; // characters; a longer id shows its two ends, since ids made by the server begin with the time
const HEAD = 8;
const TAIL = 6;

// The middle is there for whoever selects, searches or hears the id; the style sheet shows three dots in its place.
export function shortId(id) {
  if (id.length <= WHOLE) return id;
  return html`${id.slice(0, HEAD)}<span class="middle">${id.slice(HEAD, -TAIL)}</span>${id.slice(-TAIL)}`;
}

export const shortened = (id) => (id.length <= WHOLE ? id : `${id.slice(0, HEAD)}…${id.slice(-TAIL)}`);

// -- copying ---------------------------------------------------------------------------------------------------------

const COPIED_MS = 1500;

async function copy(event, text) {
  event.stopPropagation();
  const button = event.currentTarget;
  try {
    await navigator.clipboard.writeText(text);
  } catch {
    copySelected(text); // a browser has that clipboard for https and this machine only
  }
  button.dataset.copied = "";
  document.querySelector("#said").textContent = "Copied";
  setTimeout(() => {
    delete button.dataset.copied;
    document.querySelector("#said").textContent = "";
  }, COPIED_MS);
}

function copySelected(text) {
  const area = document.createElement("textarea");
  area.value = text;
  area.className = "unseen";
  document.body.append(area);
  area.select();
  document.execCommand("copy");
  area.remove();
}

const SHEETS = svg`<path class="sheets" d="M5.5 5.5v-3h8v8h-3m-8-5h8v8h-8z"></path><path class="check" d="M3 8.5l3.5 3.5L13 4.5"></path>`;

export const copyButton = (text, what) => html`<button type="button" class="copy" title=${`Copy ${what}`} aria-label=${`Copy ${what}`}
  @click=${(event) => copy(event, text)}><svg viewBox="0 0 16 16" aria-hidden="true">${SHEETS}</svg></button>`;

// -- long values -----------------------------------------------------------------------------------------------------

const MOST = { lines: 30, characters: 3000 }; // that are shown whole
const LINES = 16; // of the beginning of a longer one
const CHARACTERS = 1600;

// A value in a frame; of a long one the beginning, and the rest on demand.
export function value(text, kind, what) {
  const lines = text.split("\n");
  const whole = html`<pre class=${kind}>${text}</pre>`;
  const copying = copyButton(text, what);
  if (lines.length <= MOST.lines && text.length <= MOST.characters) return html`<div class="value">${whole}${copying}</div>`;
  const beginning = lines.slice(0, LINES).join("\n").slice(0, CHARACTERS);
  const all = lines.length > LINES ? `all ${format.count(lines.length)} lines` : "all of it";
  return html`<div class="value folded">
    <details>
      <summary><span class="closed">Show ${all}, ${format.size(text.length)}</span><span class="opened">Show less</span></summary>
      ${whole}
    </details>
    <pre class="${kind} beginning">${beginning}</pre>
    ${copying}
  </div>`;
}
