/** The workers: their state, what they may take, and what is done about it. */
import { useEffect, useState } from "preact/hooks";
import type { Worker } from "../../client/index.ts";
import type { PageProps } from "../page-props.ts";
import { Fault } from "../parts/fault.tsx";
import { tellFault } from "../parts/notice.tsx";
import { HELD_STATUSES, type WorkerState, workerStateOf } from "../parts/state.tsx";
import { addressOf } from "../router.ts";
import { client, may } from "../session.ts";
import { texts } from "../texts.ts";
import { useSnapshot } from "../use-snapshot.ts";
import { Connect } from "./workers/connect.tsx";
import { WorkerCard } from "./workers/worker-card.tsx";

/** Signs of life come without an event. */
const READ_EVERY_MS = 15_000;
/** Those that need somebody stand first. */
const ORDER: readonly WorkerState[] = ["error", "resting", "drained", "online", "syncing", "offline", "unknown"];
const placeOf = (worker: Worker) => ORDER.indexOf(workerStateOf(worker));

/** Reads the workers, and what they hold. */
async function read(signal: AbortSignal) {
  const [workers, held] = await Promise.all([
    client.listWorkers({ limit: 500 }, { signal }),
    client.listTasks({ status: HELD_STATUSES.join(","), limit: 500, fields: "slim" }, { signal }),
  ]);
  return { workers: workers.toSorted((a, b) => placeOf(a) - placeOf(b) || a.id.localeCompare(b.id)), held };
}

export default function Workers({ id }: PageProps) {
  const words = texts.value.workers;
  const [isConnecting, setConnecting] = useState(false);
  const { data, trouble, reload } = useSnapshot(read, {
    wants: ({ type }) => type.startsWith("worker.") || type.startsWith("account.") || type.startsWith("task."),
    everyMs: READ_EVERY_MS,
  });
  const change = (call: Promise<unknown>) => call.then(reload, tellFault);
  const shown = data?.workers.filter((worker) => id === undefined || worker.id === id);
  const isEmpty = data?.workers.length === 0;
  // Without a worker, the page begins with the form that connects one. It stays when the first one is there, to say so.
  useEffect(() => {
    if (isEmpty) setConnecting(true);
  }, [isEmpty]);
  const isForm = may("administer") && isConnecting;
  return (
    <main class="page">
      <div class="head">
        <h1 tabIndex={-1}>{words.title}</h1>
        {may("administer") && (
          <button type="button" class="primary" onClick={() => setConnecting(!isConnecting)} aria-expanded={isForm}>
            {words.connect.title}
          </button>
        )}
      </div>
      <Fault {...trouble} />
      {id !== undefined && (
        <a class="back" href={addressOf("workers")}>
          ← {words.all}
        </a>
      )}
      {isForm && <Connect known={data?.workers ?? []} />}
      {isEmpty && !isForm && <p class="empty">{words.none}</p>}
      {id !== undefined && shown?.length === 0 && <p class="empty">{words.gone(id)}</p>}
      <div class="grid">
        {shown?.map((worker) => (
          <WorkerCard
            key={worker.id}
            worker={worker}
            tasks={data?.held.filter(({ worker_id }) => worker_id === worker.id) ?? []}
            change={change}
          />
        ))}
      </div>
    </main>
  );
}
