import { z } from "zod";
import { AGENT_URL, HTTP_URL, isAgentUrl, isHttpUrl } from "../callable-addresses.ts";

/** PostgreSQL stores neither NUL nor half a surrogate pair, in text or in jsonb. */
function isStorable(value: string): boolean {
  return !value.includes("\0") && value.isWellFormed();
}

/** A string that PostgreSQL can store, of at most `maxLength` UTF-16 units. */
export function text(maxLength: number) {
  return z
    .string()
    .max(maxLength)
    .refine(isStorable, "must not contain NUL characters or unpaired surrogates: they cannot be stored");
}

/** Text that clients leave out or send as null where they have none; stored as "". */
export function textOrEmpty(maxLength: number) {
  return text(maxLength)
    .nullish()
    .transform((value) => value ?? "");
}

/** Text that is bounded only by the size of the request's body. */
export const longText = text(Number.MAX_SAFE_INTEGER);

/** A list of at most `maxItems` strings of at most `maxLength` units; none given is an empty list. */
export function texts(maxItems: number, maxLength: number) {
  return z.array(text(maxLength)).max(maxItems).default([]);
}

/** A worker's name, which is its id. */
export const workerName = text(128).min(1);

export const httpUrl = text(2_048).refine(isHttpUrl, HTTP_URL);

/** Where an agent is called: at paths below this address. */
export const agentUrl = text(2_048).refine(isAgentUrl, AGENT_URL);

/** A lease's time to live, in whole seconds up to a day. */
export const ttlSeconds = z.int().min(1).max(86_400);

/** For optional fields that clients also send as null: both mean that none was given. */
export function optional<T extends z.ZodType>(schema: T) {
  return schema.nullish().transform((value) => value ?? undefined);
}

/** Any JSON that PostgreSQL can store, of at most `maxBytes` as text. */
export function json(maxBytes: number) {
  return z
    .unknown()
    .refine(isStorableJson, "must not contain NUL characters or unpaired surrogates: they cannot be stored")
    .refine((value) => Buffer.byteLength(JSON.stringify(value) ?? "") <= maxBytes, `must be ${maxBytes} bytes at most`);
}

/** A JSON object that PostgreSQL can store, of at most `maxBytes` as text. */
export function jsonObject(maxBytes: number) {
  return z.record(z.string(), z.unknown()).and(json(maxBytes));
}

/** True when PostgreSQL can store every text in it. Its depth was bounded when the body was read (bounded-json.ts). */
function isStorableJson(value: unknown): boolean {
  if (typeof value === "string") return isStorable(value);
  if (typeof value !== "object" || value === null) return true;
  return Object.entries(value).every(([name, inner]) => isStorable(name) && isStorableJson(inner));
}

type Present<T> = { [K in keyof T as undefined extends T[K] ? never : K]: T[K] } & {
  [K in keyof T as undefined extends T[K] ? K : never]?: Exclude<T[K], undefined>;
};

/** A copy without the fields that are undefined, as JSON has it. */
export function present<T extends object>(value: T): Present<T> {
  return Object.fromEntries(Object.entries(value).filter(([, field]) => field !== undefined)) as Present<T>;
}

/** A lease id may be any text. A text that is no UUID is the id of no lease, and is answered like a stale one. */
export const leaseId = text(128).min(1).toLowerCase();
