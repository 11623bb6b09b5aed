// The schedules: when each is due, which job it has begun last, and buttons to run and to pause it.

import { html, nothing } from "./lit-html/lit-html.js";
import { repeat } from "./lit-html/directives/repeat.js";
import { api } from "./api.js";
import * as format from "./format.js";
import { age, badge, fault, jobLink } from "./parts.js";

export const load = async () => ({ schedules: await api.schedules() });

export const title = () => "Schedules";

const when = ({ cron, tz, every }) =>
  cron === undefined ? `every ${format.duration(every * 1000)}` : html`<code>${cron}</code> ${tz}`;

const next = ({ paused, nextRunAt }) => {
  if (paused) return html`<span class="waits">paused</span>`;
  if (nextRunAt === undefined) return "never";
  return html`<time datetime=${nextRunAt} title=${format.exactTime(nextRunAt)}>${format.until(nextRunAt)}</time>`;
};

const last = ({ lastRun }) =>
  lastRun === undefined
    ? nothing
    : html`<a href=${jobLink(lastRun.jobId)} title=${lastRun.jobId}>${badge(lastRun.status)}</a> ${age(lastRun.runAt)}
        ${lastRun.error ? fault(lastRun.error) : nothing}`;

const buttons = ({ scheduleId, paused }, act) => html`<button @click=${() => act(() => api.runSchedule(scheduleId))}>Run now</button>
  ${paused
    ? html`<button @click=${() => act(() => api.resumeSchedule(scheduleId))}>Resume</button>`
    : html`<button @click=${() => act(() => api.pauseSchedule(scheduleId))}>Pause</button>`}`;

const row = (act) => (schedule) => html`<tr>
  <td class="type">${schedule.scheduleId}${schedule.scheduleId === schedule.type ? nothing : html` <small>${schedule.type}</small>`}</td>
  <td class="when">${when(schedule)}</td>
  <td class="age">${next(schedule)}</td>
  <td class="what">${last(schedule)}</td>
  <td class="choices">${buttons(schedule, act)}</td>
</tr>`;

const none = html`<section class="empty">
  <h2>No schedules</h2>
  <p>Write <code>@jobs.job(schedule=Every("15m"))</code> above a function, or <code>asyncjob schedules put ID --every 15m</code> in a shell.</p>
</section>`;

export const view = ({ data, act }) => html`<h1>Schedules</h1>
  ${data.schedules.length
    ? html`<table class="schedules">
        <thead><tr><th>Schedule</th><th>When</th><th>Next</th><th>Last job</th><th><span class="unseen">Actions</span></th></tr></thead>
        <tbody>${repeat(data.schedules, (schedule) => schedule.scheduleId, row(act))}</tbody>
      </table>`
    : none}`;
