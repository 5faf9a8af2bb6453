/** What calls answer about the service itself and its neighbours: its health, agents, Membridge, and why a call was refused. */
import { z } from "zod";
import { count, flag, time, words } from "./record-fields.ts";

export const refusal = z
  .object({
    error: words("What is wrong and what to do, in a sentence.", "Task not found"),
    message: words("With 401, 429 of the limits and 500, the sentence is here.").exactOptional(),
  })
  .meta({ id: "Error", description: "Why the call was refused." });

export const invalidBody = z
  .object({
    error: z
      .object({
        formErrors: z.array(z.string()).describe("What is wrong with the body as a whole."),
        fieldErrors: z
          .record(z.string(), z.array(z.string()))
          .meta({ description: "By top-level field.", examples: [{ prompt: ["is missing"] }] }),
      })
      .describe("What is wrong."),
  })
  .meta({ id: "InvalidBody", description: "What is wrong with the fields of the body." });

export const health = z
  .object({
    status: z.enum(["ok", "degraded"]).describe("`degraded`: the database cannot do its work."),
    service: z.literal("bloom-runtime"),
    uptime: count("How long the process has run, in seconds.", 3_600),
    storage: z.literal("postgresql"),
    database: words("`ok`, or why it cannot do its work.", "ok"),
    disk: words("Only where little space is left on the disk of the embedded database: how much.").exactOptional(),
    membridge: z
      .object({
        consecutiveFailures: count("Calls that failed in a row."),
        lastSuccess: time("The last call that did not.").nullable(),
        lastError: words("How the last failure went.").nullable(),
        connected: flag("The last call was answered."),
        circuit: z.enum(["closed", "open", "half-open"]).describe("`open`: Membridge is not asked for a while."),
      })
      .describe("How this process's calls to Membridge went."),
  })
  .meta({ id: "Health", description: "How the service is." });

export const connectionTest = z
  .union([
    z.object({ connected: z.literal(true), health: z.unknown().describe("Membridge's own answer.") }),
    z.object({ connected: z.literal(false), error: words("Why not.") }),
  ])
  .meta({ id: "ConnectionTest", description: "Whether Membridge answers, and takes the key." });

export const agentHealthAnswer = z
  .looseObject({
    reachable: flag("The worker's own agent answered."),
    error: words("Why not.").exactOptional(),
  })
  .meta({ id: "AgentHealth", description: "What the agent says of its health, and whether it was reached." });

/** What a neighbour answered is passed on as it is. */
export const passedOn = z.unknown().describe("The neighbour's own answer.");

export const alive = z.object({ status: z.literal("alive") });
export const ready = z.object({ status: z.literal("ready") });
export const notReady = z.object({
  status: z.literal("not ready"),
  error: z.string().describe("Why, as a sentence."),
});
