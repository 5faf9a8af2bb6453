/** What went wrong with a call: the service's own sentence. */
import { NoAnswer } from "../../client/index.ts";
import { texts } from "../texts.ts";
import { Icon } from "./icon.tsx";

export function faultText(fault: unknown): string {
  if (fault instanceof NoAnswer) return `${texts.value.common.noAnswer} ${fault.message}`;
  return fault instanceof Error ? fault.message : String(fault);
}

/** Shows a fault; nothing where there is none. */
export function Fault({ of }: { of: unknown }) {
  if (of === undefined) return null;
  return (
    <p class="fault" role="alert">
      <Icon name="warning" /> {faultText(of)}
    </p>
  );
}
