// When the attempts of a job waited and ran, on one scale, which begins when the job was submitted.

import { html, nothing, svg } from "./lit-html/lit-html.js";
import { count, duration } from "./format.js";

const SHOWN = 20; // attempts; of more, the last ones
const TICKS = 6; // at most
const STEPS = [1, 2, 5, 10, 20, 50, 100, 200, 500].concat(
  [1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 21600, 43200, 86400].map((seconds) => seconds * 1000),
);

// The spans of each attempt: how long it waited, which ends where it started or was given up, and how long it ran.
function spans(job, attempts) {
  let end = Date.parse(job.createdAt);
  return attempts.map((attempt) => {
    const waited = end;
    const over = attempt.finishedAt ? Date.parse(attempt.finishedAt) : Date.now();
    const started = attempt.startedAt ? Date.parse(attempt.startedAt) : over;
    end = Math.max(started, over);
    return { attempt, waited, started, over: end };
  });
}

function ticks(whole) {
  const step = STEPS.find((each) => whole / each <= TICKS) ?? Math.ceil(whole / TICKS / 86_400_000) * 86_400_000;
  return Array.from({ length: Math.floor(whole / step) + 1 }, (_, index) => index * step);
}

export function timeLine(job, attempts) {
  const all = spans(job, attempts);
  const shown = all.slice(-SHOWN);
  const begin = shown[0].waited;
  const whole = Math.max(1, shown.at(-1).over - begin);
  const share = (ms) => (ms / whole) * 100;
  const marks = ticks(whole).map((ms) => ({ ms, at: share(ms) }));
  const lines = marks.map(({ at }) => svg`<line x1="${at}%" x2="${at}%" y1="0" y2="100%"></line>`);
  const row = ({ attempt, waited, started, over }) => {
    const width = Math.max(0.6, share(over - started));
    const from = Math.min(share(started - begin), 100 - width);
    return html`<span class="number">${attempt.attempt}</span>
      <svg class="line" aria-hidden="true">
        ${lines}<rect class="wait" x="${share(waited - begin)}%" width="${Math.max(0, from - share(waited - begin))}%" y="8" height="4"></rect>
        ${attempt.startedAt ? svg`<rect class=${attempt.status} x="${from}%" width="${width}%" y="3" height="14" rx="2"></rect>` : nothing}
      </svg>`;
  };
  const anchor = (at) => (at < 4 ? "start" : at > 92 ? "end" : "middle");
  return html`<h2>Time line</h2>
    <figure class="timeline" role="img" aria-label="Waiting and running, ${duration(whole)} in all">
      ${shown.map(row)}
      <span></span>
      <svg class="scale" aria-hidden="true">
        ${marks.map(({ ms, at }) => svg`<text x="${at}%" y="13" text-anchor=${anchor(at)}>${ms ? duration(ms) : "0"}</text>`)}
      </svg>
    </figure>
    <p class="hint">
      ${shown.length < all.length ? `The last ${SHOWN} of ${count(all.length)} attempts, ` : "Time "}since ${shown.length < all.length
        ? "the one before them ended"
        : "the job was submitted"}: a thin line while it waited, a bar while it ran.
    </p>`;
}
