/** What was used, by day or by who used it: tokens first, since on a subscription dollars are an estimate. */
import type { GetUsageArgs, UsageSum } from "../../../client/index.ts";
import { Fault } from "../../parts/fault.tsx";
import { addressOf, go, place } from "../../router.ts";
import { client } from "../../session.ts";
import { dollarsText, numberText, shortNumber, texts } from "../../texts.ts";
import { useLiveData } from "../../use-live-data.ts";

const BY = ["day", "account", "agent_slug", "context_id", "worker_id", "model"] as const satisfies GetUsageArgs["by"][];
const DAYS = ["7", "30", "365"] as const;
const DAY_MS = 86_400_000;

/** The day that was `days` days ago, in UTC, as `2026-01-31`. */
export const dayBefore = (days: number) => new Date(Date.now() - days * DAY_MS).toISOString().slice(0, 10);

export function UsageOf() {
  const words = texts.value.accounts.usage;
  const { query } = place.value;
  const by = BY.find((each) => each === query.get("by")) ?? "day";
  const days = DAYS.find((each) => each === query.get("days")) ?? "30";
  const since = dayBefore(Number(days) - 1);
  const { data, trouble } = useLiveData((signal) => client.getUsage({ by, since, limit: 400 }, { signal }), {
    of: `${by} ${since}`,
    wants: ({ type }) => type === "task.completed" || type === "task.failed",
    pauseMs: 15_000,
  });
  const show = (changed: Record<string, string>) =>
    go(addressOf("accounts", undefined, { by, days, ...changed }), { replace: true });
  return (
    <section class="card" aria-label={words.title}>
      <div class="head">
        <h2>{words.title}</h2>
        <div class="row">
          <label class="row">
            {words.by}
            <select value={by} onChange={(event) => show({ by: event.currentTarget.value })}>
              {BY.map((each) => (
                <option key={each} value={each}>
                  {words.dimensions[each]}
                </option>
              ))}
            </select>
          </label>
          <label class="row">
            <span class="offscreen">{words.range}</span>
            <select value={days} onChange={(event) => show({ days: event.currentTarget.value })}>
              {DAYS.map((each) => (
                <option key={each} value={each}>
                  {words.days(numberText(Number(each)))}
                </option>
              ))}
            </select>
          </label>
        </div>
      </div>
      <Fault {...trouble} />
      {data?.length === 0 && <p class="soft">{words.none}</p>}
      {data && data.length > 0 && <Sums sums={data} by={by} />}
      <p class="soft">{words.estimate}</p>
    </section>
  );
}

function Sums({ sums, by }: { sums: UsageSum[]; by: (typeof BY)[number] }) {
  const words = texts.value.accounts.usage;
  return (
    <>
      {by === "day" && sums.length > 1 && <Chart sums={sums} />}
      <div class="wide">
        <table class="table dense">
          <thead>
            <tr>
              <th scope="col">{words.key}</th>
              <th scope="col" class="number">
                {words.attempts}
              </th>
              <th scope="col" class="number">
                {words.tokens}
              </th>
              <th scope="col" class="number">
                {words.output}
              </th>
              <th scope="col" class="number">
                {words.dollars}
              </th>
            </tr>
          </thead>
          <tbody>
            {sums.map(({ key, attempts, tokens, output_tokens, cost_usd }) => (
              <tr key={key}>
                <th scope="row">{by === "account" ? <a href={addressOf("accounts", key)}>{key}</a> : key}</th>
                <td class="number">{numberText(attempts)}</td>
                <td class="number">{shortNumber(tokens)}</td>
                <td class="number">{shortNumber(output_tokens)}</td>
                <td class="number">{dollarsText(cost_usd)}</td>
              </tr>
            ))}
          </tbody>
        </table>
      </div>
    </>
  );
}

/** The tokens of each day, as a drawing beside the table, which says the same in numbers. */
function Chart({ sums }: { sums: UsageSum[] }) {
  const days = sums.toSorted((a, b) => a.key.localeCompare(b.key));
  const most = Math.max(1, ...days.map(({ tokens }) => tokens));
  return (
    <svg class="chart" viewBox={`0 0 ${days.length * 10} 40`} preserveAspectRatio="none" aria-hidden="true">
      {days.map(({ key, tokens }, n) => (
        <rect key={key} x={n * 10 + 1} y={40 - (tokens / most) * 40} width="8" height={(tokens / most) * 40} />
      ))}
    </svg>
  );
}
