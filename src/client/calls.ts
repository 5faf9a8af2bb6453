/** Made from the declarations of the calls by `npm run client:generate`. A test compares both. */
import type { Bytes, Options, Page } from "./call.ts";

/** An account at an LLM's provider: its limit, its windows, and who works with it. */
export type Account = {
  /** The name of the account. */
  id: string;
  rest: Rest | null;
  /** The windows of its allowance by the provider's names, such as `five_hour`. */
  windows: {
    [name: string]: {
      /** The used share, from 0 to 1. */
      used: number | null;
      /** When the window begins anew. In epoch milliseconds. */
      resets_at: number | null;
    };
  };
  /** Until then, the account gets one task at a time. In epoch milliseconds. */
  paced_until: number | null;
  /** The workers that use the account: the first 200 by name. */
  workers: string[];
  /** How many leases its workers hold now. */
  active_leases: number;
  /** When this was learned; null: nothing is known of its limit. In epoch milliseconds. */
  updated_at: number | null;
};

/** What the agent says of its health, and whether it was reached. */
export type AgentHealth = {
  /** The worker's own agent answered. */
  reachable: boolean;
  /** Why not. */
  error?: string;
  [name: string]: unknown;
};

/** What a task has brought forth. It never changes once it is finalized. */
export type Artifact = {
  /** The id of the artifact. */
  id: string;
  /** The task that brought it forth. */
  task_id: string;
  /** The job of an earlier service. */
  job_id: string | null;
  /** What it is. */
  type: string;
  /** When it was stored. In epoch milliseconds. */
  created_at: number;
  /** The artifact cannot be changed any more. */
  finalized: boolean;
  /** `minio://<bucket>/<key>` where it lies in a bucket; null: in PostgreSQL. */
  url: string | null;
  /** What an earlier service says the artifact is about. */
  entity_refs: string[];
  /** The worker's own words for it. */
  tags: string[];
  /** Its text, where PostgreSQL holds it as text; its bytes are read at `/artifacts/:id/content`. */
  content: string | null;
  /** Its size, in bytes. */
  size_bytes: number | null;
  /** The SHA-256 of its bytes, in hexadecimal. */
  sha256: string | null;
  /** Its media type. */
  content_type: string;
  /** True: the result of the task. False: another attempt followed, or it came too late. Null: not known. */
  accepted: boolean | null;
};

/** Who did what, and when. */
export type AuditEntry = {
  /** The id of the entry. */
  id: string;
  /** When it happened. In epoch milliseconds. */
  timestamp: number;
  /** What was done. */
  action: string;
  /** To what kind of thing. */
  entity_type: string;
  /** To which one. */
  entity_id: string;
  /** Who did it: the named key, or the part of the service. */
  actor: string;
  /** The rest in a sentence. */
  detail: string;
};

/** A reason as a code, with what it is about. */
export type Cause = {
  /** What it is. The other fields are there where they say something of it. */
  code: "in_state" | "tools_denied" | "dead" | "not_started" | "said" | "said_nothing" | "may_be_requeued" | "may_be_replayed" | "held" | "cancelling" | "not_due" | "same_key" | "takeable" | "worker_full" | "worker_rests" | "worker_drained" | "not_takeable" | "no_workers" | "labels_missing" | "labels_scattered" | "account_limited" | "ends_unstarted" | "attempt_ended" | "not_online" | "no_cli" | "drained" | "rests" | "account_rests" | "account_paced" | "kept_to" | "lacks_labels" | "not_allowed" | "full" | "other_node" | "left_alone";
  /** The worker that holds the task, that would take it, or that alone may have it. */
  worker_id?: string;
  /** The account. */
  account?: string;
  /** The task that has the same `concurrency_key`. */
  task_id?: string;
  /** The node that answers at the worker's address. */
  node?: string;
  /** The labels that are missing. */
  labels?: string[];
  /** Until when, where that has an end. In epoch milliseconds. */
  until?: number;
  /** Since when, or when the worker was last heard of. In epoch milliseconds. */
  since?: number;
  /** What an attempt, a worker or an admin said; with `tools_denied`, the names of the tools. */
  said?: string;
  /** The state of the task, or of the worker. */
  state?: string;
  /** The kind of the rest, or of the error. */
  kind?: string;
  /** How many attempts, workers, tasks or refusals. */
  count?: number;
  /** What `count` is out of: the most attempts, or the worker's slots. */
  of?: number;
};

/** How many tasks a call has changed. */
export type ChangedTasks = {
  /** Nothing was changed. */
  dry_run: boolean;
  /** How many tasks matched, up to `limit`. */
  matched: number;
  /** How many were changed. */
  changed: number;
  /** How many could not be changed, or did not match any more at their turn. */
  refused: number;
  /** More tasks match, or the time was up: the same call again goes on. */
  more: boolean;
  /** The oldest ten, as they were before. */
  examples: SlimTask[];
};

/** The tasks that a claim got. */
export type Claimed = {
  /** The tasks, the oldest first. */
  tasks: LeasedTask[];
};

/** The task after its completion, and what was stored of it. */
export type Completed = {
  task: Task;
  artifact: Artifact;
  result: Result;
};

/** Whether Membridge answers, and takes the key. */
export type ConnectionTest = {
  connected: true;
  /** Membridge's own answer. */
  health: unknown;
} | {
  connected: false;
  /** Why not. */
  error: string;
};

/** What became of each task. */
export type CreatedTasks = {
  /** How many are new. */
  created: number;
  /** How many were created before, by the same request under the same key. */
  repeated: number;
  /** How many were refused: 4xx. */
  refused: number;
  /** The verdicts, in the order of the tasks. */
  results: Array<{
    /** The status that a creation of its own would have had. */
    code: number;
    /** The task. */
    id: string | null;
    /** Why there is none: as the `error` of a creation; null where there is a task. */
    error: unknown;
    /** The names of the fields that were ignored, since creations do not have them: the first 20, 100 characters of each. */
    ignored: string[];
  }>;
};

/** An event that is sent to one receiver. */
export type Delivery = {
  /** The `webhook-id` of the message: the same at each attempt. */
  id: string;
  /** The webhook that it is for; null: the `callback_url` of a task. */
  webhook_id: string | null;
  /** The address of a callback; null: the webhook has it. */
  url: string | null;
  /** The type of the event. */
  type: string;
  /** The task that the event is about; null: it is about none. */
  task_id: string | null;
  /** What kind of thing was changed. */
  entity_type: string;
  /** Which one. */
  entity_id: string;
  /** When it happened. In epoch milliseconds. */
  occurred_at: number;
  /** `pending`: it is tried until it is `delivered`, or `failed`. */
  state: "pending" | "delivered" | "failed";
  /** How often it was sent. */
  attempts: number;
  /** When it is tried next; null: it has ended. In epoch milliseconds. */
  next_at: number | null;
  /** When it was queued. In epoch milliseconds. */
  created_at: number;
  /** When it was delivered or given up. In epoch milliseconds. */
  ended_at: number | null;
  /** The HTTP status of the last answer; null: there was none. */
  last_status: number | null;
  /** Why the last attempt failed. */
  last_error: string | null;
};

/** The agent has begun with the task. */
export type Dispatched = {
  dispatched: true;
  /** The task. */
  task_id: string;
  /** The worker whose agent has begun. */
  worker_id: string;
  /** The lease under which it works. */
  lease_id: string;
  /** What the agent has done: it has accepted the task, and begun. */
  execution: {
    ok: true;
    started: true;
  };
  /** It was dispatched before, under that lease. */
  already?: true;
};

/** A change that the audit has an entry of. */
export type Event = {
  /** Where the event stands in the order of all events: for `Last-Event-ID`. */
  id: string;
  /** What has happened. docs/events.md lists the types. */
  type: string;
  /** When it happened. In epoch milliseconds. */
  timestamp: number;
  /** The task that it is about; null: it is about none. */
  task_id: string | null;
  /** What kind of thing was changed. */
  entity_type: string;
  /** Which one. */
  entity_id: string;
  /** The action of the audit entry that the event is made from. */
  action: string;
  /** Who did it: the named key, or the part of the service. */
  actor: string;
  /** The rest in a sentence. */
  detail: string;
};

/** The events behind a position. */
export type EventPage = {
  /** In their order. */
  events: Event[];
  /** What to ask `after` next time. */
  next: string;
  /** True: events behind `after` are not there any more, and these are from now on. */
  reset: boolean;
};

/** Why a task waits, which worker holds it, or what became of it. */
export type Explanation = {
  /** The task. */
  task_id: string;
  /** The task's state. */
  status: "queued" | "leased" | "running" | "completed" | "failed" | "dead" | "cancelled";
  /** Why it is in its state: one or two sentences for a person. */
  reason: string;
  /** The reasons of the state as codes, for programs. */
  because: Cause[];
  /** When it may be leased; null: that time has come. In epoch milliseconds. */
  due_at: number | null;
  /** What was said when the last attempt ended without success. */
  last_error: string | null;
  /** Who holds it. */
  holder: {
    /** Who holds the task. */
    worker_id: string;
    /** Under which lease. */
    lease_id: string;
    /** When that began. In epoch milliseconds. */
    since: number;
    /** Its last heartbeat. In epoch milliseconds. */
    last_heartbeat: number;
    /** When the lease ends, unless another heartbeat comes. In epoch milliseconds. */
    expires_at: number;
  } | null;
  /** Of a queued task: the first 200 workers by name. */
  workers: Array<{
    /** A worker. */
    worker_id: string;
    /** Why it has not got the task; none: it could take it now. */
    reasons: string[];
    /** These reasons as codes, in the same order, for programs. */
    because: Cause[];
  }>;
};

/** How the service is. */
export type Health = {
  /** `degraded`: the database cannot do its work. */
  status: "ok" | "degraded";
  service: "bloom-runtime";
  /** How long the process has run, in seconds. */
  uptime: number;
  storage: "postgresql";
  /** `ok`, or why it cannot do its work. */
  database: string;
  /** Only where little space is left on the disk of the embedded database: how much. */
  disk?: string;
  /** How this process's calls to Membridge went. */
  membridge: {
    /** Calls that failed in a row. */
    consecutiveFailures: number;
    /** The last call that did not. In epoch milliseconds. */
    lastSuccess: number | null;
    /** How the last failure went. */
    lastError: string | null;
    /** The last call was answered. */
    connected: boolean;
    /** `open`: Membridge is not asked for a while. */
    circuit: "closed" | "open" | "half-open";
  };
};

/** The renewed lease, and what the worker shall do. */
export type HeartbeatAnswer = {
  lease: Lease;
  /** When the lease is overdue, unless another heartbeat comes. In epoch milliseconds. */
  expires_at: number;
  /** The task is to be cancelled: the worker shall stop, and complete or release it. */
  cancel: boolean;
  /** The worker shall take no new work. */
  drain: boolean;
  /** When to send the next heartbeat, in milliseconds from now. */
  next_heartbeat_ms: number;
};

/** Who calls. */
export type Identity = {
  /** The name of the key; null: none was sent, and none is needed. */
  key: string | null;
  /** What it may do. Without a key, and for `RUNTIME_API_KEY`: `admin`. */
  role: "submit" | "work" | "read" | "admin";
  /** The version of the service. */
  version: string;
};

/** What is wrong with the fields of the body. */
export type InvalidBody = {
  /** What is wrong. */
  error: {
    /** What is wrong with the body as a whole. */
    formErrors: string[];
    /** By top-level field. */
    fieldErrors: {
      [name: string]: string[];
    };
  };
};

/** A named key. The key itself is not stored, and shown only when it is made. */
export type Key = {
  /** The name of the key. */
  name: string;
  /** What it may do. */
  role: "submit" | "work" | "read" | "admin";
  /** When it was made. In epoch milliseconds. */
  created_at: number;
  /** About when it was used last. In epoch milliseconds. */
  last_used_at: number | null;
  /** When it was revoked; null: it is valid. In epoch milliseconds. */
  revoked_at: number | null;
};

