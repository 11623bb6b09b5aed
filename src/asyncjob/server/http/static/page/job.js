// One job: what it was given, what became of it, its attempts on a time line, and what can be done with it.

import { html, nothing } from "./lit-html/lit-html.js";
import { api } from "./api.js";
import { duration, json } from "./format.js";
import { badge, isFinal, moment, progress } from "./parts.js";

export async function load(id) {
  const [job, attempts, deliveries] = await Promise.all([api.job(id), api.attempts(id), api.deliveries(id)]);
  return { job, attempts, deliveries };
}

function timeLine(attempts) {
  const spans = attempts
    .filter((attempt) => attempt.startedAt)
    .map((attempt) => [Date.parse(attempt.startedAt), attempt.finishedAt ? Date.parse(attempt.finishedAt) : Date.now()]);
  const begin = Math.min(...spans.map(([from]) => from));
  const all = Math.max(1, ...spans.map(([, to]) => to - begin));
  const share = (ms) => (ms / all) * 100;
  return (attempt) => {
    if (!attempt.startedAt) return nothing;
    const from = Date.parse(attempt.startedAt);
    const to = attempt.finishedAt ? Date.parse(attempt.finishedAt) : Date.now();
    const width = Math.max(0.8, share(to - from));
    return html`<svg class="line" viewBox="0 0 100 10" preserveAspectRatio="none" aria-hidden="true">
      <rect class=${attempt.status} x=${Math.min(share(from - begin), 100 - width)} width=${width} y="1" height="8" rx="1"></rect>
    </svg>`;
  };
}

function attemptsTable(attempts) {
  const line = timeLine(attempts);
  return html`<h2>Attempts</h2>
    <table class="attempts">
      <thead><tr><th>#</th><th>Status</th><th>Started</th><th>Took</th><th>Time line</th></tr></thead>
      <tbody>
        ${attempts.map(
          (attempt, index) => html`<tr>
            <td>${attempt.attempt}</td>
            <td>
              ${attempt.status === "Pending" && index < attempts.length - 1 ? "put back" : badge(attempt.status)}
              ${attempt.error ? html`<small>${attempt.error.type}</small>` : nothing}
            </td>
            <td>${moment(attempt.startedAt)}</td>
            <td>${attempt.startedAt ? duration(attempt.startedAt, attempt.finishedAt) : nothing}</td>
            <td class="wide">${line(attempt)}</td>
          </tr>`,
        )}
      </tbody>
    </table>`;
}

const fact = (name, value) => (value === nothing ? nothing : html`<div><dt>${name}</dt><dd>${value}</dd></div>`);

function deliveriesTable(deliveries) {
  return html`<h2>Notifications</h2>
    <table class="deliveries">
      <thead><tr><th>#</th><th>Status</th><th>To</th><th>Tries</th><th>Finished, or next try</th></tr></thead>
      <tbody>
        ${deliveries.map(
          (delivery) => html`<tr>
            <td>${delivery.attempt}</td>
            <td>${delivery.status} ${delivery.error ? html`<small>${delivery.error}</small>` : nothing}</td>
            <td class="wide">${delivery.url}</td>
            <td>${delivery.tries}</td>
            <td>${moment(delivery.finishedAt ?? delivery.nextTryAt)}</td>
          </tr>`,
        )}
      </tbody>
    </table>`;
}

export function view({ data: { job, attempts, deliveries }, act }) {
  return html`<p><a href="#/">← Jobs</a></p>
    <header class="job">
      <h1 class="id">${job.jobId}</h1>
      ${badge(job.status)} ${progress(job)}
      <span class="actions">
        <button ?disabled=${isFinal(job)} @click=${() => act(() => api.cancel(job.jobId))}>Cancel</button>
        <button ?disabled=${!isFinal(job)} @click=${() => act(() => api.retry(job.jobId))}>Retry</button>
      </span>
    </header>
    <dl class="facts">
      ${fact("Type", job.type)} ${fact("Created", moment(job.createdAt))} ${fact("Started", moment(job.startedAt))}
      ${fact("Finished", moment(job.finishedAt))}
      ${fact("Took", job.startedAt ? duration(job.startedAt, job.finishedAt) : nothing)}
    </dl>
    ${job.error
      ? html`<h2>Error</h2>
          <pre class="error"><b>${job.error.type}</b>: ${job.error.message}</pre>`
      : nothing}
    ${"results" in job ? html`<h2>Results</h2><pre class="results">${json(job.results)}</pre>` : nothing}
    <h2>Parameters</h2>
    <pre class="parameters">${json(job.parameters)}</pre>
    ${attemptsTable(attempts)} ${deliveries.length ? deliveriesTable(deliveries) : nothing}`;
}
