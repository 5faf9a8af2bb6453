/** What needs attention first, and how the work goes. */
import { Fault } from "../parts/fault.tsx";
import { useSnapshot } from "../snapshot.ts";
import { texts } from "../texts.ts";
import { Accounts } from "./now/accounts.tsx";
import { Attention } from "./now/attention.tsx";
import { Failures } from "./now/failures.tsx";
import { readNow } from "./now/read.ts";
import { Tiles } from "./now/tiles.tsx";

/** A busy service changes all the time: four calls in so long leave room below a limit of 100 a minute. */
const PAUSE_MS = 8_000;
const EVERY_MS = 30_000;
export default function Now() {
  const { data, fault, reload } = useSnapshot(readNow, { wants: () => true, pauseMs: PAUSE_MS, everyMs: EVERY_MS });
  return (
    <main class="now">
      <h1 tabIndex={-1}>{texts.value.now.title}</h1>
      <Fault of={fault} />
      {data && (
        <>
          <Attention {...data} reload={reload} />
          <Tiles {...data.overview} />
          <Accounts accounts={data.accounts} />
          <Failures tasks={data.failures} />
        </>
      )}
    </main>
  );
}
