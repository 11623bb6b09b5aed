// What more than one view shows.

import { html, nothing } from "./lit-html/lit-html.js";
import * as format from "./format.js";

export const STATUSES = ["Pending", "Running", "Success", "Failure", "Canceled"];
export const isFinal = (job) => ["Success", "Failure", "Canceled"].includes(job.status);
export const jobLink = (id) => `#/jobs/${encodeURIComponent(id)}`;

export const badge = (status) => html`<span class="badge ${status}">${status}</span>`;

export const moment = (text) =>
  text === undefined ? nothing : html`<time datetime=${text} title=${text}>${format.time(text)}</time>`;

export const progress = (job) =>
  job.progress === undefined || job.status === "Success"
    ? nothing
    : html`<span class="progress"
        ><progress max="1" .value=${job.progress.fraction} aria-label="Progress"></progress>
        ${Math.round(job.progress.fraction * 100)} % ${job.progress.message ?? nothing}</span
      >`;
