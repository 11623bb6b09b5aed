// What the list is filtered by: the statuses with their counts, the type, and one id. The address keeps all of it.

import { html, nothing } from "./lit-html/lit-html.js";
import { count } from "./format.js";
import { STATUSES } from "./parts.js";

const NAMES = ["status", "type", "id", "cursor"];

export function address(filters) {
  const given = Object.entries(filters).filter(([name, value]) => NAMES.includes(name) && value);
  return given.length ? `#/?${new URLSearchParams(given)}` : "#/";
}

export const given = ({ status, type, id }) => [status, type, id].filter(Boolean);

const chip = (filters, status, number) => html`<a
  class="chip ${status ?? "All"}"
  href=${address({ ...filters, status, cursor: undefined })}
  aria-current=${(filters.status ?? "") === (status ?? "") ? "true" : nothing}
  >${status ?? "All"} <b>${count(number)}</b></a
>`;

export function chips(filters, jobs) {
  const all = STATUSES.reduce((total, status) => total + jobs[status], 0);
  return html`<nav class="chips" aria-label="Status">
    ${chip(filters, undefined, all)} ${STATUSES.map((status) => chip(filters, status, jobs[status]))}
  </nav>`;
}

let isOpen = false; // on a phone, where the form is folded

export function unfold(redraw) {
  isOpen = true;
  redraw();
}

export function form(filters, types, { go, redraw }) {
  const changed = (event) => {
    event.preventDefault();
    const { type, id } = event.currentTarget.elements;
    go(address({ ...filters, type: type.value, id: id.value.trim(), cursor: undefined }));
  };
  const fold = () => {
    isOpen = !isOpen;
    redraw();
  };
  const known = !filters.type || types.includes(filters.type) ? types : [filters.type, ...types];
  const inUse = [filters.type, filters.id].filter(Boolean);
  return html`<button class="fold" type="button" aria-expanded=${isOpen} aria-controls="filters" @click=${fold}>
      Filters${inUse.length ? html`: <b>${inUse.join(", ")}</b>` : nothing}
    </button>
    <form id="filters" class="filters ${isOpen ? "open" : ""}" role="search" @submit=${changed} @change=${changed}>
      <label>Type
        <select name="type">
          <option value="" .selected=${!filters.type}>All</option>
          ${known.map((type) => html`<option .selected=${type === filters.type}>${type}</option>`)}
        </select>
      </label>
      <label>Id <input name="id" type="search" .value=${filters.id ?? ""} placeholder="the whole id" autocapitalize="off" spellcheck="false" /></label>
      <button>Find</button>
    </form>`;
}
