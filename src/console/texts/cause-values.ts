/** The values that a cause's text may use. A value that the cause does not have is an empty string, or 0. */
export interface CauseValues {
  worker: string;
  account: string;
  task: string;
  node: string;
  labels: string;
  /** "until 18:19 (in 4 min)". */
  until: string;
  /** "18:19 (in 4 min)". */
  at: string;
  /** Empty where it never happened. */
  since: string;
  said: string;
  /** What was said, with a full stop. */
  sentence: string;
  /** Why a worker or an account gets nothing: ": A new SD card". Empty where nobody gave a reason. */
  reason: string;
  /** The state of the task, or of the worker. */
  state: string;
  count: number;
  of: number;
}
