/** The workers: their state, what they may take, and what is done about it. */
import { useState } from "preact/hooks";
import type { Worker } from "../../client/index.ts";
import { Fault } from "../parts/fault.tsx";
import { tellFault } from "../parts/notice.tsx";
import { client, may } from "../session.ts";
import { useSnapshot } from "../snapshot.ts";
import { texts } from "../texts.ts";
import { Connect } from "./workers/connect.tsx";
import { WorkerCard } from "./workers/worker-card.tsx";

/** Signs of life come without an event. */
const READ_EVERY_MS = 15_000;
/** Those that need somebody stand first. */
const ORDER: Record<Worker["status"], number> = { error: 0, online: 1, syncing: 2, offline: 3, unknown: 4 };

export default function Workers() {
  const words = texts.value.workers;
  const [isConnecting, setConnecting] = useState(false);
  const { data, fault, reload } = useSnapshot((signal) => client.listWorkers({ limit: 500 }, { signal }), {
    wants: ({ type }) => type.startsWith("worker.") || type.startsWith("account.") || type.startsWith("task."),
    everyMs: READ_EVERY_MS,
  });
  const change = (call: Promise<unknown>) => call.then(reload, tellFault);
  const sorted = data?.toSorted((a, b) => ORDER[a.status] - ORDER[b.status] || a.id.localeCompare(b.id));
  return (
    <main class="page">
      <div class="head">
        <h1 tabIndex={-1}>{words.title}</h1>
        {may("administer") && (
          <button
            type="button"
            class="primary"
            onClick={() => setConnecting(!isConnecting)}
            aria-expanded={isConnecting}
          >
            {words.connect.title}
          </button>
        )}
      </div>
      <Fault of={fault} />
      {isConnecting && <Connect known={data ?? []} />}
      {sorted?.length === 0 && !isConnecting && <p class="empty">{words.none}</p>}
      <div class="grid">
        {sorted?.map((worker) => (
          <WorkerCard key={worker.id} worker={worker} change={change} />
        ))}
      </div>
    </main>
  );
}
