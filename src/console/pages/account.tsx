/** The page of an account: its limits, the workers that use it with what they run, and what it has used. */
import type { SlimTask, UsageSum, Worker } from "../../client/index.ts";
import type { PageProps } from "../page-props.ts";
import { Fault } from "../parts/fault.tsx";
import { WorkerStateOf } from "../parts/state.tsx";
import { addressOf } from "../router.ts";
import { client } from "../session.ts";
import { useSnapshot } from "../snapshot.ts";
import { dollarsText, numberText, shortNumber, texts } from "../texts.ts";
import { AccountCard } from "./accounts/account-card.tsx";
import { dayBefore } from "./accounts/usage.tsx";

const DAYS = [1, 7, 30] as const;

async function read(id: string, signal: AbortSignal) {
  const [account, workers, held, ...used] = await Promise.all([
    client.getAccount({ id }, { signal }),
    client.listWorkers({ limit: 500 }, { signal }),
    client.listTasks({ status: "leased,running", limit: 500, fields: "slim" }, { signal }),
    ...DAYS.map((days) => client.getUsage({ by: "account", since: dayBefore(days - 1), limit: 1_000 }, { signal })),
  ]);
  const sums = used.map((rows) => rows.find(({ key }) => key === id));
  return { account, workers: workers.filter((worker) => worker.account === id), held, sums };
}

export default function AccountPage({ id = "" }: PageProps) {
  const words = texts.value.accounts;
  const { data, trouble, reload } = useSnapshot((signal) => read(id, signal), {
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
          <Spending sums={data.sums} />
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

function Spending({ sums }: { sums: (UsageSum | undefined)[] }) {
  const words = texts.value.accounts.usage;
  return (
    <section class="card" aria-label={words.title}>
      <h2>{words.title}</h2>
      <dl class="facts">
        {DAYS.map((days, n) => {
          const { attempts = 0, tokens = 0, cost_usd = 0 } = sums[n] ?? {};
          return (
            <div key={days}>
              <dt>{days === 1 ? words.today : words.days(numberText(days))}</dt>
              <dd>
                {words.sum(shortNumber(tokens), shortNumber(attempts))} · {dollarsText(cost_usd)}
              </dd>
            </div>
          );
        })}
      </dl>
      <p class="soft">{words.estimate}</p>
    </section>
  );
}
