// The form that submits a job, made from the schema of its function.

import { html, nothing } from "./lit-html/lit-html.js";
import { api } from "./api.js";
import { jobLink } from "./parts.js";
import { functions, value } from "./schema.js";

export async function load() {
  return functions(await api.document());
}

const options = (field, choices) => html`<select name=${`p.${field.name}`} ?required=${field.required}>
  <option value="">${field.required ? "choose" : "default"}</option>
  ${choices.map((choice) => html`<option value=${String(choice)}>${String(choice)}</option>`)}
</select>`;

function input(field) {
  const { schema, required, kind } = field;
  const hint = field.default === undefined || field.default === null ? "" : JSON.stringify(field.default);
  const name = `p.${field.name}`;
  if (kind === "choice") return options(field, schema.enum);
  if (kind === "boolean") return options(field, [true, false]);
  if (kind === "number") {
    const step = schema.type === "integer" ? "1" : "any";
    return html`<input name=${name} type="number" step=${step} placeholder=${hint} ?required=${required}
      min=${schema.minimum ?? nothing} max=${schema.maximum ?? nothing} />`;
  }
  if (kind === "text") {
    return html`<input name=${name} placeholder=${hint || (schema.examples?.[0] ?? "")} autocapitalize="off"
      minlength=${schema.minLength ?? nothing} maxlength=${schema.maxLength ?? nothing} />`;
  }
  return html`<textarea name=${name} rows="3" placeholder=${hint || "JSON"} ?required=${required} spellcheck="false"
    @input=${(event) => event.target.setCustomValidity("")}></textarea>`;
}

// The body of the request; undefined where a field has no valid JSON, which the form then says.
function body(form, type, fields) {
  const found = { type };
  for (const field of fields) {
    const element = form.elements[`p.${field.name}`];
    try {
      const given = value(field, element.value);
      if (given !== undefined) found[field.name] = given;
    } catch (error) {
      element.setCustomValidity(`This is no JSON: ${error.message}`);
      element.reportValidity();
      return undefined;
    }
  }
  return found;
}

export function view({ data, filters, go, act }) {
  const type = data.has(filters.type) ? filters.type : [...data.keys()][0];
  const { description, fields } = data.get(type);
  const submit = (event) => {
    event.preventDefault();
    const request = body(event.currentTarget, type, fields);
    if (request) act(async () => go(jobLink((await api.submit(request)).jobId)));
  };
  return html`<h1>Submit a job</h1>
    <label class="field">Type
      <select name="type" @change=${(event) => go(`#/submit?${new URLSearchParams({ type: event.target.value })}`)}>
        ${[...data.keys()].map((name) => html`<option ?selected=${name === type}>${name}</option>`)}
      </select>
    </label>
    ${description ? html`<p class="hint">${description}</p>` : nothing}
    <form class="submit" @submit=${submit}>
      ${fields.map(
        (field) => html`<label class="field"
          ><span><code>${field.name}</code>${field.required ? html` <abbr title="required">*</abbr>` : nothing}</span>
          ${input(field)} ${field.description ? html`<small>${field.description}</small>` : nothing}</label
        >`,
      )}
      <button class="primary">Submit</button>
    </form>`;
}
