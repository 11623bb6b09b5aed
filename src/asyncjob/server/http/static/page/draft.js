// What has been entered in a form: a tree of nodes, one for each field, with what is wrong at it.
//
// A node is {field, text, error}, with `items` where the field is a list and `children` where it is an object.

import { json } from "./format.js";

export function draft(field, value) {
  if (value === null && field.default === null) value = undefined;
  if (value !== undefined && !fits(field, value)) field = { ...field, kind: "json" };
  const node = { field, text: "", error: "" };
  if (field.kind === "object") node.children = field.fields.map((each) => draft(each, value?.[each.name]));
  else if (field.kind === "list") Object.assign(node, { items: (value ?? []).map((each) => draft(field.item, each)), isGiven: value !== undefined });
  else if (value !== undefined) node.text = written(field, value);
  return node;
}

// -- from values to texts --------------------------------------------------------------------------------------------

const isNumber = (value) => typeof value === "number" || JSON.isRawJSON?.(value) === true;
const isObject = (value) => typeof value === "object" && value !== null && !Array.isArray(value) && !isNumber(value);

const FITS = {
  object: ({ fields }, value) => isObject(value) && Object.keys(value).every((name) => fields.some((each) => each.name === name)),
  list: (_, value) => Array.isArray(value),
  number: (_, value) => isNumber(value),
  boolean: (_, value) => typeof value === "boolean",
  choice: ({ schema }, value) => schema.enum.some((choice) => json(choice) === json(value)),
  text: (_, value) => typeof value === "string" && value !== "",
  scalar: (_, value) => isNumber(value) || (typeof value === "string" && value.trim() !== "" && !NUMBER.test(value.trim())),
  date: (_, value) => /^\d{4}-\d\d-\d\d$/.test(value),
  time: (_, value) => /^\d\d:\d\d(:\d\d)?$/.test(value),
  moment: (_, value) => /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(Z|[-+]\d\d:\d\d)$/.test(value), // more the field cannot hold
  json: () => true,
};
const fits = (field, value) => FITS[field.kind](field, value);

// The time of day here, as the field of a browser wants it.
function local(text) {
  const when = new Date(text);
  return new Date(when - when.getTimezoneOffset() * 60_000).toISOString().slice(0, 19);
}

function written({ kind }, value) {
  if (kind === "moment") return local(value);
  return kind === "json" ? json(value) : isNumber(value) ? JSON.stringify(value) : String(value);
}

// -- from texts to values --------------------------------------------------------------------------------------------

class Wrong extends Error {}

const NUMBER = /^-?(0|[1-9]\d*)(\.\d+)?(e[-+]?\d+)?$/i;

function number({ schema }, text) {
  if (!NUMBER.test(text)) throw new Wrong("This is not a number.");
  if (schema.type === "integer" && !/^-?\d+$/.test(text)) throw new Wrong("This is not a whole number.");
  return JSON.rawJSON ? JSON.rawJSON(text) : Number(text);
}

function parsed(_, text) {
  try {
    return JSON.parse(text, (key, value, context) => (isNumber(value) && JSON.rawJSON ? JSON.rawJSON(context.source) : value));
  } catch (error) {
    throw new Wrong(`This is not JSON: ${error.message}`);
  }
}

const READ = {
  scalar: (field, text) => (NUMBER.test(text) ? number(field, text) : text),
  number,
  json: parsed,
  boolean: (_, text) => text === "true",
  choice: ({ schema }, text) => schema.enum.find((choice) => String(choice) === text),
  moment: (_, text) => new Date(text).toISOString(),
  text: (_, text) => text,
  date: (_, text) => text,
  time: (_, text) => (text.length === 5 ? `${text}:00` : text),
};

export const isBlank = (node) =>
  node.children ? node.children.every(isBlank) : node.items ? !node.items.length && !node.isGiven : node.text.trim() === "";

// The value that was entered; undefined where it is left out. What is wrong is said at its node.
export function read(node) {
  const { field } = node;
  node.error = "";
  if (isBlank(node) && !field.required) return undefined;
  if (node.children) return Object.fromEntries(node.children.map((each) => [each.field.name, read(each)]).filter(([, value]) => value !== undefined));
  if (node.items) return node.items.map(read);
  const text = field.kind === "text" ? node.text : node.text.trim();
  if (text === "") {
    node.error = "This is required.";
    return undefined;
  }
  try {
    return READ[field.kind](field, text);
  } catch (error) {
    if (!(error instanceof Wrong)) throw error;
    node.error = error.message;
    return undefined;
  }
}

export const clear = (node) => {
  node.error = "";
  (node.children ?? node.items ?? []).forEach(clear);
};

export const wrong = (node) => (node.error ? [node] : []).concat((node.children ?? node.items ?? []).flatMap(wrong));

// -- what the server says --------------------------------------------------------------------------------------------

const child = (node, name) =>
  node.children?.find((each) => each.field.name === name) ?? (/^\d+$/.test(name) ? node.items?.[Number(name)] : undefined);

// Says a refusal at the field that it is about, "... - at `$.items[0].sku`" or "options.delay must be ..."; false where it is about none.
export function place(root, { status, message }) {
  const path = /at `\$([^`]*)`/.exec(message)?.[1] ?? "";
  const missing = /required field `([^`]*)`/.exec(message)?.[1];
  const said = /^(jobId|options[.\w]*)\b/.exec(message)?.[1] ?? (status === 409 ? "jobId" : "");
  const names = [...`${path}.${missing ?? said}`.matchAll(/[^.[\]]+/g)].map(([name]) => name);
  let node = root;
  for (const name of names) node = child(node, name) ?? node;
  if (node === root) return false;
  node.error = message;
  return true;
}
