/** The attempts as a timeline: who had the task from when to when, and how each ended. */
import type { Lease, SlimResult } from "../../../client/index.ts";
import { At, durationText } from "../../parts/time.tsx";
import { addressOf } from "../../router.ts";
import { dollarsText, shortNumber, texts } from "../../texts.ts";
import { now } from "../../ticking-now.ts";

interface Attempt {
  lease: Lease;
  result: SlimResult | undefined;
  end: number;
}

export function Attempts({ leases, results }: { leases: Lease[]; results: SlimResult[] }) {
  const words = texts.value.task;
  if (leases.length === 0) return null;
  const attempts = leases.toReversed().map((lease): Attempt => {
    const result = results.find(({ lease_id }) => lease_id === lease.id);
    const end = lease.status === "active" ? now.value : (result?.completed_at ?? lease.last_heartbeat);
    return { lease, result, end: Math.max(end, lease.started_at) };
  });
  const first = Math.min(...attempts.map(({ lease }) => lease.started_at));
  const last = Math.max(...attempts.map(({ end }) => end), first + 1);
  return (
    <section class="card">
      <h2>{words.attempts}</h2>
      <ol class="lines">
        {attempts.map(({ lease, result, end }, n) => (
          <li key={lease.id}>
            <div class="row">
              <b>{n + 1}</b>
              <a href={addressOf("workers", lease.worker_id)}>{lease.worker_id}</a>
              <span class={toneOf(lease, result)}>{endOf(lease, result)}</span>
              <span class="soft">
                <At at={lease.started_at} /> · {durationText(result?.metrics.duration_ms ?? end - lease.started_at)}
              </span>
            </div>
            <Bar
              tone={toneOf(lease, result)}
              from={(lease.started_at - first) / (last - first)}
              to={(end - first) / (last - first)}
            />
            {result?.error_message && <p class="said-whole bad">{result.error_message}</p>}
            {result && <Spent result={result} />}
          </li>
        ))}
      </ol>
    </section>
  );
}

function Bar({ tone, from, to }: { tone: string; from: number; to: number }) {
  return (
    <svg class={`bar ${tone}`} viewBox="0 0 1000 6" preserveAspectRatio="none" aria-hidden="true">
      <rect class="ground" width="1000" height="6" rx="3" />
      <rect x={Math.min(990, from * 1000)} width={Math.max(10, (to - from) * 1000)} height="6" rx="3" />
    </svg>
  );
}

function Spent({ result: { metrics } }: { result: SlimResult }) {
  const { model, tokens_used, cost_usd, num_turns, denied_tools } = metrics;
  const words = texts.value.task.usage;
  const parts = [
    model,
    tokens_used && words.tokens(shortNumber(tokens_used)),
    num_turns && words.turns(num_turns),
    cost_usd && dollarsText(cost_usd),
  ];
  return (
    <>
      {denied_tools && <p class="bad">{words.denied(denied_tools.join(", "))}</p>}
      <p class="soft">{parts.filter(Boolean).join(" · ")}</p>
    </>
  );
}

function endOf({ status }: Lease, result: SlimResult | undefined): string {
  const { states, task } = texts.value;
  if (status === "active") return task.holds;
  if (!result) return status === "released" ? task.gaveBack : states.lease[status];
  if (result.error_kind) return states.kind[result.error_kind];
  return states.result[result.status];
}

function toneOf({ status }: Lease, result: SlimResult | undefined): string {
  if (status === "active") return "busy";
  if (result) return result.status === "success" ? "good" : "bad";
  return status === "released" ? "off" : "bad";
}