/** The right of one worker to work on a task, for a limited time. */
export type Lease = {
  /** The id of the lease: the fence that a worker sends with each call for the task. */
  id: string;
  /** The task that it holds. */
  task_id: string;
  /** The worker that it was given to. */
  worker_id: string;
  /** When it began. In epoch milliseconds. */
  started_at: number;
  /** When it is overdue, unless a heartbeat renews it. In epoch milliseconds. */
  expires_at: number;
  /** How long it lives after each heartbeat, in seconds. */
  ttl_seconds: number;
  /** `active`, `expired` (overdue, or its worker is gone), `released` (completed or handed back); `failed` in rows of an earlier service. */
  status: "active" | "expired" | "released" | "failed";
  /** The last heartbeat, or its begin. In epoch milliseconds. */
  last_heartbeat: number;
  /** The context of the task. */
  context_id: string | null;
};

/** The new lease, and the worker that got it. */
export type LeaseGrant = {
  lease: Lease;
  /** Its `active_leases` are those before this one. */
  worker: Worker;
};

/** A task and the new lease under which a worker got it. */
export type LeasedTask = {
  task: Task;
  lease: Lease;
  /** The CLI session to go on with: of a task with `resume`, where the worker has the newest one of its context. */
  resume_session?: string;
  /** What earlier attempts have left of the task's limits; absent where it has none. */
  limits_left?: Limits;
  /** The trace context of this attempt, for what the worker itself traces; absent where the task belongs to no trace. */
  traceparent?: string;
};

/** What all attempts of a task may use together. */
export type Limits = {
  /** US dollars, as the CLIs estimate them. */
  max_usd?: number;
  /** Tokens of all kinds. */
  max_tokens?: number;
  /** Turns of the model. */
  max_turns?: number;
};

/** What there is of a task's output behind a position. */
export type LiveOutput = {
  /** The task. */
  task_id: string;
  /** 100 at most. */
  pieces: Array<{
    /** Grows with each piece, whichever attempt it is of. */
    position: number;
    /** The lease of the attempt. */
    lease_id: string;
    /** When it came. In epoch milliseconds. */
    at: number;
    /** What was printed. */
    text: string;
  }>;
  /** The position to ask `after` next time. */
  next: number;
  /** The task has ended, and nothing more comes. */
  is_over: boolean;
};

/** The agent refused the task. */
export type NotDispatched = {
  dispatched: false;
  /** The task, which is queued again. */
  task_id: string;
  /** The worker whose agent refused. */
  worker_id: string;
  /** What the agent said. */
  error: string;
};

/** How the work goes. */
export type Overview = {
  counts: Stats;
  /** For how long the task that is due for longest has been queued; 0: none is due. */
  oldest_due_ms: number;
  /** The room of the workers. */
  slots: {
    /** Active leases. */
    used: number;
    /** How many more tasks the online workers could get. */
    free: number;
  };
  /** How many attempts ended with a result in each of the last 60 minutes, the oldest minute first. */
  ended_by_minute: number[];
  /** Queued tasks that no worker can take: the first 5 kinds. */
  untakeable: Array<{
    /** Labels that no online worker has, drained workers aside. */
    requires: string[];
    /** Online workers that have these labels and are drained: the first 3 by name. */
    drained: string[];
    /** How many such tasks there are among the 1,000 that wait for longest. */
    tasks: number;
    /** The id of one of them. */
    example: string;
    /** Since when the first of them waits. In epoch milliseconds. */
    since: number;
  }>;
  /** The first 50 accounts by name; those at their limit before others. */
  accounts: Account[];
  /** Workers that need somebody, by name. Up to 5 workers of each of four kinds: online but resting; reporting `error`; lost, which is offline without having said that it stops; stopped without its login or its CLI, or because it could not go on. Drained workers that are offline are not among them. */
  workers_in_trouble: Worker[];
  /** The last 6 failures: tasks that are `failed` or `dead` since their `updated_at`, the last first. */
  failures: SlimTask[];
};

/** A message of the tool protocol that was refused. */
export type ProtocolFault = {
  jsonrpc: "2.0";
  /** What is wrong, by the protocol. */
  error: {
    /** The protocol's number of the fault. */
    code: number;
    /** What is wrong. */
    message: string;
    [name: string]: unknown;
  };
  /** The id of the message; null: it has none. */
  id?: string | number | null;
};

/** Why a worker, or an account with all its workers, gets no new work for a while. */
export type Rest = {
  /** Why: its tasks failed at once, it said so itself, or its attempts ended for that cause. */
  kind: "failures" | "worker" | "auth" | "no_cli" | "trouble" | "rate_limited";
  /** The cause in a sentence. */
  reason: string;
  /** When it ends; null: when somebody resumes it. In epoch milliseconds. */
  until: number | null;
};

/** What a worker handed in for an attempt. */
export type Result = {
  /** The id of the result. */
  id: string;
  /** The task that it is of. */
  task_id: string;
  /** The worker that handed it in. */
  worker_id: string;
  /** The artifact that holds the output. */
  artifact_id: string;
  /** How the attempt ended. */
  status: "success" | "error";
  /** What went wrong, in the worker's words. */
  error_message: string | null;
  /** Why an attempt failed. docs/outcomes.md says what follows from each kind. */
  error_kind: "rate_limited" | "auth" | "overloaded" | "provider_error" | "timeout" | "parse_error" | "budget_exceeded" | "max_turns" | "prompt_too_long" | "invalid_input" | "no_cli" | "crashed" | "denied" | null;
  /** What the attempt took. */
  metrics: {
    /** How long the attempt ran, in milliseconds. */
    duration_ms: number;
    /** Tokens of all kinds. */
    tokens_used?: number;
    /** The model that answered. */
    model?: string;
    /** The provider of the model. */
    provider?: string;
    /** Tokens of the prompt. */
    input_tokens?: number;
    /** Tokens of the answer. */
    output_tokens?: number;
    /** Tokens of the prompt that the provider had in its cache. */
    cache_read_tokens?: number;
    /** Tokens of the prompt that the provider put into its cache. */
    cache_write_tokens?: number;
    /** An estimate of the cost, in US dollars. */
    cost_usd?: number;
    /** Turns of the model. */
    num_turns?: number;
    /** The CLI's session. */
    session_id?: string;
    /** The tools that the CLI wanted to use and was not allowed to. */
    denied_tools?: string[];
  };
  /** When it was handed in. In epoch milliseconds. */
  completed_at: number;
  /** The lease under which it was handed in; null in rows of an earlier service. */
  lease_id: string | null;
  /** False: it came too late, and is not the task's outcome. */
  accepted: boolean;
  /** Only the end of the output is known. */
  incomplete: boolean;
  /** The output, where PostgreSQL holds it as text. */
  output: string | null;
};

/** Where Membridge is. */
export type RuntimeConfig = {
  /** Where Membridge is. */
  membridge_server_url: string;
  /** The first and the last 4 characters of its key around `****`; empty: there is none. */
  admin_key_masked: string;
  /** Membridge answered, and took the key. */
  connected: boolean;
  /** When that was asked last. In epoch milliseconds. */
  last_test: number | null;
  /** Why it is not connected, in a sentence. */
  reason: string | null;
};

/** An artifact without its content. */
export type SlimArtifact = {
  /** The id of the artifact. */
  id: string;
  /** The task that brought it forth. */
  task_id: string;
  /** The job of an earlier service. */
  job_id: string | null;
  /** What it is. */
  type: string;
  /** When it was stored. In epoch milliseconds. */
  created_at: number;
  /** The artifact cannot be changed any more. */
  finalized: boolean;
  /** `minio://<bucket>/<key>` where it lies in a bucket; null: in PostgreSQL. */
  url: string | null;
  /** What an earlier service says the artifact is about. */
  entity_refs: string[];
  /** The worker's own words for it. */
  tags: string[];
  /** Its size, in bytes. */
  size_bytes: number | null;
  /** The SHA-256 of its bytes, in hexadecimal. */
  sha256: string | null;
  /** Its media type. */
  content_type: string;
  /** True: the result of the task. False: another attempt followed, or it came too late. Null: not known. */
  accepted: boolean | null;
};

/** A result without its output. */
export type SlimResult = {
  /** The id of the result. */
  id: string;
  /** The task that it is of. */
  task_id: string;
  /** The worker that handed it in. */
  worker_id: string;
  /** The artifact that holds the output. */
  artifact_id: string;
  /** How the attempt ended. */
  status: "success" | "error";
  /** What went wrong, in the worker's words. */
  error_message: string | null;
  /** Why an attempt failed. docs/outcomes.md says what follows from each kind. */
  error_kind: "rate_limited" | "auth" | "overloaded" | "provider_error" | "timeout" | "parse_error" | "budget_exceeded" | "max_turns" | "prompt_too_long" | "invalid_input" | "no_cli" | "crashed" | "denied" | null;
  /** What the attempt took. */
  metrics: {
    /** How long the attempt ran, in milliseconds. */
    duration_ms: number;
    /** Tokens of all kinds. */
    tokens_used?: number;
    /** The model that answered. */
    model?: string;
    /** The provider of the model. */
    provider?: string;
    /** Tokens of the prompt. */
    input_tokens?: number;
    /** Tokens of the answer. */
    output_tokens?: number;
    /** Tokens of the prompt that the provider had in its cache. */
    cache_read_tokens?: number;
    /** Tokens of the prompt that the provider put into its cache. */
    cache_write_tokens?: number;
    /** An estimate of the cost, in US dollars. */
    cost_usd?: number;
    /** Turns of the model. */
    num_turns?: number;
    /** The CLI's session. */
    session_id?: string;
    /** The tools that the CLI wanted to use and was not allowed to. */
    denied_tools?: string[];
  };
  /** When it was handed in. In epoch milliseconds. */
  completed_at: number;
  /** The lease under which it was handed in; null in rows of an earlier service. */
  lease_id: string | null;
  /** False: it came too late, and is not the task's outcome. */
  accepted: boolean;
  /** Only the end of the output is known. */
  incomplete: boolean;
  /** The size of the output, in bytes, where PostgreSQL holds it as text. */
  output_bytes: number | null;
};

