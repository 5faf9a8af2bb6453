import * as records from "../contract/key-records.ts";
import { ROLES } from "../db/roles.ts";
import { VERSION } from "../package-folder.ts";
import { createKey, listKeys, revokeKey } from "../saved-config/named-keys.ts";
import { ADMINS, type Route, route } from "./route.ts";

const PATH = "/api/runtime/keys";

/** `/api/runtime/keys`: the named keys, as `npm run key` has them; and `/api/runtime/whoami`, which tells a key's role. */
export const keyRoutes: Route[] = [
  route({
    name: "createKey",
    summary: "Make a named key",
    method: "post",
    path: PATH,
    access: ADMINS,
    schema: records.createKey,
    answers: {
      201: {
        means: "The key, which is shown only in this answer.",
        json: records.newKey,
      },
      409: "The name has two valid keys already, or one with another role, or the audit uses it for something else.",
    },
    handle: async ({ response, db, caller, body }) => {
      const { name, role } = body();
      const key = await createKey(db, caller, name, role);
      response.status(201).json({ name, role, key });
    },
  }),
  route({
    name: "listKeys",
    summary: "List the named keys",
    method: "get",
    path: PATH,
    access: ADMINS,
    answers: { 200: { means: "Every key that was ever made, the oldest first.", json: records.keyRecord.array() } },
    handle: async ({ response, db }) => response.json(await listKeys(db)),
  }),
  route({
    name: "revokeKey",
    summary: "Revoke a named key",
    method: "delete",
    path: `${PATH}/:name`,
    access: ADMINS,
    query: records.revokedKeys,
    answers: {
      200: { means: "How many were revoked.", json: records.revocation },
      404: "There is no such valid key.",
    },
    handle: async ({ response, db, caller, params, query }) => {
      const older = query().older === "true";
      response.json({ revoked: await revokeKey(db, caller, params.name, { older }) });
    },
  }),
  route({
    name: "getIdentity",
    summary: "Ask who a key is, and what it may do",
    method: "get",
    path: "/api/runtime/whoami",
    access: ROLES.filter((role) => role !== "admin"),
    answers: {
      200: { means: "The caller's key.", json: records.identity },
    },
    handle: ({ response, caller }) =>
      response.json({ key: caller.keyName ?? null, role: caller.key?.role ?? "admin", version: VERSION }),
  }),
];
