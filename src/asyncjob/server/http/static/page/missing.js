// An address that names nothing.

import { html } from "./lit-html/lit-html.js";

export const title = () => "Not found";

export const view = ({ data }) => html`<h1>Not found</h1>
  <p>There is nothing at <code>${data.address}</code> on this page.</p>
  <p><a href="#/">Back to the jobs</a></p>`;
