/** The present time, which moves on every 5 s, for texts such as "3 min ago". It stands still while the page is hidden. */
import { signal } from "@preact/signals";

const STEP_MS = 5_000;

export const now = signal(Date.now());

export function keepTime(): void {
  const tick = () => {
    if (!document.hidden) now.value = Date.now();
  };
  document.addEventListener("visibilitychange", tick);
  setInterval(tick, STEP_MS);
}
