/** What needs attention first, and how the work goes. */
import { Fault } from "../parts/fault.tsx";
import { client } from "../session.ts";
import { texts } from "../texts.ts";
import { useLiveData } from "../use-live-data.ts";
import { Accounts } from "./now/accounts.tsx";
import { Attention } from "./now/attention.tsx";
import { Failures } from "./now/failures.tsx";
import { Tiles } from "./now/tiles.tsx";

/** A busy service changes all the time: one call in this time leaves room below a limit of 100 a minute. */
const PAUSE_MS = 4_000;
const EVERY_MS = 30_000;
export default function Now() {
  const { data, trouble, reload } = useLiveData((signal) => client.getOverview({}, { signal }), {
    wants: () => true,
    pauseMs: PAUSE_MS,
    everyMs: EVERY_MS,
  });
  return (
    <main class="now">
      <h1 tabIndex={-1}>{texts.value.now.title}</h1>
      <Fault {...trouble} />
      {data && (
        <>
          <Attention overview={data} reload={reload} />
          <Tiles {...data} />
          <Accounts accounts={data.accounts} />
          <Failures tasks={data.failures} />
        </>
      )}
    </main>
  );
}
