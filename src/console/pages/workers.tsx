/** The workers: their state, what they may take, and what is done about it. */
import { useEffect, useState } from "preact/hooks";
import { Refused, type Worker } from "../../client/index.ts";
import type { PageProps } from "../page-props.ts";
import { Fault } from "../parts/fault.tsx";
import { tellFault } from "../parts/notice.tsx";
import { type WorkerState, workerStateOf } from "../parts/state.tsx";
import { HELD_STATUSES } from "../parts/task-states.ts";
import { isKeyRevoked } from "../parts/worker-key-revoked.ts";
import { addressOf } from "../router.ts";
import { client, may } from "../session.ts";
import { texts } from "../texts.ts";
import { useLiveData } from "../use-live-data.ts";
import { readPages, usePages } from "../use-pages.ts";
import { Connect } from "./workers/connect.tsx";
import { WorkerCard } from "./workers/worker-card.tsx";

/** Signs of life come without an event. */
const READ_EVERY_MS = 15_000;
/** The workers that need somebody stand first. */
const ORDER: readonly WorkerState[] = ["error", "resting", "drained", "online", "syncing", "offline", "unknown"];
const placeOf = (worker: Worker) => ORDER.indexOf(workerStateOf(worker));

/** Reads the workers, and what they hold; with an id, only that one. */
async function read(id: string | undefined, pages: number, signal: AbortSignal) {
  const held = (more: { worker_id?: string }) =>
    readPages(pages, (next) =>
      client.listTasks({ status: HELD_STATUSES.join(","), ...more, limit: 500, ...next, fields: "slim" }, { signal }),
    );
  if (id !== undefined) {
    const [worker, tasks] = await Promise.all([readWorker(id, signal), held({ worker_id: id })]);
    const found = worker ? [worker] : [];
    return { workers: found, hasMore: false, held: tasks.items };
  }
  const [workers, tasks] = await Promise.all([
    readPages(pages, (next) => client.listWorkers({ limit: 500, ...next }, { signal })),
    held({}),
  ]);
  const sorted = workers.items.toSorted((a, b) => placeOf(a) - placeOf(b) || a.id.localeCompare(b.id));
  return { workers: sorted, hasMore: workers.hasMore, held: tasks.items };
}

/** Undefined: there is none of this name. */
async function readWorker(id: string, signal: AbortSignal): Promise<Worker | undefined> {
  try {
    return await client.getWorker({ id }, { signal });
  } catch (error) {
    if (error instanceof Refused && error.status === 404) return undefined;
    throw error;
  }
}

export default function Workers({ id }: PageProps) {
  const words = texts.value.workers;
  const [isConnecting, setConnecting] = useState(false);
  const { data, trouble, reload, showMore } = usePages((pages, signal) => read(id, pages, signal), {
    of: id ?? "",
    wants: ({ type }) => type.startsWith("worker.") || type.startsWith("account.") || type.startsWith("task."),
    everyMs: READ_EVERY_MS,
  });
  // Read apart: the workers are shown without the keys too.
  const keys = useLiveData(async (signal) => (may("administer") ? await client.listKeys({}, { signal }) : []), {
    wants: ({ type }) => type.startsWith("key."),
  });
  const change = (call: Promise<unknown>) => call.then(reload, tellFault);
  const shown = data?.workers;
  const isEmpty = id === undefined && shown?.length === 0;
  // Without a worker, the page begins with the form that connects one. It stays when the first one is there, to say so.
  useEffect(() => {
    if (isEmpty) setConnecting(true);
  }, [isEmpty]);
  const isForm = id === undefined && may("administer") && isConnecting;
  return (
    <main class="page">
      <div class="head">
        <h1 tabIndex={-1}>{words.title}</h1>
        {id === undefined && may("administer") && (
          <button type="button" class="primary" onClick={() => setConnecting(!isConnecting)} aria-expanded={isForm}>
            {words.connect.title}
          </button>
        )}
      </div>
      <Fault {...(trouble ?? keys.trouble)} />
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
            isKeyRevoked={isKeyRevoked(worker, keys.data ?? [])}
            change={change}
          />
        ))}
      </div>
      {data?.hasMore && (
        <button type="button" onClick={showMore}>
          {texts.value.common.more}
        </button>
      )}
    </main>
  );
}
