// A job's log: the lines that its function has logged and printed, as they come, and how its attempts ended.
//
// The server sends them on a stream of their own, all of them again to whoever comes back, and ends it with the job.

import { html, nothing } from "./lit-html/lit-html.js";
import { lineStream, logAddress } from "./api.js";
import { count, exactTime, time } from "./format.js";

const SHOWN = 1000; // lines; of more, the last ones
const DRAW_MS = 200;
const LEVELS = ["debug", "info", "warning", "error", "critical"];
const CHOICES = { debug: "All lines", info: "Info and above", warning: "Warnings and errors", error: "Errors" };

// id: the job. lines: all of them. level: the lowest to show. follows: whether the newest line is kept in sight.
const log = { id: undefined, lines: [], level: "debug", follows: true, source: undefined, redraw: () => {}, timer: undefined };

const isAfter = (line, last) =>
  last === undefined || line.attempt > last.attempt || (line.attempt === last.attempt && line.number > last.number);

function take(line) {
  if (!isAfter(line, log.lines.at(-1))) return;
  log.lines.push(line);
  log.timer ??= setTimeout(() => {
    log.timer = undefined;
    log.redraw();
  }, DRAW_MS);
}

// Follow a job's log, from when its page is loaded; once more when the job runs again.
export function follow(id, isOver) {
  if (log.id !== id) {
    leave();
    Object.assign(log, { id, lines: [], level: "debug", follows: !isOver });
  }
  if (log.source === undefined && document.visibilityState === "visible") {
    log.source = lineStream(id, take, () => (log.source = undefined));
  }
}

export function leave() {
  log.source?.close();
  clearTimeout(log.timer);
  Object.assign(log, { id: undefined, source: undefined, timer: undefined });
}

// A browser has few connections to one server for all its tabs. The page is loaded again when it is seen again.
document.addEventListener("visibilitychange", () => {
  if (document.visibilityState === "visible") return;
  log.source?.close();
  log.source = undefined;
});

// -- showing ---------------------------------------------------------------------------------------------------------

const traceback = (text) =>
  text === undefined ? nothing : html`<details><summary>Traceback</summary><pre>${text}</pre></details>`;

const row = (line) => html`<li class=${line.level}>
  <time datetime=${line.at} title=${exactTime(line.at)}>${time(line.at)}</time>
  <span class="level">${line.level}</span>
  <span class="logger" title=${line.logger}>${line.logger}</span>
  <div class="message">${line.message}${traceback(line.traceback)}</div>
</li>`;

const note = (text) => html`<li class="note">${text}</li>`;

// All but the first so many lines of at least that level, and what there is to say between lines.
function rows(lines, least, hidden) {
  const found = [];
  let attempt = lines[0]?.attempt;
  const isOne = attempt === lines.at(-1)?.attempt;
  if (!isOne) found.push(note(`Attempt ${attempt}`));
  for (const line of lines) {
    if (line.attempt !== attempt) found.push(note(`Attempt ${(attempt = line.attempt)}`));
    if (line.leftOut) found.push(note(`${count(line.leftOut)} lines left out`));
    if (LEVELS.indexOf(line.level) >= least && hidden-- <= 0) found.push((line.row ??= row(line)));
  }
  return found;
}

function stick() {
  const box = document.querySelector(".log ol");
  if (box && log.follows) box.scrollTop = box.scrollHeight;
}

function scrolled({ currentTarget: box }) {
  const follows = box.scrollHeight - box.scrollTop - box.clientHeight < 8;
  if (follows === log.follows) return;
  log.follows = follows;
  log.redraw();
}

function chosen(change) {
  Object.assign(log, change);
  log.redraw();
}

const controls = (isOver) => html`<span class="choices">
  ${isOver ? nothing : html`<label><input type="checkbox" .checked=${log.follows} @change=${(event) => chosen({ follows: event.target.checked })} /> Follow</label>`}
  <label><span class="unseen">Level</span><select @change=${(event) => chosen({ level: event.target.value })}>
    ${Object.entries(CHOICES).map(([level, name]) => html`<option value=${level} ?selected=${level === log.level}>${name}</option>`)}
  </select></label>
  <a href=${logAddress(log.id)}>JSON</a>
</span>`;

export function view(id, isOver, redraw) {
  log.redraw = redraw;
  if (log.id !== id || !log.lines.length) return nothing;
  queueMicrotask(stick);
  const least = LEVELS.indexOf(log.level);
  const hidden = log.lines.filter((line) => LEVELS.indexOf(line.level) >= least).length - SHOWN;
  const shown = rows(log.lines, least, hidden);
  return html`<section class="log" aria-label="Log">
    <div class="head"><h2>Log <small>${count(log.lines.length)} ${log.lines.length === 1 ? "line" : "lines"}</small></h2>${controls(isOver)}</div>
    <ol tabindex="0" aria-label="Lines" @scroll=${scrolled}>
      ${hidden > 0 ? note(`Not shown: ${count(hidden)} earlier`) : nothing} ${shown}
      ${shown.length ? nothing : note("No line of this level")}
    </ol>
  </section>`;
}
