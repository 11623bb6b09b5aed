// What the OpenAPI document says of the job functions, as fields of a form.

// The functions of the API, by name: {required, fields} of each.
export function functions(document) {
  const schemas = document.components.schemas;
  const resolve = (schema) => (schema.$ref ? schemas[schema.$ref.replace("#/components/schemas/", "")] : schema);
  const body = document.paths["/jobs"].post.requestBody.content["application/json"].schema;
  return new Map(
    (body.oneOf ?? [body]).map(resolve).map((schema) => [
      schema.properties.type.const,
      {
        description: schema.description,
        fields: Object.entries(schema.properties)
          .filter(([name]) => name !== "type")
          .map(([name, given]) => field(name, given, schema.required?.includes(name) ?? false, resolve)),
      },
    ]),
  );
}

function field(name, given, required, resolve) {
  const schema = plain(given, resolve);
  return { name, required, schema, kind: kind(schema), description: given.description ?? schema.description, default: given.default };
}

// The schema without what says only that null, too, is allowed, or that a whole number is a number.
function plain(given, resolve) {
  const schema = resolve(given);
  const choices = schema.anyOf?.map((choice) => plain(choice, resolve)).filter((choice) => choice.type !== "null");
  if (choices?.length === 1) return choices[0];
  if (choices?.every((choice) => ["integer", "number"].includes(choice.type))) return { ...schema, type: "number" };
  return schema;
}

function kind(schema) {
  if (schema.enum) return "choice";
  if (schema.type === "boolean") return "boolean";
  if (schema.type === "integer" || schema.type === "number") return "number";
  return schema.type === "string" ? "text" : "json";
}

// What was entered, as the value of the parameter; undefined where it is left out. Throws where it is no JSON.
export function value({ kind, required, schema }, text) {
  if (text === "" && (kind !== "text" || !required)) return undefined;
  if (kind === "text") return text;
  if (kind === "choice") return schema.enum.find((choice) => String(choice) === text);
  if (kind === "boolean") return text === "true";
  if (kind === "number") return JSON.rawJSON && /^-?(0|[1-9]\d*)$/.test(text) ? JSON.rawJSON(text) : Number(text);
  return JSON.parse(text);
}
