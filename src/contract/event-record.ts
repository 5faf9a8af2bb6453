import { z } from "zod";
import { time, words } from "./record-fields.ts";

export const eventRecord = z
  .object({
    id: words("Where the event stands in the order of all events: for `Last-Event-ID`.", "1.7341.20815"),
    type: words("What has happened. docs/events.md lists the types.", "task.completed"),
    timestamp: time("When it happened."),
    task_id: words("The task that it is about; null: it is about none.").nullable(),
    entity_type: words("What kind of thing was changed.", "llm_task"),
    entity_id: words("Which one."),
    action: words("The action of the audit entry that the event is made from.", "task_completed"),
    actor: words("Who did it: the named key, or the part of the service.", "api"),
    detail: words("The rest in a sentence."),
  })
  .meta({ id: "Event", description: "A change that the audit has an entry of." });

export type Event = z.output<typeof eventRecord>;

export const eventPage = z
  .object({
    events: z.array(eventRecord).describe("In their order."),
    next: words("What to ask `after` next time.", "7341.0"),
    reset: z.boolean().describe("True: events behind `after` are not there any more, and these are from now on."),
  })
  .meta({ id: "EventPage", description: "The events behind a position." });
