/** The columns that hold one of a few names, and are neither a status nor a role: kinds of rests and of errors, sources of addresses, formats. */

/**
 * The kinds of rest. `failures`: the worker's tasks failed at once while other workers' tasks did not. `worker`: the worker asked for the rest.
 * `auth`: its CLI's account gives no access: it is not logged in, or not paid for. `no_cli`: its CLI is not there.
 * `trouble`: three of its attempts in a row ended in trouble with the provider, a time-out or a crash. `rate_limited`: its account is at its limit.
 */
export const REST_KINDS = ["failures", "worker", "auth", "no_cli", "trouble", "rate_limited"] as const;
export type RestKind = (typeof REST_KINDS)[number];

/** Why an attempt failed, as the worker or the reader of its CLI's output says; queue/outcome.ts says what each kind does. */
export const ERROR_KINDS = [
  "rate_limited",
  "auth",
  "overloaded",
  "provider_error",
  "timeout",
  "parse_error",
  "budget_exceeded",
  "max_turns",
  "prompt_too_long",
  "invalid_input",
  "no_cli",
  "crashed",
  "denied",
] as const;
export type ErrorKind = (typeof ERROR_KINDS)[number];

/** Who told the address of a worker: its agent, a caller, or Membridge. */
export const URL_SOURCES = ["node", "caller", "membridge"] as const;

/** The formats of an output that a task can ask for. */
export const DESIRED_FORMATS = ["json", "text", "markdown"] as const;
