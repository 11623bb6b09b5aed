// The throughput of the last minutes: a bar for each moment, jobs that failed or were canceled at its foot.

import { html, nothing, svg } from "./lit-html/lit-html.js";
import { clock, count } from "./format.js";

const HEIGHT = 56; // pixels, as in the style sheet
const ORDER = ["Failure", "Canceled", "Success"];

const sum = (counts) => ORDER.reduce((all, status) => all + (counts[status] ?? 0), 0);

// The end of the axis: the next of 1, 2, 5, 10, 20, 50, ...
function top(most) {
  for (let unit = 1; ; unit *= 10) for (const step of [1, 2, 5]) if (step * unit >= most) return step * unit;
}

function bar(counts, index, share, end, when) {
  let y = HEIGHT;
  const parts = ORDER.map((status) => {
    const height = counts[status] ? Math.max(2, (counts[status] / end) * HEIGHT) : 0;
    y -= height;
    return height
      ? svg`<rect class=${status} x="${(index + 0.1) * share}%" width="${0.8 * share}%" y=${y} height=${height}></rect>`
      : nothing;
  });
  const told = ORDER.filter((status) => counts[status]).map((status) => `${count(counts[status])} ${status}`);
  return svg`<g>
    <rect class="back" x="${index * share}%" width="${share}%" y="0" height=${HEIGHT}></rect>
    ${parts}<title>${when}: ${told.join(", ") || "none"}</title>
  </g>`;
}

// Of one status, where a list is filtered by it and jobs can end with it.
const only = (status, moment) => (ORDER.includes(status) ? { [status]: moment[status] } : moment);

export function chart({ seconds, counts: all }, { status, type }) {
  const counts = all.map((moment) => only(status, moment));
  const end = top(Math.max(1, ...counts.map(sum)));
  const ended = counts.reduce((total, moment) => total + sum(moment), 0);
  const minutes = Math.round((seconds * counts.length) / 60);
  const share = 100 / counts.length;
  const began = (index) => clock(new Date(Date.now() - (counts.length - 1 - index) * seconds * 1000));
  const of = (one) => counts.reduce((total, moment) => total + (moment[one] ?? 0), 0);
  const told = ORDER.toReversed().filter(of);
  const kind = [ORDER.includes(status) ? status : "", ended === 1 ? "job" : "jobs", type ? `of type ${type}` : ""];
  const what = [ended ? count(ended) : "No", ...kind].filter(Boolean).join(" ");
  return html`<figure class="chart">
    <figcaption>
      <span><b>${what}</b> ended in the last ${minutes} minutes</span>
      ${told.map((status) => html`<span class="key ${status}">${count(of(status))} ${status}</span>`)}
      <span class="unit">each bar is ${seconds} s</span>
    </figcaption>
    <div class="ends" aria-hidden="true"><span>${count(end)}</span><span>0</span></div>
    <svg class="plot" role="img" aria-label="Ended jobs in each ${seconds} seconds, at most ${count(Math.max(...counts.map(sum)))}">
      ${counts.map((moment, index) => bar(moment, index, share, end, began(index)))}
    </svg>
    <div class="times" aria-hidden="true"><span>${minutes} min ago</span><span>${minutes / 2} min ago</span><span>now</span></div>
  </figure>`;
}
