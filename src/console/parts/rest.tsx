/** Why somebody gets no work, and until when. */
import { exactText, untilText, withLocalTimes } from "./time.tsx";

export function Rest({ reason, until }: { reason: string; until: number | null }) {
  return (
    <p class="wait">
      {withLocalTimes(reason)}
      <br />
      <b title={until === null ? undefined : exactText(until)}>{untilText(until)}</b>
    </p>
  );
}
