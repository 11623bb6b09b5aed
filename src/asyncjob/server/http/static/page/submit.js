// The form that submits a job, made from the schema of its function.

import { html, nothing } from "./lit-html/lit-html.js";
import { api } from "./api.js";
import { clear, draft, place, read, wrong } from "./draft.js";
import { fieldView } from "./field.js";
import { jobLink, shortened } from "./parts.js";
import { functions } from "./schema.js";

// `from` is the job whose parameters the form begins with.
export async function load({ from } = {}) {
  const [document, job] = await Promise.all([api.document(), from ? api.jobToCopy(from) : undefined]);
  return { functions: functions(document), job };
}

// What the job shows of its options: how urgent it is, and times that are still ahead. Who was notified it does not show.
function options({ priority, runAt, startBy }) {
  const ahead = (text) => (Date.parse(text) > Date.now() ? text.replace(/\.\d+Z$/, "Z") : undefined);
  const shown = Object.entries({ priority, runAt: ahead(runAt), startBy: ahead(startBy) }).filter(([, value]) => value !== undefined);
  return shown.length ? Object.fromEntries(shown) : undefined;
}

// The values that the form begins with. Parameters of a function that takes no options here stay alone.
function values(job, fields) {
  const given = fields.some(({ name }) => name === "options") ? options(job) : undefined;
  return given ? { ...job.parameters, options: given } : job.parameters;
}

const chosen = ({ functions }, { type }) => (functions.has(type) ? type : [...functions.keys()][0]);

export const title = (data, filters) => `Submit ${chosen(data, filters)}`;

let current = { name: undefined, root: undefined }; // what is being entered, until another form is asked for

function entered(data, type) {
  const name = `${type} ${data.job?.jobId ?? ""}`;
  if (current.name !== name) {
    const field = { name: "", kind: "object", required: true, schema: {}, fields: data.functions.get(type).fields };
    const given = data.job?.type === type ? values(data.job, field.fields) : undefined;
    current = { name, root: draft(field, given) };
    if (!current.root.children) current = { name, root: draft(field) }; // the function has changed since
  }
  return current.root;
}

function focusFirstWrong() {
  const first = document.querySelector("[aria-invalid=true], fieldset:has(> .wrong) button");
  first?.closest("details")?.setAttribute("open", "");
  first?.focus();
}

async function send(root, type, { go, redraw }) {
  clear(root);
  const request = { type, ...read(root) };
  try {
    if (wrong(root).length) return;
    const { jobId } = await api.submit(request);
    current = { name: undefined, root: undefined };
    go(jobLink(jobId));
  } catch (error) {
    if (!place(root, error)) throw error;
  } finally {
    redraw();
    focusFirstWrong();
  }
}

export function view({ data, filters, go, act, redraw }) {
  const type = chosen(data, filters);
  const root = entered(data, type);
  const { description } = data.functions.get(type);
  const submit = (event) => {
    event.preventDefault();
    act(() => send(root, type, { go, redraw }));
  };
  const change = (event) => go(`#/submit?${new URLSearchParams({ type: event.target.value })}`);
  const missing = wrong(root).length;
  return html`<h1>Submit a job</h1>
    ${data.job ? html`<p class="hint">With the parameters, and the options that can be seen, of <a href=${jobLink(data.job.jobId)}>${shortened(data.job.jobId)}</a>, as a new job.</p>` : nothing}
    <form class="submit" novalidate @submit=${submit}>
      <div class="field">
        <label for="type">Type</label>
        <select id="type" name="type" @change=${change}>
          ${[...data.functions.keys()].map((name) => html`<option .selected=${name === type}>${name}</option>`)}
        </select>
        ${description ? html`<small class="hint">${description}</small>` : nothing}
      </div>
      ${root.children.map((node) => fieldView(node, `$.${node.field.name}`, redraw))}
      <p class="send">
        <button class="primary">Submit</button>
        ${missing ? html`<span class="wrong" role="alert">${missing === 1 ? "One field needs" : `${missing} fields need`} another look.</span>` : nothing}
      </p>
    </form>`;
}
