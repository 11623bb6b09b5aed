// The list of jobs: counts and throughput, filters, and a table of one page, the newest first.

import { html, nothing } from "./lit-html/lit-html.js";
import { repeat } from "./lit-html/directives/repeat.js";
import { api } from "./api.js";
import { chart } from "./chart.js";
import { empty } from "./empty.js";
import { address, chips, form, given } from "./filters.js";
import { between } from "./format.js";
import { STATUSES, age, badge, copyButton, fault, jobLink, progress, shortId, shortened, waiting } from "./parts.js";

const LIMIT = 50;

// `found` is the job that the id names, whatever the other filters say.
async function page({ id, status, type, cursor }) {
  if (!id) {
    const query = { limit: LIMIT, status, type, cursor };
    return api.jobs(Object.entries(query).filter(([, value]) => value));
  }
  const found = await api.jobIfAny(id);
  const matches = found && (!status || found.status === status) && (!type || found.type === type);
  return { found, jobs: matches ? [found] : [] };
}

export async function load(filters) {
  const [listed, stats] = await Promise.all([page(filters), api.stats(filters.type)]);
  // An empty page may mean that there is nothing at all, or nothing of that type.
  const all = !listed.jobs.length && filters.type ? await api.stats() : stats;
  const hasAny = STATUSES.some((status) => all.jobs[status]) || listed.jobs.length > 0;
  return { ...listed, stats, hasAny, filters };
}

export const title = (_, filters) => (given(filters).length ? `Jobs: ${given(filters).map(shortened).join(", ")}` : "Jobs");

// The counts of what is shown: one job, where an id is asked for.
const counts = (filters, { jobs, stats }) =>
  filters.id ? Object.fromEntries(STATUSES.map((status) => [status, jobs.filter((job) => job.status === status).length])) : stats.jobs;

const what = (job) => (job.error ? fault(job.error) : html`${waiting(job)}${progress(job)}`);

// A click anywhere in a row opens the job, unless it was meant for a link or a button, or selected text.
const opens = (id) => (event) => {
  if (!event.target.closest("a, button") && getSelection().isCollapsed) location.hash = jobLink(id);
};

const row = (job) => html`<tr @click=${opens(job.jobId)}>
  <td class="status">${badge(job.status)}</td>
  <td class="type">${job.type}</td>
  <td class="what">${what(job)}</td>
  <td class="number age">${age(job.createdAt)}</td>
  <td class="number took">${job.startedAt ? between(job.startedAt, job.finishedAt) : nothing}</td>
  <td class="number attempts ${job.attempt === 1 ? "first" : ""}">${job.attempt}</td>
  <td class="id"><a href=${jobLink(job.jobId)} title=${job.jobId}>${shortId(job.jobId)}</a>${copyButton(job.jobId, `the id ${job.jobId}`)}</td>
</tr>`;

const table = (jobs) => html`<table class="jobs">
  <thead>
    <tr>
      <th>Status</th><th>Type</th><th>Progress or error</th><th class="number">Submitted</th><th class="number">Ran for</th>
      <th class="number">Attempt</th><th>Id</th>
    </tr>
  </thead>
  <tbody>${repeat(jobs, (job) => job.jobId, row)}</tbody>
</table>`;

// `asked` is what the address says now. Until the server has answered, the data is still that of the filters before, and
// nothing is said of it that holds only for others.
export function view({ data, filters: asked, functions, session, go, redraw }) {
  const { jobs, next, stats, hasAny, found, filters } = data;
  const none = empty({ filters, found, hasAny, functions, keyNeeded: session.keyNeeded });
  if (!hasAny && !given(asked).length) return html`<h1>Jobs</h1>${none}`;
  return html`<h1>Jobs</h1>
    <section class="bar" aria-label="Filters">${chips(asked, counts(filters, data))} ${form(asked, [...functions.keys()], { go, redraw })}</section>
    ${filters.id ? nothing : chart(stats.ended, filters)}
    ${jobs.length ? table(jobs) : next ? html`<p class="empty">None among the newest jobs; there are older ones.</p>` : none}
    <nav class="pages" aria-label="Pages">
      ${filters.cursor ? html`<a href=${address({ ...filters, cursor: undefined })}>Newest</a>` : nothing}
      ${next ? html`<a rel="next" href=${address({ ...filters, cursor: next })}>Older</a>` : nothing}
    </nav>`;
}
