/** How fresh the page is, and what is done about a lost connection. */

import { connection } from "./live-events.ts";
import { faultText } from "./parts/fault.tsx";
import { clockText, relativeText } from "./parts/time.tsx";
import { texts } from "./texts.ts";
import { now } from "./ticking-now.ts";

export function Freshness() {
  const { value } = connection;
  const words = texts.value.shell.connection;
  const { state } = value;
  if (state === "lost")
    return (
      <p class="freshness lost" role="status" title={faultText(value.reason)}>
        {words.lost(clockText(value.since), relativeText(value.retryAt, now.value))}
      </p>
    );
  return (
    <p
      class={`freshness ${state}`}
      role="status"
      title={state === "refused" ? faultText(value.reason) : words.openHint}
    >
      {words[state]}
    </p>
  );
}
