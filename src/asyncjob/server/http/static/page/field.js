// One field of a form, with what is wrong at it; a list and an object are fields within a frame.

import { html, nothing } from "./lit-html/lit-html.js";
import { draft, isBlank, wrong } from "./draft.js";
import { example } from "./schema.js";

const KINDS = { number: "number", boolean: "true or false", date: "date", time: "time", moment: "date and time", text: "text", scalar: "number or text", list: "list", json: "JSON" };

function kindName({ kind, schema, required }) {
  if (kind === "number" && schema.type === "integer") return "whole number";
  if (kind === "object") return required ? "" : "optional";
  return kind === "text" && schema.format ? schema.format : KINDS[kind];
}

const BOUNDS = {
  minimum: (bound) => `at least ${bound}`,
  exclusiveMinimum: (bound) => `more than ${bound}`,
  maximum: (bound) => `at most ${bound}`,
  exclusiveMaximum: (bound) => `less than ${bound}`,
  minLength: (bound) => `at least ${bound} characters`,
  maxLength: (bound) => `at most ${bound} characters`,
  minItems: (bound) => `at least ${bound} items`,
  maxItems: (bound) => `at most ${bound} items`,
};

const hasDefault = (field) => field.default !== undefined && field.default !== null;
const isChosen = ({ kind }) => kind === "choice" || kind === "boolean";

function hint(field) {
  const bounds = Object.entries(BOUNDS).filter(([name]) => field.schema[name] !== undefined && field.kind !== "json");
  const zone = field.kind === "moment" ? ["in this browser's time zone"] : [];
  const given = hasDefault(field) && !isChosen(field) ? [`default: ${field.default === "" ? "empty" : JSON.stringify(field.default)}`] : [];
  const rest = [...bounds.map(([name, told]) => told(field.schema[name])), ...zone, ...given].join("; ");
  return field.description && rest ? `${field.description} (${rest})` : (field.description ?? rest);
}

// What names a field to whoever reads or hears it, and what describes it. An item of a list is named by its place.
const names = (node, id, name) => ({
  label: html`<code>${name}</code>
    <span class="kind">${[kindName(node.field), node.field.required && name === node.field.name ? "required" : ""].filter(Boolean).join(", ")}</span>`,
  hint: hint(node.field) ? html`<small id="${id}-hint">${hint(node.field)}</small>` : nothing,
  fault: node.error ? html`<small class="wrong" id="${id}-wrong">${node.error}</small>` : nothing,
  described: [hint(node.field) && `${id}-hint`, node.error && `${id}-wrong`].filter(Boolean).join(" ") || nothing,
});

const TYPES = { date: "date", time: "time", moment: "datetime-local" };

function control(node, id, described) {
  const { field, text } = node;
  const entered = (event) => {
    node.text = event.target.value;
  };
  const invalid = node.error ? "true" : nothing;
  if (isChosen(field)) {
    const choices = field.kind === "boolean" ? [true, false] : field.schema.enum;
    const none = hasDefault(field) ? `default (${field.default})` : field.required ? "choose" : "none";
    return html`<select id=${id} name=${id} aria-invalid=${invalid} aria-describedby=${described} aria-required=${field.required} @change=${entered}>
      <option value="" .selected=${text === ""}>${none}</option>
      ${choices.map((choice) => html`<option value=${String(choice)} .selected=${text === String(choice)}>${String(choice)}</option>`)}
    </select>`;
  }
  if (field.kind === "json") {
    return html`<textarea id=${id} name=${id} rows=${Math.min(12, Math.max(2, text.split("\n").length))} .value=${text}
      placeholder=${JSON.stringify(example(field))} aria-invalid=${invalid} aria-describedby=${described}
      aria-required=${field.required} spellcheck="false" @input=${entered}></textarea>`;
  }
  return html`<input id=${id} name=${id} type=${TYPES[field.kind] ?? "text"} step=${field.kind in TYPES ? "1" : nothing} .value=${text}
    inputmode=${field.kind === "number" ? "decimal" : nothing} placeholder=${field.schema.examples?.[0] ?? nothing}
    aria-invalid=${invalid} aria-describedby=${described} aria-required=${field.required} autocapitalize="off" autocomplete="off"
    spellcheck="false" @input=${entered} />`;
}

function list(node, id, redraw) {
  const { name, item } = node.field;
  const change = (action, focused) => () => {
    action();
    node.isGiven = node.items.length > 0;
    redraw();
    document.querySelector(`[id^="${CSS.escape(focused)}"]`)?.focus();
  };
  const add = change(() => node.items.push(draft(item)), `${id}[${node.items.length}]`);
  const remove = (index) => change(() => node.items.splice(index, 1), `${id}+`);
  const one = (each, index) => html`<div class="item">
    ${fieldView(each, `${id}[${index}]`, redraw, `${name} ${index + 1}`)}
    <button type="button" aria-label="Remove ${name} ${index + 1}" title="Remove" @click=${remove(index)}>×</button>
  </div>`;
  return html`${node.items.map(one)}
    <button type="button" class="add" id="${id}+" @click=${add}>Add ${node.items.length ? "another" : "one"}<span class="unseen"> to ${name}</span></button>`;
}

// An object that may be left out is folded until something in it is given, or wrong.
const folded = (node, label, inner) => html`<details class="group" ?open=${!isBlank(node) || wrong(node).length > 0}>
  <summary>${label}</summary>
  ${inner}
</details>`;

const framed = (node, label, described, inner) => html`<fieldset class="group" aria-describedby=${described}>
  <legend>${label}</legend>
  ${inner}
</fieldset>`;

// `id` is the field's place in the request, as the server writes it: $.items[0].sku
export function fieldView(node, id, redraw, name = node.field.name) {
  const { label, hint, fault, described } = names(node, id, name);
  if (node.items) return framed(node, label, described, [hint, fault, list(node, id, redraw)]);
  if (node.children) {
    const inner = [hint, fault, ...node.children.map((each) => fieldView(each, `${id}.${each.field.name}`, redraw))];
    return node.field.required ? framed(node, label, described, inner) : folded(node, label, inner);
  }
  return html`<div class="field"><label for=${id}>${label}</label>${control(node, id, described)}${hint}${fault}</div>`;
}
