/** Reads single values of what a CLI printed, which may have any shape. */
import type { ErrorKind } from "../db/kinds.ts";
import type { CliUsage } from "./reader-types.ts";

/** The object's fields; none for anything that is no object. What a CLI prints may have any shape. */
export function fieldsOf(value: unknown): Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value) ? { ...value } : {};
}

export const textIn = (value: unknown): string | undefined =>
  typeof value === "string" && value !== "" ? value : undefined;

/**
 * The kind that the table has for a text that a CLI printed. The text may be "constructor" or "__proto__", which every object has by inheritance, and
 * the value may be no text at all.
 */
export const kindFrom = (table: Record<string, ErrorKind>, value: unknown): ErrorKind | undefined =>
  typeof value === "string" && Object.hasOwn(table, value) ? table[value] : undefined;

/** A number that counts something: finite and not negative. */
export const countIn = (value: unknown): number | undefined =>
  typeof value === "number" && Number.isFinite(value) && value >= 0 ? value : undefined;

/** The fields that are known. */
export function known(usage: { [Field in keyof CliUsage]: CliUsage[Field] | undefined }): CliUsage {
  return Object.fromEntries(Object.entries(usage).filter(([, value]) => value !== undefined));
}
