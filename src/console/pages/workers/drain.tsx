import { confirm } from "../../parts/confirm.tsx";
import { client } from "../../session.ts";
import { texts } from "../../texts.ts";

/** A year, as the service has it. */
const MOST_MINUTES = 525_600;

/** Asks for how long and why; resolves to the call that drains the worker, or to nothing. */
export async function askDrain(id: string): Promise<(() => Promise<unknown>) | undefined> {
  const words = texts.value.workers.drain;
  const given = { reason: "", minutes: "" };
  const body = (
    <>
      <p>{words.means}</p>
      <label class="field">
        {words.reason}
        <input maxLength={1_000} onInput={(event) => (given.reason = event.currentTarget.value)} />
      </label>
      <label class="field">
        {words.minutes}
        <input
          type="number"
          min="0.1"
          max={MOST_MINUTES}
          step="any"
          placeholder={words.noEnd}
          onInput={(event) => (given.minutes = event.currentTarget.value)}
        />
      </label>
    </>
  );
  if (!(await confirm({ title: words.ask(id), body, action: words.name }))) return undefined;
  const minutes = given.minutes === "" ? null : Number(given.minutes);
  return () => client.drainWorker({ id, reason: given.reason, minutes });
}