/** A task without its prompt and what else of its request may be long. */
export type SlimTask = {
  /** The id of the task. */
  id: string;
  /** The context that the task belongs to: its creator's own name for it. */
  context_id: string;
  /** The agent that the task is for. */
  agent_slug: string;
  /** How an attempt is made, and the creator's own words about that. */
  policy: {
    /** How long one attempt may run, in seconds. */
    timeout_sec: number;
    /** The creator's own; the service keeps it and passes it on. */
    budget: number | {
      [name: string]: unknown;
    };
    /** The model's name, as the worker's CLI knows it. */
    model?: string;
    /** Labels that the router prefers a worker to have. */
    preferred_labels?: string[];
    /** As the task's own `allow_fallback`. */
    allow_fallback?: boolean;
  };
  /** The format of the output. */
  desired_format: "json" | "text" | "markdown";
  /** `queued`: it waits for a worker; `leased`: a worker has it; `running`: its worker has begun; `completed`: its result is there; `failed`: its result is an error; `dead`: it has no attempts left, or was not started in time; `cancelled`: somebody has cancelled it. */
  status: "queued" | "leased" | "running" | "completed" | "failed" | "dead" | "cancelled";
  /** When it was created. In epoch milliseconds. */
  created_at: number;
  /** When it was changed last. In epoch milliseconds. */
  updated_at: number;
  /** The lease that holds it, or that held it last. */
  lease_id: string | null;
  /** The worker of that lease. */
  worker_id: string | null;
  /** How many attempts have begun, without those that were given back. */
  attempts: number;
  /** After how many attempts it is dead. */
  max_attempts: number;
  /** The creator's name for this creation. */
  idempotency_key: string | null;
  /** A head start over tasks of priority 0, in minutes. */
  priority: number;
  /** The labels that a worker must have to get it. */
  requires: string[];
  /** Of the tasks with the same key, one at most is held at any moment. */
  concurrency_key: string | null;
  /** Labels that the router prefers a worker to have. */
  prefers: string[];
  /** How long it may wait for its first start, in seconds. */
  queue_ttl_sec: number | null;
  /** When it ends `dead` unless it was started. In epoch milliseconds. */
  queue_until: number | null;
  /** No worker gets it before that time, which its creator set. In epoch milliseconds. */
  not_before: number | null;
  /** The delays after an error; null: an error is not tried again. */
  retry: {
    /** The delay after the first error, in seconds. */
    base_delay_sec: number;
    /** The longest delay, in seconds. */
    max_delay_sec: number;
    /** How the delay grows: `exponential` (the default) doubles it, `linear` adds the first delay again. */
    backoff?: "linear" | "exponential";
  } | null;
  /** No worker gets it before that time, which is the delay after an error. In epoch milliseconds. */
  retry_at: number | null;
  /** How far the worker says it is. */
  progress: {
    /** From 0 to 1. */
    value: number | null;
    /** In the worker's words. */
    text: string | null;
  } | null;
  /** It is held, and will be cancelled when its lease ends. */
  cancel_requested: boolean;
  /** What was said when the last attempt ended without success, in 500 characters at most. */
  last_error: string | null;
  /** Why an attempt failed. docs/outcomes.md says what follows from each kind. */
  error_kind: "rate_limited" | "auth" | "overloaded" | "provider_error" | "timeout" | "parse_error" | "budget_exceeded" | "max_turns" | "prompt_too_long" | "invalid_input" | "no_cli" | "crashed" | "denied" | null;
  /** False: only the worker that had it first gets it again. */
  allow_fallback: boolean;
  /** The worker of the last attempt that came to nothing; without `allow_fallback`, of the first. */
  tried_by: string | null;
  /** Until then that worker leaves it to others, when it claims. In epoch milliseconds. */
  elsewhere_until: number | null;
  limits: Limits | null;
  usage: Usage | null;
  /** The worker goes on with the CLI session of its last task of the same context. */
  resume: boolean;
  /** The kind of agent, which is passed on. */
  agent_kind: string | null;
  /** Where it belongs in the creator's own traces. */
  tracing: {
    /** The creator's id of the trace. */
    trace_id: string;
    /** The span that the task belongs to. */
    parent_span_id?: string;
    /** The creator's own. */
    metadata?: {
      [name: string]: unknown;
    };
  } | null;
  /** The trace that it belongs to, as the W3C Trace Context writes it: from the header `traceparent` of its creation, or from `tracing`. */
  traceparent: string | null;
  /** All that the CLI printed is kept as an artifact of its own. */
  keep_transcript: boolean;
  /** Who is told of its end. */
  callback_url: string | null;
  /** The size of the request as JSON, in bytes; null in rows of earlier versions. */
  size_bytes: number | null;
  /** The size of the prompt, in bytes. */
  prompt_bytes: number;
};

/** Counts of tasks, leases and workers. */
export type Stats = {
  /** The time of the counts: up to 2 s ago. In epoch milliseconds. */
  as_of: number;
  /** How many tasks there are. */
  tasks: {
    /** All tasks. */
    total: number;
    /** Only states that occur. */
    by_status: {
      [name: string]: number;
    };
  };
  /** How many leases there are. */
  leases: {
    /** All leases. */
    total: number;
    /** Those that hold a task now. */
    active: number;
  };
  /** How many workers there are. */
  workers: {
    /** All workers. */
    total: number;
    /** Those that are online. */
    online: number;
  };
};

/** A task for a model: what is asked, and how far it is. */
export type Task = {
  /** The id of the task. */
  id: string;
  /** The context that the task belongs to: its creator's own name for it. */
  context_id: string;
  /** The agent that the task is for. */
  agent_slug: string;
  /** What the model is asked. */
  prompt: string;
  /** What the creator tells the agent about the context. */
  context_hints: string[];
  /** How an attempt is made, and the creator's own words about that. */
  policy: {
    /** How long one attempt may run, in seconds. */
    timeout_sec: number;
    /** The creator's own; the service keeps it and passes it on. */
    budget: number | {
      [name: string]: unknown;
    };
    /** The model's name, as the worker's CLI knows it. */
    model?: string;
    /** Labels that the router prefers a worker to have. */
    preferred_labels?: string[];
    /** As the task's own `allow_fallback`. */
    allow_fallback?: boolean;
  };
  /** The format of the output. */
  desired_format: "json" | "text" | "markdown";
  /** `queued`: it waits for a worker; `leased`: a worker has it; `running`: its worker has begun; `completed`: its result is there; `failed`: its result is an error; `dead`: it has no attempts left, or was not started in time; `cancelled`: somebody has cancelled it. */
  status: "queued" | "leased" | "running" | "completed" | "failed" | "dead" | "cancelled";
  /** When it was created. In epoch milliseconds. */
  created_at: number;
  /** When it was changed last. In epoch milliseconds. */
  updated_at: number;
  /** The lease that holds it, or that held it last. */
  lease_id: string | null;
  /** The worker of that lease. */
  worker_id: string | null;
  /** How many attempts have begun, without those that were given back. */
  attempts: number;
  /** After how many attempts it is dead. */
  max_attempts: number;
  /** The creator's name for this creation. */
  idempotency_key: string | null;
  /** A head start over tasks of priority 0, in minutes. */
  priority: number;
  /** The labels that a worker must have to get it. */
  requires: string[];
  /** Of the tasks with the same key, one at most is held at any moment. */
  concurrency_key: string | null;
  /** Labels that the router prefers a worker to have. */
  prefers: string[];
  /** How long it may wait for its first start, in seconds. */
  queue_ttl_sec: number | null;
  /** When it ends `dead` unless it was started. In epoch milliseconds. */
  queue_until: number | null;
  /** No worker gets it before that time, which its creator set. In epoch milliseconds. */
  not_before: number | null;
  /** The delays after an error; null: an error is not tried again. */
  retry: {
    /** The delay after the first error, in seconds. */
    base_delay_sec: number;
    /** The longest delay, in seconds. */
    max_delay_sec: number;
    /** How the delay grows: `exponential` (the default) doubles it, `linear` adds the first delay again. */
    backoff?: "linear" | "exponential";
  } | null;
  /** No worker gets it before that time, which is the delay after an error. In epoch milliseconds. */
  retry_at: number | null;
  /** How far the worker says it is. */
  progress: {
    /** From 0 to 1. */
    value: number | null;
    /** In the worker's words. */
    text: string | null;
  } | null;
  /** It is held, and will be cancelled when its lease ends. */
  cancel_requested: boolean;
  /** What was said when the last attempt ended without success, in 500 characters at most. */
  last_error: string | null;
  /** Why an attempt failed. docs/outcomes.md says what follows from each kind. */
  error_kind: "rate_limited" | "auth" | "overloaded" | "provider_error" | "timeout" | "parse_error" | "budget_exceeded" | "max_turns" | "prompt_too_long" | "invalid_input" | "no_cli" | "crashed" | "denied" | null;
  /** False: only the worker that had it first gets it again. */
  allow_fallback: boolean;
  /** The worker of the last attempt that came to nothing; without `allow_fallback`, of the first. */
  tried_by: string | null;
  /** Until then that worker leaves it to others, when it claims. In epoch milliseconds. */
  elsewhere_until: number | null;
  limits: Limits | null;
  usage: Usage | null;
  /** The worker goes on with the CLI session of its last task of the same context. */
  resume: boolean;
  /** The kind of agent, which is passed on. */
  agent_kind: string | null;
  /** Any JSON beside the prompt, which is passed on; null: none. */
  structured_input: unknown;
  /** Files that belong to the prompt. */
  attachments: Array<{
    /** Whether the file is at `url`, or is the text in `content`. */
    type: "presigned_url" | "inline";
    /** The media type of the file. */
    mime_type: string;
    /** Where the file can be read. */
    url?: string;
    /** The file itself. */
    content?: string;
    /** The name of the file. */
    filename?: string;
  }>;
  /** Where it belongs in the creator's own traces. */
  tracing: {
    /** The creator's id of the trace. */
    trace_id: string;
    /** The span that the task belongs to. */
    parent_span_id?: string;
    /** The creator's own. */
    metadata?: {
      [name: string]: unknown;
    };
  } | null;
  /** The trace that it belongs to, as the W3C Trace Context writes it: from the header `traceparent` of its creation, or from `tracing`. */
  traceparent: string | null;
  /** The JSON Schema that the output of a success must fit. */
  output_schema: {
    [name: string]: unknown;
  } | null;
  /** All that the CLI printed is kept as an artifact of its own. */
  keep_transcript: boolean;
  /** Who is told of its end. */
  callback_url: string | null;
  /** The size of the request as JSON, in bytes; null in rows of earlier versions. */
  size_bytes: number | null;
};

/** A task, and what came of it: both are null while it has not ended, and where its last lease brought none. */
export type TaskWithResult = {
  task: Task;
  /** With its output, where PostgreSQL holds that as text. */
  result: Result | null;
  artifact: Artifact | null;
};

/** An output that was uploaded ahead of its completion. */
export type Uploaded = {
  /** The id by which the completion names it. */
  output_id: string;
  /** How many bytes came. */
  size_bytes: number;
  /** The SHA-256 of the bytes, in hexadecimal. */
  sha256: string;
};

/** What the attempts of a task used together, as far as they said so. */
export type Usage = {
  /** How many attempts have ended. */
  attempts: number;
  /** How long they ran together, in milliseconds. */
  duration_ms: number;
  /** Tokens of all kinds. */
  tokens: number;
  /** Tokens of prompts. */
  input_tokens: number;
  /** Tokens of answers. */
  output_tokens: number;
  /** Tokens of prompts that the provider had in its cache. */
  cache_read_tokens: number;
  /** Tokens of prompts that the provider put into its cache. */
  cache_write_tokens: number;
  /** Turns of the model. */
  num_turns: number;
  /** An estimate of the cost, in US dollars. */
  cost_usd: number;
};

/** What attempts used under one value of a dimension. */
export type UsageSum = {
  /** The day, the account, the agent, … that it is the sum of. */
  key: string;
  /** How many attempts have ended. */
  attempts: number;
  /** How long they ran together, in milliseconds. */
  duration_ms: number;
  /** Tokens of all kinds. */
  tokens: number;
  /** Tokens of prompts. */
  input_tokens: number;
  /** Tokens of answers. */
  output_tokens: number;
  /** Tokens of prompts that the provider had in its cache. */
  cache_read_tokens: number;
  /** Tokens of prompts that the provider put into its cache. */
  cache_write_tokens: number;
  /** Turns of the model. */
  num_turns: number;
  /** An estimate of the cost, in US dollars. */
  cost_usd: number;
};

/** An address that is told of events. */
export type Webhook = {
  /** The id of the webhook. */
  id: string;
  /** Where events are sent. */
  url: string;
  /** The types of events that are sent, and groups of them. */
  events: string[];
  /** Until then, what is sent is signed with the secret before too. In epoch milliseconds. */
  previous_secret_until: number | null;
  /** Since when nothing is sent; null: it is on. In epoch milliseconds. */
  off_since: number | null;
  /** Why nothing is sent. */
  off_reason: string | null;
  /** When it was made. In epoch milliseconds. */
  created_at: number;
  /** When it was changed last. In epoch milliseconds. */
  updated_at: number;
  /** About when the receiver last took something. In epoch milliseconds. */
  last_success_at: number | null;
};

