// The throughput of the last minutes: a bar for each moment, jobs that failed or were canceled at its foot.

import { html, svg } from "./lit-html/lit-html.js";
import { count } from "./format.js";

const HEIGHT = 40;
const ORDER = ["Failure", "Canceled", "Success"];

const sum = (counts) => ORDER.reduce((all, status) => all + counts[status], 0);

function bar(counts, index, most) {
  let top = HEIGHT;
  return ORDER.map((status) => {
    const height = (counts[status] / most) * HEIGHT;
    top -= height;
    return height ? svg`<rect class=${status} x=${index + 0.1} width="0.8" y=${top} height=${height}></rect>` : "";
  });
}

export function chart({ seconds, counts }) {
  const most = Math.max(1, ...counts.map(sum));
  const ended = counts.reduce((all, moment) => all + sum(moment), 0);
  const minutes = Math.round((seconds * counts.length) / 60);
  const text = `${count(ended)} ended in the last ${minutes} minutes, at most ${count(most === 1 && !ended ? 0 : most)} in ${seconds} s`;
  return html`<figure class="chart">
    <svg viewBox="0 0 ${counts.length} ${HEIGHT}" preserveAspectRatio="none" role="img" aria-label=${text}>
      ${counts.map((moment, index) => bar(moment, index, most))}
    </svg>
    <figcaption>${text}</figcaption>
  </figure>`;
}
