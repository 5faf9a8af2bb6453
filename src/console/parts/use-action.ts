import { useState } from "preact/hooks";

export interface Attempts {
  /** Why the last call failed; undefined where it did not. */
  failed: unknown;
  /** A call runs. Its button is disabled then, since a double click makes two calls. */
  isBusy: boolean;
  /** Makes a call; resolves to its answer, or to nothing where it failed. */
  attempt<Answer>(call: () => Promise<Answer>): Promise<Answer | undefined>;
}

/** Calls that somebody has asked for, in a part of a page that shows why the last one failed. `after` runs when one has ended, either way. */
export function useAction(after: () => void = () => {}): Attempts {
  const [failed, setFailed] = useState<unknown>();
  const [isBusy, setBusy] = useState(false);
  const attempt = async <Answer>(call: () => Promise<Answer>) => {
    setFailed(undefined);
    setBusy(true);
    try {
      return await call();
    } catch (error) {
      setFailed(error);
      return undefined;
    } finally {
      setBusy(false);
      after();
    }
  };
  return { failed, isBusy, attempt };
}
