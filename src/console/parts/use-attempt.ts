import { useState } from "preact/hooks";

export interface Attempts {
  /** Why the last one failed; undefined where it did not. */
  failed: unknown;
  /** Makes a call; resolves to its answer, or to nothing where it failed. */
  attempt<Answer>(call: () => Promise<Answer>): Promise<Answer | undefined>;
}

/** Calls that somebody has asked for, in a part of a page that shows why the last one failed. `after` runs when one has ended, either way. */
export function useAttempt(after: () => void = () => {}): Attempts {
  const [failed, setFailed] = useState<unknown>();
  const attempt = async <Answer>(call: () => Promise<Answer>) => {
    setFailed(undefined);
    try {
      return await call();
    } catch (error) {
      setFailed(error);
      return undefined;
    } finally {
      after();
    }
  };
  return { failed, attempt };
}
