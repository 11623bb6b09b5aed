// What the OpenAPI document says of the job functions, as fields of a form.
//
// A field is {name, kind, required, schema, description, default}, with `item` where it is a list and `fields` where it
// is an object. What no kind fits (unions, maps, classes that contain themselves) is entered as JSON.

const DEEPEST = 5; // objects within objects; beyond it, JSON
const REQUEST = ["options", "jobId"]; // what a request says beside parameters, in the order of the form

// The functions of the API, by name: {description, fields} of each.
export function functions(document) {
  const schemas = document.components.schemas;
  const resolve = (schema) => (schema.$ref ? schemas[schema.$ref.replace("#/components/schemas/", "")] : schema);
  const body = document.paths["/jobs"].post.requestBody.content["application/json"].schema;
  return new Map((body.oneOf ?? [body]).map(resolve).map((schema) => [schema.properties.type.const, described(schema, resolve)]));
}

function described(schema, resolve) {
  const { type, ...properties } = schema.properties;
  const fields = fieldsOf({ ...schema, properties }, resolve, []);
  const rank = ({ name }) => REQUEST.indexOf(name);
  return { description: schema.description, fields: fields.toSorted((one, other) => rank(one) - rank(other)) };
}

const fieldsOf = (schema, resolve, above) =>
  Object.entries(schema.properties).map(([name, given]) =>
    field(name, given, schema.required?.includes(name) ?? false, resolve, above),
  );

function field(name, given, required, resolve, above) {
  const schema = plain(given, resolve);
  const kind = above.length > DEEPEST || above.includes(schema) ? "json" : kindOf(schema);
  const made = { name, required, schema, kind, description: given.description ?? schema.description };
  made.default = given.default;
  if (kind === "object") made.fields = fieldsOf(schema, resolve, [...above, schema]);
  if (kind === "list") made.item = field("", schema.items, true, resolve, [...above, schema]);
  return made;
}

// The schema without what says only that null, too, is allowed, or that a whole number is a number.
function plain(given, resolve) {
  const schema = resolve(given);
  const choices = schema.anyOf?.map((choice) => plain(choice, resolve)).filter((choice) => choice.type !== "null");
  if (choices?.length === 1) return choices[0];
  if (choices?.every((choice) => ["integer", "number"].includes(choice.type))) return { ...schema, type: "number" };
  return schema;
}

// Such as a number of seconds, or "90s".
const isScalarUnion = ({ anyOf }) =>
  anyOf?.some(({ type }) => type === "string") && anyOf.every(({ type }) => ["string", "integer", "number"].includes(type));

// A time of day that must have its zone, which a browser's field for it cannot hold.
const isZoned = ({ format, pattern }) => format === "time" && pattern !== undefined;

const FORMATS = { date: "date", time: "time", "date-time": "moment" };

function kindOf(schema) {
  if (schema.enum) return "choice";
  if (isScalarUnion(schema)) return "scalar";
  if (schema.type === "boolean") return "boolean";
  if (schema.type === "integer" || schema.type === "number") return "number";
  if (schema.type === "string") return isZoned(schema) ? "text" : (FORMATS[schema.format] ?? "text");
  if (schema.type === "array" && typeof schema.items === "object" && !schema.prefixItems) return "list";
  return schema.type === "object" && schema.properties ? "object" : "json";
}

// -- examples --------------------------------------------------------------------------------------------------------

const today = () => new Date().toISOString();
const TEXTS = {
  date: () => today().slice(0, 10),
  time: () => "08:00:00",
  "date-time": () => `${today().slice(0, 19)}Z`,
  duration: () => "PT1H",
  uuid: () => "123e4567-e89b-12d3-a456-426614174000",
};

// A value that the field takes, for whoever has not seen one.
export function example({ kind, schema, fields, item, default: usual }) {
  if (usual !== undefined && usual !== null) return usual;
  if (kind === "scalar") return 1;
  if (schema.examples?.length) return schema.examples[0];
  if (kind === "object") return exampleOf(fields);
  if (kind === "list") return [example(item)];
  if (kind === "choice") return schema.enum[0];
  if (kind === "boolean") return true;
  if (kind === "number") return schema.minimum ?? (schema.exclusiveMinimum ?? 0) + 1;
  if (isZoned(schema)) return `${TEXTS.time()}Z`;
  if (kind !== "json") return TEXTS[schema.format]?.() ?? "text";
  return schema.type === "object" ? {} : schema.type === "array" ? [] : null;
}

export const exampleOf = (fields) =>
  Object.fromEntries(fields.filter((each) => each.required).map((each) => [each.name, example(each)]));
