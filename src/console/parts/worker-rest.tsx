/** Why somebody gets no work, and until when. */
import { texts } from "../texts.ts";
import { exactText, untilText, withLocalTimes } from "./time.tsx";

/** Why a worker rests: in its own words where it asked for the rest, and otherwise in the words for the kind of the rest. */
export function restText(kind: string, said: string): string {
  const text = (texts.value.states.rest as Record<string, string>)[kind] ?? said;
  return (kind === "worker" && said) || text;
}

export function Rest({ reason, until }: { reason: string; until: number | null }) {
  return (
    <p class="wait">
      {withLocalTimes(reason)}
      {reason !== "" && <br />}
      <b title={until === null ? undefined : exactText(until)}>{untilText(until)}</b>
    </p>
  );
}
