/** What went wrong with a call, in the service's own sentence, and when it is tried again. */
import { NoAnswer, Refused } from "../../client/index.ts";
import { texts } from "../texts.ts";
import { now } from "../ticking-now.ts";
import { Icon } from "./icon.tsx";
import { durationText, relativeText } from "./time.tsx";

export function faultText(fault: unknown): string {
  if (fault instanceof NoAnswer) return `${texts.value.common.noAnswer} ${fault.message}`;
  // When a key is refused, `error` is the one word "Unauthorized", and the sentence is in `message`.
  if (fault instanceof Refused && fault.status === 401) return messageIn(fault.body) ?? fault.message;
  if (fault instanceof Refused && fault.status === 429) return tooManyText(fault);
  return fault instanceof Error ? fault.message : String(fault);
}

/** How the service names a limit that is met. */
const LIMIT = /^(\w+_PER_MINUTE) allows (\d+) /;
const MINUTE_SECONDS = 60;

function tooManyText({ message, retryAfterSeconds = MINUTE_SECONDS }: Refused): string {
  const { tooMany, limitMet } = texts.value.common;
  const [, setting, most] = LIMIT.exec(message) ?? [];
  const ahead = durationText(retryAfterSeconds * 1_000, false);
  return setting === undefined || most === undefined ? tooMany(ahead) : limitMet(setting, most, ahead);
}

const messageIn = (body: unknown) =>
  typeof body === "object" && body !== null && "message" in body ? String(body.message) : undefined;

export interface FaultProps {
  /** What went wrong; undefined: nothing. */
  of?: unknown;
  /** When it is tried again by itself, in epoch milliseconds. */
  retryAt?: number | undefined;
  /** Tries it again at once, for which there is a button then. */
  retry?: (() => void) | undefined;
}

/** Shows a fault, with what is done about it; nothing where there is none. */
export function Fault({ of, retryAt, retry }: FaultProps) {
  if (of === undefined) return null;
  const words = texts.value.common;
  return (
    <div class="fault">
      <Icon name="warning" />
      <div>
        <p role="alert">{faultText(of)}</p>
        {/* Outside of the alert, which would be read out anew whenever the time changes. */}
        {retryAt !== undefined && <p>{words.triedAgain(relativeText(retryAt, now.value))}</p>}
      </div>
      {retry && (
        <button type="button" onClick={retry}>
          {words.tryAgain}
        </button>
      )}
    </div>
  );
}
