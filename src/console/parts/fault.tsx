/** What went wrong with a call: the service's own sentence. */
import { NoAnswer, Refused } from "../../client/index.ts";
import { texts } from "../texts.ts";
import { Icon } from "./icon.tsx";

export function faultText(fault: unknown): string {
  if (fault instanceof NoAnswer) return `${texts.value.common.noAnswer} ${fault.message}`;
  // When a key is refused, `error` is the one word "Unauthorized", and the sentence is in `message`.
  if (fault instanceof Refused && fault.status === 401) return messageIn(fault.body) ?? fault.message;
  return fault instanceof Error ? fault.message : String(fault);
}

const messageIn = (body: unknown) =>
  typeof body === "object" && body !== null && "message" in body ? String(body.message) : undefined;

/** Shows a fault; nothing where there is none. */
export function Fault({ of }: { of: unknown }) {
  if (of === undefined) return null;
  return (
    <p class="fault" role="alert">
      <Icon name="warning" /> {faultText(of)}
    </p>
  );
}
