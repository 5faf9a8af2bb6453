/** The record of an audit entry. A column is published by being named here, and in no other way. */
import { z } from "zod";
import { id, time, words } from "./record-fields.ts";

export const auditRecord = z
  .object({
    id: id("The id of the entry."),
    timestamp: time("When it happened."),
    action: words("What was done.", "task_created"),
    entity_type: words("To what kind of thing.", "llm_task"),
    entity_id: words("To which one."),
    actor: words("Who did it: the named key, or the part of the service.", "api"),
    detail: words("The rest in a sentence.", "Task for agent writer, context garden"),
  })
  .meta({ id: "AuditEntry", description: "Who did what, and when." });
