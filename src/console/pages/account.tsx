/** The page of an account: its limits, the workers that use it with what they run, and what it has used. */
import type { SlimTask, UsageSum, Worker } from "../../client/index.ts";
import type { PageProps } from "../page-props.ts";
import { Fault } from "../parts/fault.tsx";
import { WorkerStateOf } from "../parts/state.tsx";
import { HELD_STATUSES } from "../parts/task-states.ts";
import { addressOf } from "../router.ts";
import { client } from "../session.ts";
import { dollarsText, numberText, shortNumber, texts } from "../texts.ts";
import { useLiveData } from "../use-live-data.ts";
import { AccountCard } from "./accounts/account-card.tsx";
import { dayBefore } from "./accounts/usage.tsx";

const DAYS = [1, 7, 30] as const;

async function read(id: string, signal: AbortSignal) {
  const [account, workers, held, used] = await Promise.all([
    client.getAccount({ id }, { signal }),
    client.listWorkers({ account: id, limit: 500 }, { signal }),
    client.listTasks({ status: HELD_STATUSES.join(","), limit: 500, fields: "slim" }, { signal }),
    client.getUsage({ by: "day", account: id, since: dayBefore(Math.max(...DAYS) - 1) }, { signal }),
  ]);
  return { account, workers, held, used };
}

export default function AccountPage({ id = "" }: PageProps) {
  const words = texts.value.accounts;
  const { data, trouble, reload } = useLiveData((signal) => read(id, signal), {
    of: id,
    wants: ({ type }) => !type.startsWith("key.") && !type.startsWith("webhook."),
    pauseMs: 15_000,
    everyMs: 60_000,
  });
  return (
    <main class="page">
      <a class="back" href={addressOf("accounts")}>
        ← {words.title}
      </a>
      <h1 tabIndex={-1}>{id}</h1>
      <Fault {...trouble} />
      {data && (
        <>
          <AccountCard account={data.account} reload={reload} />
          <AccountWorkers workers={data.workers} held={data.held} />
          <Spending used={data.used} />
        </>
      )}
    </main>
  );
}

/** The workers that use the account, each with the tasks that it holds. */
function AccountWorkers({ workers, held }: { workers: Worker[]; held: SlimTask[] }) {
  const { title } = texts.value.workers;
  return (
    <section class="card" aria-label={title}>
      <h2>{title}</h2>
      <ul class="lines">
        {workers.map((worker) => (
          <li key={worker.id} class="head">
            <a href={addressOf("workers", worker.id)}>{worker.id}</a>
            <span class="row">
              {held
                .filter(({ worker_id }) => worker_id === worker.id)
                .map((task) => (
                  <a key={task.id} href={addressOf("tasks", task.id)} class="tag">
                    {task.agent_slug}
                  </a>
                ))}
              <WorkerStateOf worker={worker} />
            </span>
          </li>
        ))}
      </ul>
    </section>
  );
}

/** What was used in the last days, out of the sums of each day. */
function Spending({ used }: { used: UsageSum[] }) {
  const words = texts.value.accounts.usage;
  return (
    <section class="card" aria-label={words.title}>
      <h2>{words.title}</h2>
      <dl class="facts">
        {DAYS.map((days) => {
          const rows = used.filter(({ key }) => key >= dayBefore(days - 1));
          const sum = (figure: "attempts" | "tokens" | "cost_usd") => rows.reduce((all, row) => all + row[figure], 0);
          const attempts = sum("attempts");
          return (
            <div key={days}>
              <dt>{days === 1 ? words.today : words.days(numberText(days))}</dt>
              <dd>
                {attempts === 0
                  ? words.noneReported
                  : `${words.sum(shortNumber(sum("tokens")), shortNumber(attempts), attempts)} · ${dollarsText(sum("cost_usd"))}`}
              </dd>
            </div>
          );
        })}
      </dl>
      <p class="soft">{words.estimate}</p>
    </section>
  );
}