/** A machine with the CLI of a model, or an agent on it. */
export type Worker = {
  /** The worker's name, which is its id. */
  id: string;
  /** The same name. */
  node_id: string;
  /** Where its agent is called; empty: it claims its work itself. */
  url: string;
  /** Another node that answers at `url`; the agent is not called then. */
  answered_by: string | null;
  /** `online` gets work; `offline`: not heard of for 60 s. */
  status: "online" | "offline" | "syncing" | "error" | "unknown";
  /** What it can do. */
  capabilities: {
    /** It has a CLI, and the router may choose it. */
    claude_cli: boolean;
    /** How many tasks it may hold at the same time. */
    max_concurrency: number;
    /** What tasks may require of it. */
    labels: string[];
  };
  /** Its last sign of life. In epoch milliseconds. */
  last_heartbeat: number | null;
  /** The addresses of its machine. */
  ip_addrs: string[];
  /** What Membridge says of its memory: the number of observations. */
  obs_count: number;
  /** What Membridge says of its memory: the hash of the database. */
  db_sha: string;
  /** When it registered first. In epoch milliseconds. */
  registered_at: number;
  /** The version of its program. */
  agent_version: string;
  /** Its operating system. */
  os_info: string;
  /** How it was installed. */
  install_method: string;
  /** Identifies the run of its process; a new one means that it has restarted. */
  boot_id: string;
  /** It gets no new work, since somebody drained it. */
  drain: {
    /** The operator's reason. */
    reason: string;
    /** When it ends; null: when somebody resumes the worker. In epoch milliseconds. */
    until: number | null;
  } | null;
  rest: Rest | null;
  /** The account at the LLM's provider that its CLI uses; its own name where none was told. */
  account: string;
  account_rest: Rest | null;
  /** How many leases it holds now. */
  active_leases: number;
};

export type AddLiveOutputArgs = {
  /** The task's id. */
  id: string;
  /** The lease under which the worker has the task; without one, here or in `X-Lease-Id`, the task's current lease is meant. */
  lease_id?: string | null | undefined;
  /** The worker's own number of the piece, which grows; the same one again adds nothing. */
  seq: number;
  /** What was printed since the piece before. */
  text: string;
};

export type CancelTaskArgs = {
  /** The task's id. */
  id: string;
  /** Why it is cancelled: for the audit log and for people. */
  reason?: string | null | undefined;
};

export type CancelTasksArgs = {
  /** Which tasks: all that is given must match, and one must be given. */
  filter: {
    /** The state: `queued`, `leased`, `running`, `completed`, `failed`, `dead`, `cancelled`, or several of them with commas. */
    status?: string | string[] | undefined;
    /** The context. */
    context_id?: string | undefined;
    /** The agent that the task is for. */
    agent_slug?: string | undefined;
    /** The worker. */
    worker_id?: string | undefined;
    /** Why the last attempt failed: `rate_limited`, `auth`, `overloaded`, `provider_error`, `timeout`, `parse_error`, `budget_exceeded`, `max_turns`, `prompt_too_long`, `invalid_input`, `no_cli`, `crashed`, `denied`, or several of them with commas. */
    error_kind?: string | string[] | undefined;
    /** From this time on, in epoch milliseconds. */
    created_after?: string | number | undefined;
    /** From before this time, in epoch milliseconds. */
    created_before?: string | number | undefined;
    /** A part of the context's or the agent's name, in upper or lower case, or the first 8 or more characters of the id. */
    q?: string | undefined;
  };
  /** True: nothing is changed, and the answer says what would be. */
  dry_run?: boolean | null | undefined;
  /** How many at most, the oldest first; 1,000 where it is not given. */
  limit?: number | null | undefined;
  /** Why they are cancelled: for the audit log and for people. */
  reason?: string | null | undefined;
};

export type ChangeWebhookArgs = {
  /** The webhook's id. */
  id: string;
  /** Where the events are sent from now on. */
  url?: string | null | undefined;
  /** Types of events, and groups of them, as `task.*`. */
  events?: string[] | null | undefined;
  /** False: nothing is sent until it is turned on again. */
  on?: boolean | null | undefined;
};

export type ClaimTasksArgs = {
  /** The worker that claims. */
  worker_id: string;
  /** How many tasks at most; 1 where it is not given. */
  max_tasks?: number | null | undefined;
  /** How long to wait for a task where there is none, in seconds; 0 where it is not given. */
  wait_seconds?: number | null | undefined;
  /** How long the lease lives after each heartbeat, in seconds; usually 300, or the task's `timeout_sec` + 30 where that is longer. */
  ttl_seconds?: number | null | undefined;
  /** Only tasks for one of these agents. */
  agent_slugs?: string[] | null | undefined;
};

export type CompleteTaskArgs = {
  /** The task's id. */
  id: string;
  /** How the attempt ended. With `cli` it may be left out. */
  status?: "success" | "error" | undefined;
  /** The output, as text. `MAX_BODY_MB` bounds the whole request. */
  output?: string | null | undefined;
  /** What went wrong, in the worker's words. */
  error_message?: string | null | undefined;
  /** Why an attempt failed. docs/outcomes.md says what follows from each kind. */
  error_kind?: "rate_limited" | "auth" | "overloaded" | "provider_error" | "timeout" | "parse_error" | "budget_exceeded" | "max_turns" | "prompt_too_long" | "invalid_input" | "no_cli" | "crashed" | "denied" | null | undefined;
  /** What the attempt took. */
  metrics: {
    /** How long the attempt ran, in milliseconds. */
    duration_ms: number;
    /** Tokens of all kinds. */
    tokens_used?: number | null | undefined;
    /** The model that answered. */
    model?: string | null | undefined;
    /** The provider of the model. */
    provider?: string | null | undefined;
    /** Tokens of the prompt. */
    input_tokens?: number | null | undefined;
    /** Tokens of the answer. */
    output_tokens?: number | null | undefined;
    /** Tokens of the prompt that the provider had in its cache. */
    cache_read_tokens?: number | null | undefined;
    /** Tokens of the prompt that the provider put into its cache. */
    cache_write_tokens?: number | null | undefined;
    /** An estimate of the cost, in US dollars. */
    cost_usd?: number | null | undefined;
    /** Turns of the model. */
    num_turns?: number | null | undefined;
    /** The CLI's session, which a later task of the context may go on with. */
    session_id?: string | null | undefined;
    /** The tools that the CLI wanted to use and was not allowed to, each name once. */
    denied_tools?: string[] | null | undefined;
  };
  /** What the artifact of the output is. */
  artifact_type?: string | undefined;
  /** The worker's own words for the artifact. */
  artifact_tags?: string[] | undefined;
  /** The lease under which the worker has the task; it may also be sent as `X-Lease-Id`. */
  lease_id?: string | null | undefined;
  /** An output that was uploaded before, in place of `output`. */
  output_id?: string | null | undefined;
  /** The output is what this program printed, and the service reads it (docs/clis.md). */
  cli?: "claude" | "codex" | "gemini" | "opencode" | null | undefined;
  /** How the CLI's command ended; none where the worker ended it. */
  exit_code?: number | null | undefined;
  /** What there was of the output when the attempt failed, in place of `output`. */
  partial_output?: string | null | undefined;
  /** False: to try the task again would not help, whatever its `retry` says. */
  retryable?: boolean | null | undefined;
  /** Of `rate_limited`: when the account's limit ends, in epoch milliseconds. */
  resets_at?: number | null | undefined;
  /** Of `rate_limited`: when the account's limit ends, in milliseconds from now. */
  retry_after_ms?: number | null | undefined;
  /** What the CLI said of its account's allowance: 16 windows at most, by the provider's names. */
  windows?: {
    [name: string]: {
      /** The used share, from 0 to 1; null: not known. */
      used: number | null;
      /** When the window begins anew, in epoch milliseconds; null: not known. */
      resets_at: number | null;
    };
  } | null | undefined;
};

export type CreateKeyArgs = {
  /** The name, which the audit shows; for a worker, the worker's own. */
  name: string;
  /** What the key may do. */
  role: "submit" | "work" | "read" | "admin";
};

export type CreateTaskArgs = {
  /** The context that the task belongs to: the creator's own name for it. */
  context_id: string;
  /** The agent that the task is for. */
  agent_slug: string;
  /** What the model is asked. `MAX_BODY_MB` bounds the whole request. */
  prompt: string;
  /** What the agent is told of the context. */
  context_hints?: string[] | undefined;
  /** How an attempt is made, and the creator's own words about that. */
  policy?: {
    /** How long one attempt may run, in seconds; 120 where it is not given. */
    timeout_sec?: number | undefined;
    /** The creator's own number, or object of 10,000 bytes at most. It is kept and passed on. */
    budget?: number | {
      [name: string]: unknown;
    } | undefined;
    /** The name of the model, as the worker's CLI knows it. */
    model?: string | null | undefined;
    /** As the task's own `requires`; both together count. */
    required_labels?: string[] | null | undefined;
    /** As the task's own `prefers`; both together count. */
    preferred_labels?: string[] | null | undefined;
    /** As the task's own `allow_fallback`, which wins. It is passed on. */
    allow_fallback?: boolean | null | undefined;
    /** As the task's own `retry`, which wins. */
    retry?: {
      /** Replaces the task's own `max_attempts`. */
      max_attempts?: number | null | undefined;
      /** How the delay grows: `exponential` (the default) doubles it, `linear` adds the first delay again. */
      backoff?: "linear" | "exponential" | null | undefined;
      /** The delay after the first error, in seconds. */
      base_delay_sec?: number | undefined;
      /** The longest delay, in seconds. */
      max_delay_sec?: number | undefined;
    } | null | undefined;
  } | undefined;
  /** The format of the output; the artifact's media type follows it. */
  desired_format?: "json" | "text" | "markdown" | undefined;
  /** How often the task may be tried before it is dead. */
  max_attempts?: number | undefined;
  /** A head start over tasks of priority 0, in minutes; 0 where it is not given. */
  priority?: number | null | undefined;
  /** Labels that a worker must have to get the task. */
  requires?: string[] | undefined;
  /** Of the tasks with the same key, one at most is leased or running at any moment. */
  concurrency_key?: string | null | undefined;
  /** Where the service chooses the worker, one with all these labels goes before others. */
  prefers?: string[] | null | undefined;
  /** The task is dead when it was not started within this number of seconds after its creation, or after `not_before`. */
  queue_ttl_sec?: number | null | undefined;
  /** No worker gets the task before that time. In epoch milliseconds. */
  not_before?: number | null | undefined;
  /** The kind of agent, which is passed on. */
  agent_kind?: string | null | undefined;
  /** Any JSON beside the prompt, of 1,000,000 bytes at most, which is passed on. */
  structured_input?: unknown;
  /** Files that belong to the prompt. */
  attachments?: Array<{
    /** Whether the file is at `url`, or is the text in `content`. */
    type: "presigned_url" | "inline";
    /** The media type of the file. */
    mime_type: string;
    /** Where the file can be read: an http:// or https:// address. */
    url?: string | null | undefined;
    /** The file itself, as text. */
    content?: string | null | undefined;
    /** The name of the file. */
    filename?: string | null | undefined;
  }> | null | undefined;
  /** Where the task belongs in the creator's own traces, which is passed on. */
  tracing?: {
    /** The creator's id of the trace. */
    trace_id: string;
    /** The span that the task belongs to. */
    parent_span_id?: string | null | undefined;
    /** An object of the creator's own, of 10,000 bytes at most. */
    metadata?: {
      [name: string]: unknown;
    } | null | undefined;
  } | null | undefined;
  /** False: only the worker that had the task first gets it again. True where neither the task nor its `policy` says so. */
  allow_fallback?: boolean | null | undefined;
  /** The JSON Schema, of 65,536 bytes at most, that the output of a success must fit: else it is a `parse_error`. */
  output_schema?: {
    [name: string]: unknown;
  } | null | undefined;
  /** All that the CLI printed is kept as an artifact of its own. */
  keep_transcript?: boolean | null | undefined;
  /** What all attempts of the task may use together. */
  limits?: {
    /** US dollars, as the CLIs estimate them. */
    max_usd?: number | null | undefined;
    /** Tokens of all kinds. */
    max_tokens?: number | null | undefined;
    /** Turns of the model. */
    max_turns?: number | null | undefined;
  } | null | undefined;
  /** The worker goes on with the CLI session of its last task of the same context. */
  resume?: boolean | null | undefined;
  /** Who is told of the task's end, as webhooks are. Needs `CALLBACK_SECRET`. */
  callback_url?: string | null | undefined;
  /** An error is tried again after such a delay; without it, an error ends the task. */
  retry?: {
    /** Replaces the task's own `max_attempts`. */
    max_attempts?: number | null | undefined;
    /** How the delay grows: `exponential` (the default) doubles it, `linear` adds the first delay again. */
    backoff?: "linear" | "exponential" | null | undefined;
    /** The delay after the first error, in seconds. */
    base_delay_sec?: number | undefined;
    /** The longest delay, in seconds. */
    max_delay_sec?: number | undefined;
  } | null | undefined;
  /** As the header `Idempotency-Key`: 1 to 255 characters of printable ASCII. The same request again gives the same task. */
  idempotency_key?: string | null | undefined;
};

