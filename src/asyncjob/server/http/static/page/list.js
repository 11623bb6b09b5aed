// The list of jobs: counts and throughput, filters, and a table of one page, the newest first.

import { html, nothing } from "./lit-html/lit-html.js";
import { repeat } from "./lit-html/directives/repeat.js";
import { api } from "./api.js";
import { chart } from "./chart.js";
import { count, duration } from "./format.js";
import { STATUSES, badge, jobLink, moment, progress } from "./parts.js";

const LIMIT = 50;
const FILTERS = ["status", "type", "id", "cursor"];

export function address(filters) {
  const given = Object.entries(filters).filter(([name, value]) => FILTERS.includes(name) && value);
  return given.length ? `#/?${new URLSearchParams(given)}` : "#/";
}

async function page({ id, status, type, cursor }) {
  if (!id) {
    const query = { limit: LIMIT, status, type, cursor };
    return api.jobs(Object.entries(query).filter(([, value]) => value));
  }
  try {
    const job = await api.job(id);
    return { jobs: (!status || job.status === status) && (!type || job.type === type) ? [job] : [] };
  } catch (error) {
    if (error.status === 404) return { jobs: [] };
    throw error;
  }
}

export async function load(filters) {
  const [found, stats] = await Promise.all([page(filters), api.stats()]);
  return { ...found, stats };
}

const chip = (filters, status, number) => html`<a
  class="chip ${status ?? "All"}"
  href=${address({ ...filters, status, cursor: undefined })}
  aria-current=${(filters.status ?? "") === (status ?? "") ? "true" : nothing}
  >${status ?? "All"} <b>${count(number)}</b></a
>`;

function filterForm(filters, types, go) {
  const changed = (event) => {
    event.preventDefault();
    const { type, id } = event.currentTarget.elements;
    go(address({ ...filters, type: type.value, id: id.value.trim(), cursor: undefined }));
  };
  return html`<form class="filters" role="search" @submit=${changed} @change=${changed}>
    <label>Type
      <select name="type">
        <option value="">All</option>
        ${types.map((type) => html`<option ?selected=${type === filters.type}>${type}</option>`)}
      </select>
    </label>
    <label>Id <input name="id" type="search" .value=${filters.id ?? ""} placeholder="the whole id  ( / )" autocapitalize="off" spellcheck="false" /></label>
    <button>Find</button>
  </form>`;
}

const row = (job) => html`<tr>
  <td>${badge(job.status)}</td>
  <td class="id"><a href=${jobLink(job.jobId)}>${job.jobId}</a></td>
  <td class="type">${job.type}</td>
  <td class="what">${job.error ? html`${job.error.type}: ${job.error.message}` : progress(job)}</td>
  <td class="number">${job.attempt > 1 ? html`<span title="attempts">${job.attempt}×</span>` : nothing}</td>
  <td class="number">${job.startedAt ? duration(job.startedAt, job.finishedAt) : nothing}</td>
  <td class="number">${moment(job.createdAt)}</td>
</tr>`;

export function view({ data, filters, types, go }) {
  const { jobs, next, stats } = data;
  const all = STATUSES.reduce((total, status) => total + stats.jobs[status], 0);
  return html`<h1>Jobs</h1>
    <section class="stats" aria-label="Counts">
      <nav class="chips" aria-label="Status">
        ${chip(filters, undefined, all)} ${STATUSES.map((status) => chip(filters, status, stats.jobs[status]))}
      </nav>
      ${chart(stats.ended)}
    </section>
    ${filterForm(filters, types, go)}
    ${jobs.length
      ? html`<table class="jobs">
          <thead>
            <tr><th>Status</th><th>Id</th><th>Type</th><th></th><th>Attempts</th><th>Took</th><th>Created</th></tr>
          </thead>
          <tbody>${repeat(jobs, (job) => job.jobId, row)}</tbody>
        </table>`
      : html`<p class="empty">No such jobs.</p>`}
    <nav class="pages" aria-label="Pages">
      ${filters.cursor ? html`<a href=${address({ ...filters, cursor: undefined })}>Newest</a>` : nothing}
      ${next ? html`<a rel="next" href=${address({ ...filters, cursor: next })}>Older</a>` : nothing}
    </nav>`;
}
