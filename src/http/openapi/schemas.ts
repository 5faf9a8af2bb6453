import { z } from "zod";
import type { Answer } from "../answer-declarations.ts";
import type { RouteFacts } from "../route.ts";

type Made = z.core.JSONSchema.BaseSchema;
/** A JSON Schema of the draft 2020-12, as OpenAPI 3.1 has them. No schema within it is `true`: zod makes none. */
export interface Schema extends Made {
  anyOf?: Schema[];
  allOf?: Schema[];
  items?: Schema;
  properties?: Record<string, Schema>;
  additionalProperties?: Schema | false;
}

export interface Schemas {
  /** The schemas with an id, by that id, among all that were made so far. */
  components: Record<string, Schema>;
  /** What clients may send to the schema. */
  sent(schema: z.ZodType): Schema;
  /** What the schema gives. An object has no other fields than those that are named. */
  answered(schema: z.ZodType): Schema;
}

const UNBOUNDED = Number.MAX_SAFE_INTEGER;

/** Makes JSON Schemas of everything that the calls take and answer, and of `others` that are answered. A schema with an id is referred to. */
export function createSchemas(routes: readonly RouteFacts[], others: readonly z.ZodType[]): Schemas {
  const components: Record<string, Schema> = {};
  const taken = routes.flatMap(({ schema, query }) => [
    ...(schema ? [schema] : []),
    ...Object.values(query?.shape ?? {}),
  ]);
  const given = routes.flatMap(({ answers }) =>
    Object.values(answers as Record<string, Answer | string>).flatMap((answer) =>
      typeof answer !== "string" && answer.json ? [answer.json] : [],
    ),
  );
  return {
    components,
    sent: converted(taken as z.ZodType[], "input", components),
    answered: converted([...given, ...others], "output", components),
  };
}

/**
 * Converts all schemas in one go. To convert a record again for each call that names it took three times as long: 0.9 s for 63 calls, on a
 * busy machine.
 */
function converted(all: z.ZodType[], io: "input" | "output", components: Record<string, Schema>) {
  const names = new Map([...new Set(all)].map((schema, at) => [schema, String(at)]));
  const fields = Object.fromEntries([...names].map(([schema, name]) => [name, schema]));
  // Within an object, a schema that has an id itself is made a definition as well.
  const made = withReferences(z.toJSONSchema(z.object(fields), { io, unrepresentable: "any", override }));
  Object.assign(components, made.$defs);
  return (schema: z.ZodType): Schema => {
    const name = names.get(schema);
    const itsOwn = name === undefined ? undefined : made.properties?.[name];
    if (!itsOwn) throw new Error("A schema of the document was not converted with the others.");
    return itsOwn;
  };
}

/**
 * Bounds that only say what a number or a text can be at all, and patterns that only repeat a format, say nothing to a reader. Of a schema that
 * transforms what is sent, zod leaves the examples out; ours are examples of what is sent.
 */
function override({ zodSchema, jsonSchema: made }: { zodSchema: z.core.$ZodType; jsonSchema: Made }): void {
  const { examples } = z.globalRegistry.get(zodSchema) ?? {};
  if (examples !== undefined) made.examples = examples as unknown[];
  if (made.maximum === UNBOUNDED) delete made.maximum;
  if (made.minimum === -UNBOUNDED) delete made.minimum;
  if (made.maxLength === UNBOUNDED) delete made.maxLength;
  if (made.type !== "string" || made.format === "date") delete made.pattern;
  if (JSON.stringify(made.propertyNames) === '{"type":"string"}') delete made.propertyNames;
}

function withReferences(made: Made): Schema {
  return JSON.parse(JSON.stringify(made).replaceAll('"#/$defs/', `"${REFERENCE}`));
}

const REFERENCE = "#/components/schemas/";

/** The name of the component that the schema refers to; undefined where it is written out. */
export function referredName({ $ref }: Schema): string | undefined {
  return $ref?.startsWith(REFERENCE) ? $ref.slice(REFERENCE.length) : undefined;
}
