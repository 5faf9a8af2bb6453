import { z } from "zod";
import type { Caller } from "../caller.ts";
import { actorOf, audit } from "../db/audit.ts";
import type { Db } from "../db/client.ts";
import type { Membridge } from "./membridge.ts";
import type { MembridgeAnswer } from "./membridge-attempt.ts";

/** Asks Membridge to make a node the primary of a project. A success is audited. `body` is passed on as it is. Throws MembridgeUnreachable. */
export async function selectLeader(
  db: Db,
  caller: Caller | undefined,
  membridge: Membridge,
  projectId: string,
  body: { primary_node_id?: string | undefined },
): Promise<MembridgeAnswer> {
  const answer = await membridge.call(["projects", projectId, "leadership", "select"], { method: "POST", body });
  if (answer.status < 400) {
    await audit(db, {
      action: "leadership_promote",
      entity_type: "membridge_project",
      entity_id: projectId,
      actor: actorOf(caller, "admin"),
      detail: `Promoted primary to ${body.primary_node_id} for project ${projectId}`,
    });
  }
  return answer;
}

const ownError = z.union([
  z.object({ error: z.string().min(1) }).transform((body) => body.error),
  z.object({ detail: z.string().min(1) }).transform((body) => body.detail),
  z.object({ detail: z.array(z.unknown()) }).transform((body) => JSON.stringify(body.detail)),
]);

/** Membridge's own words for what went wrong, from its `error` or `detail`; without these, its status. */
export function errorTextOf({ status, json }: MembridgeAnswer): string {
  return ownError.safeParse(json).data ?? `Membridge returned ${status}`;
}