export type CreateTasksArgs = {
  /** Each as the body of a creation, with its key as `idempotency_key`. */
  tasks: unknown[];
};

export type CreateWebhookArgs = {
  /** Where the events are sent: an http:// or https:// address within `OUTBOUND_ALLOW`. */
  url: string;
  /** Types of events, and groups of them, as `task.*`. */
  events: string[];
  /** What signs: `whsec_` and 24 to 64 bytes in Base64. One is made where none is given. */
  secret?: string | null | undefined;
};

export type DispatchTaskArgs = {
  /** The task's id. */
  id: string;
  /** Who shall have the task; without it, the best worker with room. */
  worker_id?: string | null | undefined;
  /** How long the lease lives after each heartbeat, in seconds; usually 300, or the task's `timeout_sec` + 30 where that is longer. */
  ttl_seconds?: number | null | undefined;
};

export type DrainWorkerArgs = {
  /** The worker's name. */
  id: string;
  /** Why it is drained: for the audit log and for people. */
  reason?: string | null | undefined;
  /** For how long, in minutes; without it, until somebody resumes the worker. */
  minutes?: number | null | undefined;
};

export type ExplainTaskArgs = {
  /** The task's id. */
  id: string;
};

export type GetAccountArgs = {
  /** The account's name. */
  id: string;
};

export type GetAgentHealthArgs = {
  /** The worker's name. */
  id: string;
};

export type GetArtifactArgs = {
  /** The artifact's id. */
  id: string;
};

export type GetArtifactContentArgs = {
  /** The artifact's id. */
  id: string;
};

export type GetArtifactUrlArgs = {
  /** The artifact's id. */
  id: string;
  /** For how long, in seconds: 3,600 where it is not given, and 604,800 (seven days) at most. */
  expires_seconds?: number | string | undefined;
};

export type GetConsoleFileArgs = {
  /** The file's name. */
  file: string;
};

export type GetConsolePageArgs = {
  /** The page's name. */
  page: string;
};

export type GetConsoleRecordArgs = {
  /** The page's name. */
  page: string;
  /** The id of the page's record. */
  id: string;
};

export type GetInstallScriptArgs = {
  /** The name of the worker; the machine's own name where it is not given. */
  node_id?: string | undefined;
  /** Where the worker finds this service; the address of this call where it is not given. */
  server_url?: string | undefined;
};

export type GetLeadershipArgs = {
  /** The project's id in Membridge. */
  cid: string;
};

export type GetLiveOutputArgs = {
  /** The task's id. */
  id: string;
  /** The position behind which the answer begins; 0 where it is not given. */
  after?: number | string | undefined;
};

export type GetTaskArgs = {
  /** The task's id. */
  id: string;
};

export type GetTaskInputArgs = {
  /** The task's id. */
  id: string;
  /** `context_hints`, `structured_input`, `attachments`, `tracing` or `output_schema`. */
  name: string;
};

export type GetTaskResultArgs = {
  /** The task's id. */
  id: string;
  /** How long to wait for the task's end, in seconds: 0 where it is not given, and 25 at most. */
  wait_seconds?: number | string | undefined;
};

export type GetUsageArgs = {
  /** What it is summed up by; `day` where it is not given. */
  by?: "day" | "account" | "agent_slug" | "context_id" | "worker_id" | "model" | undefined;
  /** The first day. In UTC, as `2026-01-31`. */
  since?: string | undefined;
  /** The last day. In UTC, as `2026-01-31`. */
  until?: string | undefined;
  /** What this account alone used, by day. */
  account?: string | undefined;
  /** How many at most: 100 where it is not given, and never more than 1000. */
  limit?: number | string | undefined;
};

export type GetWebhookArgs = {
  /** The webhook's id. */
  id: string;
};

export type GetWorkerArgs = {
  /** The worker's name. */
  id: string;
};

export type HeartbeatTaskArgs = {
  /** The task's id. */
  id: string;
  /** The lease under which the worker has the task; without one, here or in `X-Lease-Id`, the task's current lease is meant. */
  lease_id?: string | null | undefined;
  /** How far the worker is: a share from 0 to 1, a text, or both. */
  progress?: number | string | {
    /** The share that is done, from 0 to 1. */
    value?: number | null | undefined;
    /** In the worker's words. */
    text?: string | null | undefined;
  } | null | undefined;
};

export type LeaseTaskArgs = {
  /** The task's id. */
  id: string;
  /** Who shall have the task; without it, the best worker with room. */
  worker_id?: string | null | undefined;
  /** How long the lease lives after each heartbeat, in seconds; usually 300, or the task's `timeout_sec` + 30 where that is longer. */
  ttl_seconds?: number | null | undefined;
};

export type ListAccountsArgs = {
  /** How many at most: 500 where it is not given, and never more than 1000. */
  limit?: number | string | undefined;
  /** The name behind which the page begins, as the `Link` of the page before says. */
  after?: string | undefined;
};

export type ListArtifactsArgs = {
  /** How many at most: 500 where it is not given, and never more than 1000. */
  limit?: number | string | undefined;
  /** Where the page begins, as the `Link` of the page before says. */
  after?: string | undefined;
  /** The task. */
  task_id?: string | undefined;
  /** What the artifact is, as `LLM_RESULT`. */
  type?: string | undefined;
  /** From this time on, in epoch milliseconds. */
  created_after?: string | number | undefined;
  /** From before this time, in epoch milliseconds. */
  created_before?: string | number | undefined;
  /** `slim`: without what may be long, and with its size instead. */
  fields?: "slim" | undefined;
};

export type ListAuditArgs = {
  /** How many at most: 100 where it is not given, and never more than 1000. */
  limit?: number | string | undefined;
  /** Where the page begins, as the `Link` of the page before says. */
  after?: string | undefined;
  /** To which thing it was done. */
  entity_id?: string | undefined;
  /** What was done, as `task_created`; several with commas. */
  action?: string | undefined;
  /** To what kind of thing it was done, as `llm_task`. */
  entity_type?: string | undefined;
  /** Who did it: a named key, or a part of the service. */
  actor?: string | undefined;
  /** From this time on, in epoch milliseconds. */
  created_after?: string | number | undefined;
  /** From before this time, in epoch milliseconds. */
  created_before?: string | number | undefined;
};

export type ListDeliveriesArgs = {
  /** How many at most: 500 where it is not given, and never more than 1000. */
  limit?: number | string | undefined;
  /** Where the page begins, as the `Link` of the page before says. */
  after?: string | undefined;
  /** The webhook. */
  webhook_id?: string | undefined;
  /** How far the delivery is. */
  state?: "pending" | "delivered" | "failed" | undefined;
  /** The task that the event is about. */
  task_id?: string | undefined;
};

export type ListHistoryArgs = {
  /** The task's id. */
  id: string;
  /** How many at most: 500 where it is not given, and never more than 1000. */
  limit?: number | string | undefined;
  /** Where the page begins, as the `Link` of the page before says. */
  after?: string | undefined;
  /** What was done, as `task_created`; several with commas. */
  action?: string | undefined;
  /** To what kind of thing it was done, as `llm_task`. */
  entity_type?: string | undefined;
  /** Who did it: a named key, or a part of the service. */
  actor?: string | undefined;
};

export type ListLeasesArgs = {
  /** How many at most: 500 where it is not given, and never more than 1000. */
  limit?: number | string | undefined;
  /** Where the page begins, as the `Link` of the page before says. */
  after?: string | undefined;
  /** The state: `active`, `expired`, `released`, `failed`, or several of them with commas. */
  status?: string | string[] | undefined;
  /** The task. */
  task_id?: string | undefined;
  /** The worker. */
  worker_id?: string | undefined;
  /** The context. */
  context_id?: string | undefined;
  /** From this time on, in epoch milliseconds. */
  created_after?: string | number | undefined;
  /** From before this time, in epoch milliseconds. */
  created_before?: string | number | undefined;
};

export type ListNodesArgs = {
  /** The project's id in Membridge. */
  cid: string;
};

export type ListResultsArgs = {
  /** The task's id. */
  id: string;
  /** How many at most: 500 where it is not given, and never more than 1000. */
  limit?: number | string | undefined;
  /** Where the page begins, as the `Link` of the page before says. */
  after?: string | undefined;
  /** The worker. */
  worker_id?: string | undefined;
  /** How the attempt ended: `success`, `error`, or several of them with commas. */
  status?: string | string[] | undefined;
  /** Why the attempt failed: `rate_limited`, `auth`, `overloaded`, `provider_error`, `timeout`, `parse_error`, `budget_exceeded`, `max_turns`, `prompt_too_long`, `invalid_input`, `no_cli`, `crashed`, `denied`, or several of them with commas. */
  error_kind?: string | string[] | undefined;
  /** `slim`: without what may be long, and with its size instead. */
  fields?: "slim" | undefined;
};

export type ListRunsArgs = {
  /** How many of the 50 are still to come, as the `Link` of a page says that was full with fewer. */
  limit?: number | string | undefined;
  /** Where the page begins, as the `Link` of the page before says. */
  after?: string | undefined;
  /** `slim`: without what may be long, and with its size instead. */
  fields?: "slim" | undefined;
};

export type ListTasksArgs = {
  /** How many at most: 500 where it is not given, and never more than 1000. */
  limit?: number | string | undefined;
  /** Where the page begins, as the `Link` of the page before says. */
  after?: string | undefined;
  /** The state: `queued`, `leased`, `running`, `completed`, `failed`, `dead`, `cancelled`, or several of them with commas. */
  status?: string | string[] | undefined;
  /** The context. */
  context_id?: string | undefined;
  /** The agent that the task is for. */
  agent_slug?: string | undefined;
  /** The worker. */
  worker_id?: string | undefined;
  /** Why the last attempt failed: `rate_limited`, `auth`, `overloaded`, `provider_error`, `timeout`, `parse_error`, `budget_exceeded`, `max_turns`, `prompt_too_long`, `invalid_input`, `no_cli`, `crashed`, `denied`, or several of them with commas. */
  error_kind?: string | string[] | undefined;
  /** From this time on, in epoch milliseconds. */
  created_after?: string | number | undefined;
  /** From before this time, in epoch milliseconds. */
  created_before?: string | number | undefined;
  /** A part of the context's or the agent's name, in upper or lower case, or the first 8 or more characters of the id. */
  q?: string | undefined;
  /** `slim`: without what may be long, and with its size instead. */
  fields?: "slim" | undefined;
};

