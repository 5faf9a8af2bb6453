/** A line that says what has just been done, or why it was not. It goes away by itself, a fault when it is closed. */
import { signal } from "@preact/signals";
import { texts } from "../texts.ts";
import { faultText } from "./fault.tsx";
import { Icon } from "./icon.tsx";

const LASTS_MS = 6_000;

const notice = signal<{ text: string; isFault: boolean } | undefined>(undefined);

export function tell(text: string): void {
  const told = { text, isFault: false };
  notice.value = told;
  setTimeout(() => {
    if (notice.value === told) notice.value = undefined;
  }, LASTS_MS);
}

export function tellFault(fault: unknown): void {
  notice.value = { text: faultText(fault), isFault: true };
}

export function Notice() {
  const { value } = notice;
  return (
    <div class="notices" role="status" aria-live="polite">
      {value && (
        <p class={value.isFault ? "notice bad" : "notice"}>
          <Icon name={value.isFault ? "warning" : "check"} />
          <span>{value.text}</span>
          <button
            type="button"
            class="plain"
            onClick={() => (notice.value = undefined)}
            aria-label={texts.value.common.close}
          >
            <Icon name="close" />
          </button>
        </p>
      )}
    </div>
  );
}
