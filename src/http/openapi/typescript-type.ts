import { referredName, type Schema } from "./schemas.ts";

/** Whose values a type is for: a client may leave a field that it sends undefined, but gets none that is. */
export type Direction = "sent" | "answered";

/** The TypeScript type of what the schema describes, with the description of each field above it. */
export function typeOf(schema: Schema, direction: Direction, indent = ""): string {
  const name = referredName(schema);
  const inner = (each: Schema) => typeOf(each, direction, indent);
  if (name !== undefined) return name;
  if (schema.not !== undefined) return "never";
  if (schema.const !== undefined) return JSON.stringify(schema.const);
  if (schema.enum) return schema.enum.map((value) => JSON.stringify(value)).join(" | ");
  if (schema.anyOf) return unionOf(schema.anyOf.map(inner));
  if (schema.allOf) return unionOf(schema.allOf.map(inner).filter((type) => type !== "unknown"));
  if (Array.isArray(schema.type)) return unionOf(schema.type.map((type) => inner({ ...schema, type })));
  switch (schema.type) {
    case "array":
      return arrayOf(inner(schema.items ?? {}));
    case "object":
      return objectType(schema, direction, indent);
    case "integer":
      return "number";
    default:
      return schema.type ?? "unknown";
  }
}

export const arrayOf = (type: string) => (/^[\w.]+$/.test(type) ? `${type}[]` : `Array<${type}>`);

function unionOf(types: string[]): string {
  const all = [...new Set(types)];
  return all.includes("unknown") ? "unknown" : all.join(" | ");
}

function objectType(schema: Schema, direction: Direction, indent: string): string {
  const { properties = {}, required = [], additionalProperties: others } = schema;
  const deeper = `${indent}  `;
  const fields = Object.entries(properties).map(([name, field]) => {
    const isRequired = required.includes(name);
    const type = typeOf(field, direction, deeper);
    const value = isRequired || direction === "answered" || type === "unknown" ? type : `${type} | undefined`;
    return `${docOf(field, deeper)}${deeper}${/^\w+$/.test(name) ? name : JSON.stringify(name)}${isRequired ? "" : "?"}: ${value};\n`;
  });
  // An object that has fields of its own beside the named ones; of what is sent, only the named ones mean something.
  if (typeof others === "object" && (fields.length === 0 || direction === "answered"))
    fields.push(`${deeper}[name: string]: ${fields.length > 0 ? "unknown" : typeOf(others, direction, deeper)};\n`);
  return fields.length === 0 ? "Record<string, never>" : `{\n${fields.join("")}${indent}}`;
}

/** The description as a comment above what it describes; nothing where there is none. */
export function docOf({ description, anyOf }: Schema, indent: string): string {
  const text = description ?? anyOf?.find((choice) => choice.description)?.description;
  return text === undefined ? "" : `${indent}/** ${text.replaceAll("*/", "* /")} */\n`;
}