export type ListWorkersArgs = {
  /** How many at most: 500 where it is not given, and never more than 1000. */
  limit?: number | string | undefined;
  /** The name behind which the page begins, as the `Link` of the page before says. */
  after?: string | undefined;
  /** The state: `online`, `offline`, `syncing`, `error`, `unknown`, or several of them with commas. */
  status?: string | string[] | undefined;
  /** The account that they use. */
  account?: string | undefined;
  /** A part of the name, in upper or lower case. */
  q?: string | undefined;
};

export type RegisterWorkerArgs = {
  /** `online` where a new worker does not say otherwise. */
  status?: "online" | "offline" | "syncing" | "error" | "unknown" | null | undefined;
  /** What it can do. A field in here that is not sent keeps its value too. */
  capabilities?: {
    /** It has a CLI, and the router may choose it; true for a new worker. */
    claude_cli?: boolean | null | undefined;
    /** How many tasks it may hold at the same time; 1 for a new worker. */
    max_concurrency?: number | null | undefined;
    /** What tasks may require of it; none for a new worker. */
    labels?: string[] | null | undefined;
  } | null | undefined;
  /** The addresses of its machine. */
  ip_addrs?: string[] | null | undefined;
  /** The version of its program. */
  agent_version?: string | null | undefined;
  /** Its operating system. */
  os_info?: string | null | undefined;
  /** How it was installed. */
  install_method?: string | null | undefined;
  /** Identifies the run of its process. Another one than before means a restart: what it held is queued again. */
  boot_id?: string | null | undefined;
  /** The account at the LLM's provider that its CLI uses; its own name where none was ever sent. */
  account?: string | null | undefined;
  /** The worker's name, which is its id. */
  name: string;
  /** Where its agent is called: an http:// or https:// address without a query. Empty: it claims its work itself. */
  url?: "" | string | null | undefined;
};

export type ReleaseTaskArgs = {
  /** The task's id. */
  id: string;
  /** The lease under which the worker has the task; it may also be sent as `X-Lease-Id`. */
  lease_id: string;
  /** Why it is handed back: for the audit log and for people. */
  reason?: string | null | undefined;
  /** True: the worker has begun with it, and cannot do it for a reason of its own. The attempt does not count. */
  started?: boolean | null | undefined;
};

export type RemoveWebhookArgs = {
  /** The webhook's id. */
  id: string;
};

export type RemoveWorkerArgs = {
  /** The worker's name. */
  id: string;
};

export type ReplayTaskArgs = {
  /** The task's id. */
  id: string;
  /** Fields of a creation, in place of the old task's own; null takes a field away. */
  changes?: {
    [name: string]: unknown;
  } | null | undefined;
};

export type ReplayTasksArgs = {
  /** Which tasks: all that is given must match, and one must be given. */
  filter: {
    /** The state: `queued`, `leased`, `running`, `completed`, `failed`, `dead`, `cancelled`, or several of them with commas. */
    status?: string | string[] | undefined;
    /** The context. */
    context_id?: string | undefined;
    /** The agent that the task is for. */
    agent_slug?: string | undefined;
    /** The worker. */
    worker_id?: string | undefined;
    /** Why the last attempt failed: `rate_limited`, `auth`, `overloaded`, `provider_error`, `timeout`, `parse_error`, `budget_exceeded`, `max_turns`, `prompt_too_long`, `invalid_input`, `no_cli`, `crashed`, `denied`, or several of them with commas. */
    error_kind?: string | string[] | undefined;
    /** From this time on, in epoch milliseconds. */
    created_after?: string | number | undefined;
    /** From before this time, in epoch milliseconds. */
    created_before?: string | number | undefined;
    /** A part of the context's or the agent's name, in upper or lower case, or the first 8 or more characters of the id. */
    q?: string | undefined;
  };
  /** True: nothing is changed, and the answer says what would be. */
  dry_run?: boolean | null | undefined;
  /** How many at most, the oldest first; 1,000 where it is not given. */
  limit?: number | null | undefined;
  /** Fields of a creation, in place of the old tasks' own. */
  changes?: {
    [name: string]: unknown;
  } | null | undefined;
  /** Names the whole call, so that it can be sent again without replaying anything twice. */
  idempotency_key: string;
};

export type RequeueTaskArgs = {
  /** The task's id. */
  id: string;
};

export type RequeueTasksArgs = {
  /** Which tasks: all that is given must match, and one must be given. */
  filter: {
    /** The state: `queued`, `leased`, `running`, `completed`, `failed`, `dead`, `cancelled`, or several of them with commas. */
    status?: string | string[] | undefined;
    /** The context. */
    context_id?: string | undefined;
    /** The agent that the task is for. */
    agent_slug?: string | undefined;
    /** The worker. */
    worker_id?: string | undefined;
    /** Why the last attempt failed: `rate_limited`, `auth`, `overloaded`, `provider_error`, `timeout`, `parse_error`, `budget_exceeded`, `max_turns`, `prompt_too_long`, `invalid_input`, `no_cli`, `crashed`, `denied`, or several of them with commas. */
    error_kind?: string | string[] | undefined;
    /** From this time on, in epoch milliseconds. */
    created_after?: string | number | undefined;
    /** From before this time, in epoch milliseconds. */
    created_before?: string | number | undefined;
    /** A part of the context's or the agent's name, in upper or lower case, or the first 8 or more characters of the id. */
    q?: string | undefined;
  };
  /** True: nothing is changed, and the answer says what would be. */
  dry_run?: boolean | null | undefined;
  /** How many at most, the oldest first; 1,000 where it is not given. */
  limit?: number | null | undefined;
};

export type ResendDeliveryArgs = {
  /** The delivery's id. */
  id: string;
};

export type RestWorkerArgs = {
  /** The worker's name. */
  id: string;
  /** Why it can do no work: for the audit log and for people. */
  reason?: string | null | undefined;
  /** For how long, in seconds. */
  seconds: number;
};

export type RestartAgentArgs = {
  /** The worker's name. */
  id: string;
};

export type ResumeAccountArgs = {
  /** The account's name. */
  id: string;
};

export type ResumeWorkerArgs = {
  /** The worker's name. */
  id: string;
};

export type RevokeKeyArgs = {
  /** The key's name. */
  name: string;
  /** `true`: the older of two valid keys alone. */
  older?: "true" | "false" | undefined;
};

export type RotateWebhookSecretArgs = {
  /** The webhook's id. */
  id: string;
  /** The new secret. One is made where none is given. */
  secret?: string | null | undefined;
  /** For how long the secret before signs too, in seconds. */
  keep_seconds?: number | undefined;
};

export type SaveConfigArgs = {
  /** Where Membridge is. */
  membridge_server_url: string;
  /** Membridge's admin key, in 4,096 characters at most. No answer ever shows it. */
  admin_key: string;
};

export type SelectLeaderArgs = {
  /** The project's id in Membridge. */
  cid: string;
  /** The node that shall be the primary. */
  primary_node_id?: string | undefined;
};

export type StreamEventsArgs = {
  /** Types of events with commas between them, or their first part, as `task.*`; all where it is not given. */
  types?: string | undefined;
  /** As `Last-Event-ID`, which wins: the id behind which the events begin. */
  after?: string | undefined;
  /** Only events about this task. */
  task_id?: string | undefined;
};

export type UninstallAgentArgs = {
  /** The worker's name. */
  id: string;
};

export type UpdateAgentArgs = {
  /** The worker's name. */
  id: string;
};

export type UploadOutputArgs = {
  /** The task's id. */
  id: string;
} & { bytes: Bytes };

export interface Methods {
  /** Add to what a task prints. Its fields may also be sent as query parameters or as a form. For keys with the role `work`, `admin`. */
  addLiveOutput(args: AddLiveOutputArgs, options?: Options<"X-Lease-Id">): Promise<undefined>;

  /** Cancel a task. For keys with the role `admin`. */
  cancelTask(args: CancelTaskArgs, options?: Options): Promise<Task>;

  /** Cancel the tasks that match a filter. For keys with the role `admin`. */
  cancelTasks(args: CancelTasksArgs, options?: Options): Promise<ChangedTasks>;

  /** Change a webhook, turn it on or off. What is not sent stays as it is. Turned on, it sends what was pending when it was turned off. For keys with the role `admin`. */
  changeWebhook(args: ChangeWebhookArgs, options?: Options): Promise<Webhook>;

  /** Claim tasks for a worker. The oldest tasks that the worker may have, up to `max_tasks` and 16 MB. Without any, the call waits for up to `wait_seconds`. Its fields may also be sent as query parameters or as a form. For keys with the role `work`, `admin`. */
  claimTasks(args: ClaimTasksArgs, options?: Options): Promise<Claimed | undefined>;

  /** Hand in the result of an attempt. The same completion again gets the same answer. A success that comes too late is kept as an artifact, and answered 409. Its fields may also be sent as query parameters or as a form. For keys with the role `work`, `admin`. */
  completeTask(args: CompleteTaskArgs, options?: Options<"X-Lease-Id">): Promise<Completed>;

  /** Make a named key. For keys with the role `admin`. */
  createKey(args: CreateKeyArgs, options?: Options): Promise<{
    /** The name of the key. */
    name: string;
    /** What it may do. */
    role: "submit" | "work" | "read" | "admin";
    /** What callers send in `X-Runtime-API-Key`. */
    key: string;
  }>;

  /** Refuse to create a project. For keys with the role `admin`. */
  createProject(args?: Record<string, never>, options?: Options): Promise<undefined>;

  /** Create a task. For keys with the role `submit`, `admin`. */
  createTask(args: CreateTaskArgs, options: Options<"Idempotency-Key" | "Prefer"> & { headers: { Prefer: string } }): Promise<Task | TaskWithResult>;
  createTask(args: CreateTaskArgs, options?: Options<"Idempotency-Key" | "Prefer">): Promise<Task>;

  /** Create up to 1,000 tasks. For keys with the role `submit`, `admin`. */
  createTasks(args: CreateTasksArgs, options?: Options): Promise<CreatedTasks>;

  /** Have events sent to an address. Signed by the Standard Webhooks specification, with a secret that is shown only in this answer. For keys with the role `admin`. */
  createWebhook(args: CreateWebhookArgs, options?: Options): Promise<{
    /** The id of the webhook. */
    id: string;
    /** Where events are sent. */
    url: string;
    /** The types of events that are sent, and groups of them. */
    events: string[];
    /** Until then, what is sent is signed with the secret before too. In epoch milliseconds. */
    previous_secret_until: number | null;
    /** Since when nothing is sent; null: it is on. In epoch milliseconds. */
    off_since: number | null;
    /** Why nothing is sent. */
    off_reason: string | null;
    /** When it was made. In epoch milliseconds. */
    created_at: number;
    /** When it was changed last. In epoch milliseconds. */
    updated_at: number;
    /** About when the receiver last took something. In epoch milliseconds. */
    last_success_at: number | null;
    /** What signs, which is shown only now. */
    secret: string;
  }>;

  /** Lease a task and have an agent execute it. For keys with the role `admin`. */
  dispatchTask(args: DispatchTaskArgs, options?: Options): Promise<Dispatched>;

  /** Give a worker no new work. For keys with the role `admin`. */
  drainWorker(args: DrainWorkerArgs, options?: Options): Promise<Worker>;

  /** Explain the state of a task. For keys with the role `read`, `submit`, `admin`. */
  explainTask(args: ExplainTaskArgs, options?: Options): Promise<Explanation>;

