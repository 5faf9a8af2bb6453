/** What a cause is about, as texts. What it does not have is empty. */
export interface ToldOf {
  worker: string;
  account: string;
  task: string;
  node: string;
  labels: string;
  /** "until 18:19 (in 4 min)". */
  until: string;
  /** "18:19 (in 4 min)". */
  at: string;
  /** Empty where it was never. */
  since: string;
  said: string;
  /** The worker's state, or why it rests. */
  state: string;
  count: number;
  of: number;
}
