// One job: what it was given, what became of it, its attempts on a time line, and what can be done with it.

import { html, nothing } from "./lit-html/lit-html.js";
import { api } from "./api.js";
import * as log from "./log.js";
import { between, count, exactTime, json, time, until } from "./format.js";
import { badge, copyButton, fault, isFinal, moment, progress, shortened, value, waiting } from "./parts.js";
import { timeLine } from "./timeline.js";

export async function load(id) {
  const job = await api.jobIfAny(id);
  if (!job) return { missing: id };
  log.follow(id, isFinal(job));
  const [attempts, deliveries] = await Promise.all([api.attempts(id), api.deliveries(id)]);
  // Written out once and not at each drawing: a value may have a megabyte.
  return { job, attempts, deliveries, parameters: json(job.parameters), results: "results" in job ? json(job.results) : undefined };
}

export const leave = log.leave;

export const title = ({ job, missing }) =>
  job ? `${job.status}: ${job.type} ${shortened(job.jobId)}` : `No job ${shortened(missing)}`;

// -- its attempts and notifications ----------------------------------------------------------------------------------

const SHOWN = 50; // rows; of more, the last ones

const heading = (text, rows) => html`<h2>${text}${rows.length > SHOWN ? html` <small>the last ${SHOWN} of ${count(rows.length)}</small>` : nothing}</h2>`;

function attemptsTable(attempts) {
  return html`${heading("Attempts", attempts)}
    <table class="attempts">
      <thead><tr><th class="number">#</th><th>Status</th><th>Error</th><th>Started</th><th class="number">Ran for</th></tr></thead>
      <tbody>
        ${attempts.slice(-SHOWN).map(
          (attempt) => html`<tr>
            <td class="number">${attempt.attempt}</td>
            <td class="status">${attempt.status === "Pending" && attempt !== attempts.at(-1) ? "put back" : badge(attempt.status)}</td>
            <td class="what">${attempt.error ? fault(attempt.error) : nothing}</td>
            <td class="age">${moment(attempt.startedAt)}</td>
            <td class="number took">${attempt.startedAt ? between(attempt.startedAt, attempt.finishedAt) : nothing}</td>
          </tr>`,
        )}
      </tbody>
    </table>`;
}

function deliveriesTable(deliveries) {
  return html`${heading("Notifications", deliveries)}
    <table class="deliveries">
      <thead><tr><th class="number">Attempt</th><th>Status</th><th>To</th><th class="number">Tries</th><th>Finished, or next try</th></tr></thead>
      <tbody>
        ${deliveries.slice(-SHOWN).map(
          (delivery) => html`<tr>
            <td class="number">${delivery.attempt}</td>
            <td class="status">${delivery.status} ${delivery.error ? html`<small>${delivery.error}</small>` : nothing}</td>
            <td class="what">${delivery.url}</td>
            <td class="number">${delivery.tries}</td>
            <td class="age">${moment(delivery.finishedAt ?? delivery.nextTryAt)}</td>
          </tr>`,
        )}
      </tbody>
    </table>`;
}

// -- the job ---------------------------------------------------------------------------------------------------------

const fact = (name, shown) => (shown === nothing || shown === undefined ? nothing : html`<div><dt>${name}</dt><dd>${shown}</dd></div>`);

// How long it waited for its first start, from when it could have started; not for one that was canceled before that.
function waited(job, attempts) {
  const from = job.runAt > job.createdAt ? job.runAt : job.createdAt;
  const first = attempts.find((attempt) => attempt.startedAt)?.startedAt;
  if (first) return between(from, first);
  return isFinal(job) || Date.parse(from) > Date.now() ? nothing : between(from);
}

const runsAt = ({ runAt }) =>
  runAt === undefined ? nothing : html`<time datetime=${runAt} title=${exactTime(runAt)}>${time(runAt)} <small>${until(runAt)}</small></time>`;

const facts = (job, attempts) => html`<dl class="facts">
  ${fact("Submitted", moment(job.createdAt))}
  ${Date.parse(job.runAt) > Date.now() ? fact("Runs", runsAt(job)) : nothing}
  ${fact(attempts.some((attempt) => attempt.startedAt) || isFinal(job) ? "Waited" : "Waiting for", waited(job, attempts))}
  ${fact("Started", moment(job.startedAt))}
  ${fact(job.finishedAt ? "Ran for" : "Running for", job.startedAt ? between(job.startedAt, job.finishedAt) : nothing)}
  ${fact("Finished", moment(job.finishedAt))} ${fact("Attempt", job.attempt)} ${fact("Priority", job.priority)}
</dl>`;

async function remove({ jobId }, go, back) {
  if (!confirm("Delete this job for good?")) return;
  await api.remove(jobId);
  go(back);
}

function actions(job, { act, go, back }) {
  return html`<span class="actions">
    ${waiting(job) === nothing ? nothing : html`<button @click=${() => act(() => api.runNow(job.jobId))}>Run now</button>`}
    <button class="danger" ?disabled=${isFinal(job)} @click=${() => act(() => api.cancel(job.jobId))}>Cancel</button>
    <button class="primary" ?disabled=${!isFinal(job)} @click=${() => act(() => api.retry(job.jobId))}>Retry</button>
    ${isFinal(job) ? html`<button class="danger" @click=${() => act(() => remove(job, go, back))}>Delete</button>` : nothing}
    <a class="button" href=${`#/submit?${new URLSearchParams({ type: job.type, from: job.jobId })}`}>Submit again with changes</a>
  </span>`;
}

const missingJob = (id, back) => html`<h1>No such job</h1>
  <p>There is no job with the id <code>${id}</code>: it was never submitted here, or has been deleted.</p>
  <p><a href=${back}>Back to the jobs</a></p>`;

export function view({ data, act, redraw, go, back }) {
  const { job, missing, attempts, deliveries, parameters, results } = data;
  if (!job) return missingJob(missing, back);
  return html`<p class="crumbs"><a href=${back}>← Jobs</a></p>
    <header class="job">
      <h1>${job.type}</h1>
      ${badge(job.status)} ${waiting(job)} ${progress(job)} ${actions(job, { act, go, back })}
      <p class="id">${job.jobId} ${copyButton(job.jobId, "the id")}</p>
    </header>
    ${facts(job, attempts)}
    ${job.error
      ? html`<h2>Error</h2>
          ${value(`${job.error.type}: ${job.error.message}`, "error", "the error")}`
      : nothing}
    ${results === undefined ? nothing : html`<h2>Results</h2>${value(results, "results", "the results")}`}
    <h2>Parameters</h2>
    ${value(parameters, "parameters", "the parameters")} ${log.view(job.jobId, isFinal(job), redraw)} ${timeLine(job, attempts)} ${attemptsTable(attempts)}
    ${deliveries.length ? deliveriesTable(deliveries) : nothing}`;
}