  /** Read an account. For keys with the role `read`, `submit`, `admin`. */
  getAccount(args: GetAccountArgs, options?: Options): Promise<Account>;

  /** Ask a worker's agent how it is. For keys with the role `admin`. */
  getAgentHealth(args: GetAgentHealthArgs, options?: Options): Promise<AgentHealth>;

  /** Read an artifact. For keys with the role `read`, `submit`, `admin`. */
  getArtifact(args: GetArtifactArgs, options?: Options): Promise<Artifact>;

  /** Read the bytes of an artifact. For keys with the role `read`, `submit`, `admin`. */
  getArtifactContent(args: GetArtifactContentArgs, options?: Options<"Range" | "If-None-Match" | "If-Range">): Promise<Response>;

  /** Make an address at which anybody may read an artifact. For keys with the role `read`, `submit`, `admin`. */
  getArtifactUrl(args: GetArtifactUrlArgs, options?: Options): Promise<{
    /** Where anybody may read it. */
    url: string;
    /** For how long, in seconds. */
    expires_seconds: number;
  }>;

  /** Read where Membridge is. For keys with the role `read`, `submit`, `admin`. */
  getConfig(args?: Record<string, never>, options?: Options): Promise<RuntimeConfig>;

  /** Open the console. Open: it needs no key. */
  getConsole(args?: Record<string, never>, options?: Options): Promise<Response>;

  /** Read a file of the console. Open: it needs no key. */
  getConsoleFile(args: GetConsoleFileArgs, options?: Options): Promise<Response>;

  /** Open a page of the console. Open: it needs no key. */
  getConsolePage(args: GetConsolePageArgs, options?: Options): Promise<Response>;

  /** Open the console's page of one record. Open: it needs no key. */
  getConsoleRecord(args: GetConsoleRecordArgs, options?: Options): Promise<Response>;

  /** Read what the calls are, as OpenAPI 3.1. Open: it needs no key. */
  getDocument(args?: Record<string, never>, options?: Options<"If-None-Match">): Promise<{
    /** The version of OpenAPI. */
    openapi: string;
    [name: string]: unknown;
  }>;

  /** Ask how the service is. Open: it needs no key. */
  getHealth(args?: Record<string, never>, options?: Options): Promise<Health>;

  /** Ask who a key is, and what it may do. For keys with the role `submit`, `work`, `read`, `admin`. */
  getIdentity(args?: Record<string, never>, options?: Options): Promise<Identity>;

  /** Read a script that installs the shell worker. For keys with the role `read`, `submit`, `work`, `admin`. */
  getInstallScript(args?: GetInstallScriptArgs, options?: Options): Promise<Response>;

  /** Read the leadership of a project. For keys with the role `read`, `submit`, `admin`. */
  getLeadership(args: GetLeadershipArgs, options?: Options): Promise<unknown>;

  /** Read what a task prints. For keys with the role `read`, `submit`, `admin`. */
  getLiveOutput(args: GetLiveOutputArgs, options?: Options<"Last-Event-ID">): Promise<LiveOutput>;

  /** Ask whether the process is alive. Open: it needs no key. */
  getLiveness(args?: Record<string, never>, options?: Options): Promise<{
    status: "alive";
  }>;

  /** Ask Membridge how it is. Open: it needs no key. */
  getMembridgeHealth(args?: Record<string, never>, options?: Options): Promise<unknown>;

  /** Read the metrics. For Prometheus. docs/metrics.md describes each of them, and says which are of the instance and which of the database. For keys with the role `read`, `submit`, `admin`. `METRICS_KEY` opens it too. */
  getMetrics(args?: Record<string, never>, options?: Options): Promise<Response>;

  /** Read how the work goes. For keys with the role `read`, `submit`, `admin`. */
  getOverview(args?: Record<string, never>, options?: Options): Promise<Overview>;

  /** Read what the calls are, as a page. Open: it needs no key. */
  getPage(args?: Record<string, never>, options?: Options<"If-None-Match">): Promise<Response>;

  /** Ask whether requests may be sent. Open: it needs no key. */
  getReadiness(args?: Record<string, never>, options?: Options): Promise<{
    status: "ready";
  }>;

  /** Go to the console. Open: it needs no key. */
  getStart(args?: Record<string, never>, options?: Options): Promise<undefined>;

  /** Count tasks, leases and workers. For keys with the role `read`, `submit`, `admin`. */
  getStats(args?: Record<string, never>, options?: Options): Promise<Stats>;

  /** Read the style of that page. Open: it needs no key. */
  getStyle(args?: Record<string, never>, options?: Options<"If-None-Match">): Promise<Response>;

  /** Read a task. For keys with the role `read`, `submit`, `admin`. */
  getTask(args: GetTaskArgs, options?: Options): Promise<Task>;

  /** Read what a task brings besides its prompt. For keys with the role `work`, `read`, `submit`, `admin`. */
  getTaskInput(args: GetTaskInputArgs, options?: Options<"X-Lease-Id">): Promise<Response>;

  /** Wait for what comes of a task. For keys with the role `read`, `submit`, `admin`. */
  getTaskResult(args: GetTaskResultArgs, options?: Options): Promise<TaskWithResult>;

  /** Sum up what attempts used. For keys with the role `read`, `submit`, `admin`. */
  getUsage(args?: GetUsageArgs, options?: Options): Promise<UsageSum[]>;

  /** Read a webhook. For keys with the role `admin`. */
  getWebhook(args: GetWebhookArgs, options?: Options): Promise<Webhook>;

  /** Read a worker and its leases. For keys with the role `read`, `submit`, `admin`. */
  getWorker(args: GetWorkerArgs, options?: Options): Promise<{
    /** The worker's name, which is its id. */
    id: string;
    /** The same name. */
    node_id: string;
    /** Where its agent is called; empty: it claims its work itself. */
    url: string;
    /** Another node that answers at `url`; the agent is not called then. */
    answered_by: string | null;
    /** `online` gets work; `offline`: not heard of for 60 s. */
    status: "online" | "offline" | "syncing" | "error" | "unknown";
    /** What it can do. */
    capabilities: {
      /** It has a CLI, and the router may choose it. */
      claude_cli: boolean;
      /** How many tasks it may hold at the same time. */
      max_concurrency: number;
      /** What tasks may require of it. */
      labels: string[];
    };
    /** Its last sign of life. In epoch milliseconds. */
    last_heartbeat: number | null;
    /** The addresses of its machine. */
    ip_addrs: string[];
    /** What Membridge says of its memory: the number of observations. */
    obs_count: number;
    /** What Membridge says of its memory: the hash of the database. */
    db_sha: string;
    /** When it registered first. In epoch milliseconds. */
    registered_at: number;
    /** The version of its program. */
    agent_version: string;
    /** Its operating system. */
    os_info: string;
    /** How it was installed. */
    install_method: string;
    /** Identifies the run of its process; a new one means that it has restarted. */
    boot_id: string;
    /** It gets no new work, since somebody drained it. */
    drain: {
      /** The operator's reason. */
      reason: string;
      /** When it ends; null: when somebody resumes the worker. In epoch milliseconds. */
      until: number | null;
    } | null;
    rest: Rest | null;
    /** The account at the LLM's provider that its CLI uses; its own name where none was told. */
    account: string;
    account_rest: Rest | null;
    /** How many leases it holds now. */
    active_leases: number;
    /** The 1,000 newest at most. */
    leases: Lease[];
  }>;

  /** Read the shell worker. For keys with the role `work`, `read`, `submit`, `admin`. */
  getWorkerScript(args?: Record<string, never>, options?: Options): Promise<Response>;

  /** Renew a lease. Its fields may also be sent as query parameters or as a form. For keys with the role `work`, `admin`. */
  heartbeatTask(args: HeartbeatTaskArgs, options?: Options<"X-Lease-Id">): Promise<HeartbeatAnswer>;

  /** Lease a task to a worker. To `worker_id`, or to the best worker with room where none is named. For keys with the role `work`, `admin`. */
  leaseTask(args: LeaseTaskArgs, options?: Options): Promise<LeaseGrant>;

  /** List the accounts at LLM providers. For keys with the role `read`, `submit`, `admin`. */
  listAccounts(args?: ListAccountsArgs, options?: Options): Promise<Page<Account>>;

  /** List artifacts. For keys with the role `read`, `submit`, `admin`. */
  listArtifacts(args: ListArtifactsArgs & { fields: "slim" }, options?: Options): Promise<Page<SlimArtifact>>;
  listArtifacts(args?: ListArtifactsArgs, options?: Options): Promise<Page<Artifact>>;

  /** List who did what. For keys with the role `read`, `submit`, `admin`. */
  listAudit(args?: ListAuditArgs, options?: Options): Promise<Page<AuditEntry>>;

  /** List what was sent to webhooks and callbacks. For keys with the role `admin`. */
  listDeliveries(args?: ListDeliveriesArgs, options?: Options): Promise<Page<Delivery>>;

  /** List what happened to a task. For keys with the role `read`, `submit`, `admin`. */
  listHistory(args: ListHistoryArgs, options?: Options): Promise<Page<AuditEntry>>;

  /** List the named keys. For keys with the role `admin`. */
  listKeys(args?: Record<string, never>, options?: Options): Promise<Key[]>;

  /** List leases. For keys with the role `read`, `submit`, `admin`. */
  listLeases(args?: ListLeasesArgs, options?: Options): Promise<Page<Lease>>;

  /** List Membridge's projects. For keys with the role `read`, `submit`, `admin`. */
  listMembridgeProjects(args?: Record<string, never>, options?: Options): Promise<unknown>;

  /** Read the nodes of a project. For keys with the role `read`, `submit`, `admin`. */
  listNodes(args: ListNodesArgs, options?: Options): Promise<unknown>;

  /** List nothing, for pages of the earlier service. For keys with the role `read`, `submit`, `admin`. */
  listProjects(args?: Record<string, never>, options?: Options): Promise<never[]>;

  /** List the results of a task. For keys with the role `read`, `submit`, `admin`. */
  listResults(args: ListResultsArgs & { fields: "slim" }, options?: Options): Promise<Page<SlimResult>>;
  listResults(args: ListResultsArgs, options?: Options): Promise<Page<Result>>;

  /** List the 50 newest tasks. For keys with the role `read`, `submit`, `admin`. */
  listRuns(args: ListRunsArgs & { fields: "slim" }, options?: Options): Promise<Page<SlimTask>>;
  listRuns(args?: ListRunsArgs, options?: Options): Promise<Page<Task>>;

  /** List tasks. For keys with the role `read`, `submit`, `admin`. */
  listTasks(args: ListTasksArgs & { fields: "slim" }, options?: Options): Promise<Page<SlimTask>>;
  listTasks(args?: ListTasksArgs, options?: Options): Promise<Page<Task>>;

  /** List the webhooks. For keys with the role `admin`. */
  listWebhooks(args?: Record<string, never>, options?: Options): Promise<Webhook[]>;

  /** List workers. For keys with the role `read`, `submit`, `admin`. */
  listWorkers(args?: ListWorkersArgs, options?: Options): Promise<Page<Worker>>;

  /** Learn that there is no stream without a request. For keys with the role `read`, `submit`, `admin`. */
  refuseToolStream(args?: Record<string, never>, options?: Options): Promise<undefined>;

  /** Register or update a worker. What is not sent keeps its value where the worker is known. Its fields may also be sent as query parameters or as a form. For keys with the role `work`, `admin`. */
  registerWorker(args: RegisterWorkerArgs, options?: Options): Promise<Worker>;

  /** Hand a task back. The attempt is given back. Its fields may also be sent as query parameters or as a form. For keys with the role `work`, `admin`. */
  releaseTask(args: ReleaseTaskArgs, options?: Options<"X-Lease-Id">): Promise<Task>;

