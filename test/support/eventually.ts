import { vi } from "vitest";

/** Vitest waits for 1 s, in which a busy machine may not even get to its turn. Nothing is waited for longer than it takes. */
const PATIENCE_MS = 20_000;

/** Resolves with what `check` gives when it does not throw any more. It is tried every `interval` ms; after `timeout` ms its last error is thrown. */
export const eventually = <T>(
  check: () => T | Promise<T>,
  { timeout = PATIENCE_MS, interval = 50 }: { timeout?: number; interval?: number } = {},
): Promise<T> => vi.waitFor(check, { timeout, interval });
