// What a list without jobs says: there are none yet, none match, or there is no job with that id.

import { html } from "./lit-html/lit-html.js";
import { API } from "./api.js";
import { address } from "./filters.js";
import { copyButton, jobLink } from "./parts.js";
import { exampleOf } from "./schema.js";

const box = (title, text) => html`<section class="empty"><h2>${title}</h2>${text}</section>`;
const everything = html`<a href="#/">Show all jobs</a>`;

// For a POSIX shell, where a quote within quotes is written '\''.
const quoted = (text) => `'${text.replaceAll("'", "'\\''")}'`;

function curl(functions, keyNeeded) {
  const [[type, { fields }]] = functions;
  const example = { type, ...exampleOf(fields) };
  const key = keyNeeded ? ' -H "x-api-key: $ASYNCJOB_API_KEY"' : "";
  return `curl ${new URL("jobs", API)}${key} -H 'content-type: application/json' -d ${quoted(JSON.stringify(example))}`;
}

function noJobs(functions, keyNeeded) {
  const line = curl(functions, keyNeeded);
  return box(
    "No jobs yet",
    html`<p><a class="button primary" href="#/submit">Submit a job</a></p>
      <p>or from a shell:</p>
      <div class="value"><pre class="curl">${line}</pre>${copyButton(line, "the command")}</div>`,
  );
}

export function empty({ filters, found, hasAny, functions, keyNeeded }) {
  if (filters.id && found === undefined) {
    return box(
      "No such job",
      html`<p>There is no job with the id <code>${filters.id}</code>: it was never submitted here, or has been deleted.</p><p>${everything}</p>`,
    );
  }
  if (filters.id) {
    return box(
      "Nothing matches",
      html`<p><a href=${jobLink(filters.id)}>The job <code>${filters.id}</code></a> has another status or type: it is ${found.type}, ${found.status}.</p><p>${everything}</p>`,
    );
  }
  if (!hasAny) return noJobs(functions, keyNeeded);
  if (filters.cursor) return box("No older jobs", html`<p><a href=${address({ ...filters, cursor: undefined })}>Show the newest</a></p>`);
  const what = [filters.status, "job", filters.type ? `of type ${filters.type}` : ""].filter(Boolean).join(" ");
  return box("Nothing matches", html`<p>There is no ${what}.</p><p>${everything}</p>`);
}