  /** Remove a webhook. What was still to be sent to it is dropped. For keys with the role `admin`. */
  removeWebhook(args: RemoveWebhookArgs, options?: Options): Promise<{
    removed: true;
    /** The webhook's id. */
    id: string;
  }>;

  /** Forget a worker. What it holds goes back to the queue. For keys with the role `admin`. */
  removeWorker(args: RemoveWorkerArgs, options?: Options): Promise<{
    removed: true;
    /** The worker's name. */
    id: string;
  }>;

  /** Create a task from an old one. The request of the old task, with the fields in `changes` in place of its own. For keys with the role `submit`, `admin`. */
  replayTask(args: ReplayTaskArgs, options: Options<"Idempotency-Key" | "Prefer"> & { headers: { Prefer: string } }): Promise<Task | TaskWithResult>;
  replayTask(args: ReplayTaskArgs, options?: Options<"Idempotency-Key" | "Prefer">): Promise<Task>;

  /** Create new tasks from those that match a filter. For keys with the role `submit`, `admin`. */
  replayTasks(args: ReplayTasksArgs, options?: Options): Promise<ChangedTasks>;

  /** Start a failed or dead task anew. For keys with the role `admin`. */
  requeueTask(args: RequeueTaskArgs, options?: Options): Promise<Task>;

  /** Queue the failed and dead tasks that match a filter again. For keys with the role `admin`. */
  requeueTasks(args: RequeueTasksArgs, options?: Options): Promise<ChangedTasks>;

  /** Send a delivery again. For keys with the role `admin`. */
  resendDelivery(args: ResendDeliveryArgs, options?: Options): Promise<undefined>;

  /** Say that a worker can do no work for a while. Its fields may also be sent as query parameters or as a form. For keys with the role `work`, `admin`. */
  restWorker(args: RestWorkerArgs, options?: Options): Promise<Worker>;

  /** Ask a worker's agent to restart itself. For keys with the role `admin`. */
  restartAgent(args: RestartAgentArgs, options?: Options): Promise<unknown>;

  /** End an account's rest and pace. For keys with the role `admin`. */
  resumeAccount(args: ResumeAccountArgs, options?: Options): Promise<Account>;

  /** End a worker's drain and rest. For keys with the role `admin`. */
  resumeWorker(args: ResumeWorkerArgs, options?: Options): Promise<Worker>;

  /** Revoke a named key. For keys with the role `admin`. */
  revokeKey(args: RevokeKeyArgs, options?: Options): Promise<{
    /** 1, or 2 where the name had two valid keys. */
    revoked: number;
  }>;

  /** Change the secret of a webhook. The secret before signs too for `keep_seconds` (a day). For keys with the role `admin`. */
  rotateWebhookSecret(args: RotateWebhookSecretArgs, options?: Options): Promise<{
    /** The id of the webhook. */
    id: string;
    /** Where events are sent. */
    url: string;
    /** The types of events that are sent, and groups of them. */
    events: string[];
    /** Until then, what is sent is signed with the secret before too. In epoch milliseconds. */
    previous_secret_until: number | null;
    /** Since when nothing is sent; null: it is on. In epoch milliseconds. */
    off_since: number | null;
    /** Why nothing is sent. */
    off_reason: string | null;
    /** When it was made. In epoch milliseconds. */
    created_at: number;
    /** When it was changed last. In epoch milliseconds. */
    updated_at: number;
    /** About when the receiver last took something. In epoch milliseconds. */
    last_success_at: number | null;
    /** What signs, which is shown only now. */
    secret: string;
  }>;

  /** Save where Membridge is. For keys with the role `admin`. */
  saveConfig(args: SaveConfigArgs, options?: Options): Promise<RuntimeConfig>;

  /** Make a node the primary of a project. For keys with the role `admin`. */
  selectLeader(args: SelectLeaderArgs, options?: Options): Promise<unknown>;

  /** Follow every change as it happens. For keys with the role `read`, `submit`, `admin`. */
  streamEvents(args?: StreamEventsArgs, options?: Options<"Last-Event-ID">): Promise<EventPage>;

  /** Ask Membridge whether it answers. Open: it needs no key. */
  testConnection(args?: Record<string, never>, options?: Options): Promise<ConnectionTest>;

  /** Ask a worker's agent to uninstall itself. For keys with the role `admin`. */
  uninstallAgent(args: UninstallAgentArgs, options?: Options): Promise<unknown>;

  /** Ask a worker's agent to update itself. For keys with the role `admin`. */
  updateAgent(args: UpdateAgentArgs, options?: Options): Promise<unknown>;

  /** Upload an output ahead of its completion. The bytes as they are, of any size up to `MAX_OUTPUT_MB`. The completion then names `output_id`. For keys with the role `work`, `admin`. */
  uploadOutput(args: UploadOutputArgs, options?: Options<"X-Lease-Id">): Promise<Uploaded>;

  /** Use the service as tools of the Model Context Protocol. Streamable HTTP without sessions. docs/mcp.md lists the tools and says how a client is connected. For keys with the role `read`, `submit`, `admin`. */
  useTools(args?: Record<string, never>, options?: Options): Promise<unknown>;
}

/** The method and the address of each call. Bytes are what its body is, or its answer. */
export const ADDRESSES: Record<keyof Methods, [method: string, path: string, bytes?: "sent" | "answered"]> = {
  addLiveOutput: ["POST", "/api/runtime/llm-tasks/{id}/stream"],
  cancelTask: ["POST", "/api/runtime/llm-tasks/{id}/cancel"],
  cancelTasks: ["POST", "/api/runtime/llm-tasks/cancel"],
  changeWebhook: ["PATCH", "/api/runtime/webhooks/{id}"],
  claimTasks: ["POST", "/api/runtime/llm-tasks/claim"],
  completeTask: ["POST", "/api/runtime/llm-tasks/{id}/complete"],
  createKey: ["POST", "/api/runtime/keys"],
  createProject: ["POST", "/api/runtime/projects"],
  createTask: ["POST", "/api/runtime/llm-tasks"],
  createTasks: ["POST", "/api/runtime/llm-tasks/bulk"],
  createWebhook: ["POST", "/api/runtime/webhooks"],
  dispatchTask: ["POST", "/api/runtime/llm-tasks/{id}/dispatch"],
  drainWorker: ["POST", "/api/runtime/workers/{id}/drain"],
  explainTask: ["GET", "/api/runtime/llm-tasks/{id}/explain"],
  getAccount: ["GET", "/api/runtime/accounts/{id}"],
  getAgentHealth: ["GET", "/api/runtime/workers/{id}/agent-health"],
  getArtifact: ["GET", "/api/runtime/artifacts/{id}"],
  getArtifactContent: ["GET", "/api/runtime/artifacts/{id}/content", "answered"],
  getArtifactUrl: ["GET", "/api/runtime/artifacts/{id}/url"],
  getConfig: ["GET", "/api/runtime/config"],
  getConsole: ["GET", "/console", "answered"],
  getConsoleFile: ["GET", "/console/files/{file}", "answered"],
  getConsolePage: ["GET", "/console/{page}", "answered"],
  getConsoleRecord: ["GET", "/console/{page}/{id}", "answered"],
  getDocument: ["GET", "/api/runtime/openapi.json"],
  getHealth: ["GET", "/api/runtime/health"],
  getIdentity: ["GET", "/api/runtime/whoami"],
  getInstallScript: ["GET", "/api/runtime/agent-install-script", "answered"],
  getLeadership: ["GET", "/api/membridge/projects/{cid}/leadership"],
  getLiveOutput: ["GET", "/api/runtime/llm-tasks/{id}/stream"],
  getLiveness: ["GET", "/livez"],
  getMembridgeHealth: ["GET", "/api/membridge/health"],
  getMetrics: ["GET", "/metrics", "answered"],
  getOverview: ["GET", "/api/runtime/overview"],
  getPage: ["GET", "/docs", "answered"],
  getReadiness: ["GET", "/readyz"],
  getStart: ["GET", "/"],
  getStats: ["GET", "/api/runtime/stats"],
  getStyle: ["GET", "/docs/style.css", "answered"],
  getTask: ["GET", "/api/runtime/llm-tasks/{id}"],
  getTaskInput: ["GET", "/api/runtime/llm-tasks/{id}/input/{name}", "answered"],
  getTaskResult: ["GET", "/api/runtime/llm-tasks/{id}/result"],
  getUsage: ["GET", "/api/runtime/usage"],
  getWebhook: ["GET", "/api/runtime/webhooks/{id}"],
  getWorker: ["GET", "/api/runtime/workers/{id}"],
  getWorkerScript: ["GET", "/api/runtime/worker.sh", "answered"],
  heartbeatTask: ["POST", "/api/runtime/llm-tasks/{id}/heartbeat"],
  leaseTask: ["POST", "/api/runtime/llm-tasks/{id}/lease"],
  listAccounts: ["GET", "/api/runtime/accounts"],
  listArtifacts: ["GET", "/api/runtime/artifacts"],
  listAudit: ["GET", "/api/runtime/audit"],
  listDeliveries: ["GET", "/api/runtime/webhook-deliveries"],
  listHistory: ["GET", "/api/runtime/llm-tasks/{id}/history"],
  listKeys: ["GET", "/api/runtime/keys"],
  listLeases: ["GET", "/api/runtime/leases"],
  listMembridgeProjects: ["GET", "/api/membridge/projects"],
  listNodes: ["GET", "/api/membridge/projects/{cid}/nodes"],
  listProjects: ["GET", "/api/runtime/projects"],
  listResults: ["GET", "/api/runtime/llm-tasks/{id}/results"],
  listRuns: ["GET", "/api/runtime/runs"],
  listTasks: ["GET", "/api/runtime/llm-tasks"],
  listWebhooks: ["GET", "/api/runtime/webhooks"],
  listWorkers: ["GET", "/api/runtime/workers"],
  refuseToolStream: ["GET", "/mcp"],
  registerWorker: ["POST", "/api/runtime/workers"],
  releaseTask: ["POST", "/api/runtime/llm-tasks/{id}/release"],
  removeWebhook: ["DELETE", "/api/runtime/webhooks/{id}"],
  removeWorker: ["DELETE", "/api/runtime/workers/{id}"],
  replayTask: ["POST", "/api/runtime/llm-tasks/{id}/replay"],
  replayTasks: ["POST", "/api/runtime/llm-tasks/replay"],
  requeueTask: ["POST", "/api/runtime/llm-tasks/{id}/requeue"],
  requeueTasks: ["POST", "/api/runtime/llm-tasks/requeue"],
  resendDelivery: ["POST", "/api/runtime/webhook-deliveries/{id}/resend"],
  restWorker: ["POST", "/api/runtime/workers/{id}/rest"],
  restartAgent: ["POST", "/api/runtime/workers/{id}/agent-restart"],
  resumeAccount: ["POST", "/api/runtime/accounts/{id}/resume"],
  resumeWorker: ["POST", "/api/runtime/workers/{id}/resume"],
  revokeKey: ["DELETE", "/api/runtime/keys/{name}"],
  rotateWebhookSecret: ["POST", "/api/runtime/webhooks/{id}/rotate"],
  saveConfig: ["POST", "/api/runtime/config"],
  selectLeader: ["POST", "/api/membridge/projects/{cid}/leadership/select"],
  streamEvents: ["GET", "/api/runtime/events"],
  testConnection: ["POST", "/api/runtime/test-connection"],
  uninstallAgent: ["POST", "/api/runtime/workers/{id}/agent-uninstall"],
  updateAgent: ["POST", "/api/runtime/workers/{id}/agent-update"],
  uploadOutput: ["PUT", "/api/runtime/llm-tasks/{id}/output", "sent"],
  useTools: ["POST", "/mcp"],
};
