import { element, escaped } from "./html.ts";
import { referredName, type Schema } from "./schemas.ts";

/** The type of what the schema describes, in the words of TypeScript, as HTML with links to records. */
export function typeText(schema: Schema): string {
  const name = referredName(schema);
  if (name !== undefined) return element("a", { href: `#${name}` }, escaped(name));
  if (schema.const !== undefined) return escaped(JSON.stringify(schema.const));
  if (schema.enum) return schema.enum.map((value) => escaped(JSON.stringify(value))).join(" | ");
  if (schema.anyOf) return schema.anyOf.map(typeText).join(" | ");
  if (schema.allOf) return typeText(schema.allOf[0] ?? {});
  if (Array.isArray(schema.type)) return escaped(schema.type.join(" | "));
  if (schema.type === "array") return `${typeText(schema.items ?? {})}[]`;
  return escaped(schema.type ?? "any JSON");
}

/** The bounds and the default of the schema's values, as a text. */
export function boundsText(schema: Schema): string {
  const bounds = schema.anyOf?.map(boundsText).filter((text) => text !== "") ?? [];
  const { minimum, exclusiveMinimum, maximum, maxLength, minLength, maxItems, format, default: usual } = schema;
  const own = [
    minimum !== undefined && `${minimum} or more`,
    exclusiveMinimum !== undefined && `more than ${exclusiveMinimum}`,
    maximum !== undefined && `${maximum} or less`,
    minLength !== undefined && minLength > 0 && "not empty",
    maxLength !== undefined && `${maxLength} characters at most`,
    maxItems !== undefined && `${maxItems} entries at most`,
    format,
    usual !== undefined && `default ${JSON.stringify(usual)}`,
  ];
  return [...bounds, ...own.filter(Boolean)].join(", ");
}

/** What the schema says of itself, also where that stands inside a choice. */
export function descriptionOf(schema: Schema): string {
  return schema.description ?? schema.anyOf?.find(({ description }) => description)?.description ?? "";
}
