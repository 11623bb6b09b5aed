// Which view an address names, and what it needs to know.

import * as job from "./job.js";
import * as list from "./list.js";
import * as missing from "./missing.js";
import * as schedules from "./schedules.js";
import * as submit from "./submit.js";

export { job, list, schedules, submit };

// What is no percent-encoding is taken for what it says: there is no such job, and the page says so.
function decoded(text) {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

// The view, what the address says beside it, the job that it is about, and how its data is loaded.
export function route(address) {
  const [path, query] = address.replace(/^#\/?/, "").split("?");
  const filters = Object.fromEntries(new URLSearchParams(query));
  const [first, encoded, ...rest] = path.split("/");
  const id = encoded && decoded(encoded);
  if (path === "" || path === "jobs") return { view: list, filters, load: () => list.load(filters) };
  if (first === "jobs" && id && !rest.length) return { view: job, filters, id, load: () => job.load(id) };
  if (path === "schedules") return { view: schedules, filters, load: schedules.load };
  if (path === "submit") return { view: submit, filters, load: () => submit.load(filters) };
  return { view: missing, filters, load: async () => ({ address }) };
}
