import { referredName, type Schema } from "./schemas.ts";

/**
 * An example of what the schema describes: the schema's own example, or else an example that is put together from its parts. Of an object it
 * has the required fields. `components` are the schemas that it may refer to.
 */
export function exampleOf(schema: Schema, components: Record<string, Schema>): unknown {
  const name = referredName(schema);
  const known = name === undefined ? schema : (components[name] ?? {});
  const { examples, anyOf, allOf, items, properties = {}, required = [] } = known;
  const of = (inner: Schema = {}) => exampleOf(inner, components);
  if (Array.isArray(examples) && examples.length > 0) return examples[0];
  if (known.const !== undefined) return known.const;
  if (known.default !== undefined) return known.default;
  if (known.enum) return known.enum[0];
  if (anyOf) return of(mostLikelyOf(anyOf));
  if (allOf) return of(allOf[0]);
  switch (known.type) {
    case "array":
      return items === undefined || "not" in items ? [] : [of(items)];
    case "object":
      return Object.fromEntries(required.map((field) => [field, of(properties[field])]));
    case "string":
      return "…";
    case "integer":
    case "number":
      return known.minimum ?? 0;
    case "boolean":
      return false;
    default:
      return null;
  }
}

/** A field that may be null is null in the example, since it most often is; a record is shown, since readers want to see it. */
function mostLikelyOf(choices: Schema[]): Schema {
  const [first = {}] = choices;
  if (referredName(first) !== undefined) return first;
  return choices.find(({ type }) => type === "null") ?? first;
}
