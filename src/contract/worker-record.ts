/** The records of workers and of the accounts that they use. A column is published by being named here, and in no other way. */
import { z } from "zod";
import { REST_KINDS } from "../db/kinds.ts";
import { WORKER_STATUSES } from "../db/statuses.ts";
import { count, flag, list, time, words, worker } from "./record-fields.ts";

const rest = z
  .object({
    kind: z
      .enum(REST_KINDS)
      .describe("Why: its tasks failed at once, it said so itself, or its attempts ended for that cause."),
    reason: words("The cause in a sentence."),
    until: time("When it ends; null: when somebody resumes it.").nullable(),
  })
  .meta({ id: "Rest", description: "Why a worker, or an account with all its workers, gets no new work for a while." });

const drain = z.object({
  reason: words("The operator's reason."),
  until: time("When it ends; null: when somebody resumes the worker.").nullable(),
});

const usageWindow = z.object({
  used: z.number().nullable().describe("The used share, from 0 to 1."),
  resets_at: time("When the window begins anew.").nullable(),
});

export const workerRecord = z
  .object({
    id: worker("The worker's name, which is its id."),
    node_id: worker("The same name."),
    url: words("Where its agent is called; empty: it claims its work itself."),
    answered_by: worker("Another node that answers at `url`; the agent is not called then.").nullable(),
    status: z.enum(WORKER_STATUSES).describe("`online` gets work; `offline`: not heard of for 60 s."),
    capabilities: z
      .object({
        claude_cli: flag("It has a CLI, and the router may choose it."),
        max_concurrency: count("How many tasks it may hold at the same time.", 1),
        labels: list("What tasks may require of it.", "linux"),
      })
      .describe("What it can do."),
    last_heartbeat: time("Its last sign of life.").nullable(),
    ip_addrs: list("The addresses of its machine."),
    obs_count: count("What Membridge says of its memory: the number of observations."),
    db_sha: words("What Membridge says of its memory: the hash of the database."),
    registered_at: time("When it registered first."),
    agent_version: words("The version of its program."),
    os_info: words("Its operating system."),
    install_method: words("How it was installed."),
    boot_id: words("Identifies the run of its process; a new one means that it has restarted."),
    drain: drain.describe("It gets no new work, since somebody drained it.").nullable(),
    rest: rest.nullable(),
    account: words("The account at the LLM's provider that its CLI uses; its own name where none was told.", "rpi"),
    account_rest: rest.nullable(),
    active_leases: count("How many leases it holds now."),
  })
  .meta({ id: "Worker", description: "A machine with the CLI of a model, or an agent on it." });

export const accountRecord = z
  .object({
    id: words("The name of the account.", "rpi"),
    rest: rest.nullable(),
    windows: z.record(z.string(), usageWindow).meta({
      description: "The windows of its allowance by the provider's names, such as `five_hour`.",
      examples: [{}],
    }),
    paced_until: time("Until then, the account gets one task at a time.").nullable(),
    workers: list("The workers that use the account: the first 200 by name.", "rpi"),
    active_leases: count("How many leases its workers hold now."),
    updated_at: time("When this was learned; null: nothing is known of its limit.").nullable(),
  })
  .meta({
    id: "Account",
    description: "An account at an LLM's provider: its limit, its windows, and who works with it.",
  });
