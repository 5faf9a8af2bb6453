/** Named keys: what clients may send, and what the calls for keys answer. */
import { z } from "zod";
import { ROLES } from "../db/roles.ts";
import { time, words } from "./record-fields.ts";

/** What a key may be called: by this name the audit says who did something. */
export const KEY_NAME = /^[A-Za-z0-9._-]{1,128}$/;
export const KEY_NAME_RULE = "must have 1 to 128 letters, digits, dots, hyphens and underscores";

export const createKey = z.object({
  name: z
    .string()
    .regex(KEY_NAME, KEY_NAME_RULE)
    .meta({ description: "The name, which the audit shows; for a worker, the worker's own.", examples: ["rpi"] }),
  role: z.enum(ROLES).meta({ description: "What the key may do.", examples: ["work"] }),
});

export const revokedKeys = z.object({
  older: z.enum(["true", "false"]).default("false").describe("`true`: the older of two valid keys alone."),
});

export const keyRecord = z
  .object({
    name: words("The name of the key.", "rpi"),
    role: z.enum(ROLES).describe("What it may do."),
    created_at: time("When it was made."),
    last_used_at: time("About when it was used last.").nullable(),
    revoked_at: time("When it was revoked; null: it is valid.").nullable(),
  })
  .meta({ id: "Key", description: "A named key. The key itself is not stored, and shown only when it is made." });

export const newKey = z.object({
  name: z.string().describe("The name of the key."),
  role: keyRecord.shape.role,
  key: z.string().describe("What callers send in `X-Runtime-API-Key`."),
});

export const revocation = z.object({ revoked: z.int().describe("1, or 2 where the name had two valid keys.") });

export const identity = z
  .object({
    key: z.string().nullable().describe("The name of the key; null: none was sent, and none is needed."),
    role: z.enum(ROLES).describe("What it may do. Without a key, and for `RUNTIME_API_KEY`: `admin`."),
    version: z.string().describe("The version of the service."),
  })
  .meta({ id: "Identity", description: "Who calls." });
