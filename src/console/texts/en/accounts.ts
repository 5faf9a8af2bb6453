/** Accounts and usage. */
export const accounts = {
  title: "Accounts and usage",
  none: "No worker has named an account yet.",
  limited: "At its limit",
  paced: "One task at a time",
  free: "Free",
  running: (count: string) => `${count} running`,
  pacedUntil: (until: string) => `Most of its allowance is used: one task at a time ${until}.`,
  resume: "Resume",
  resumeAsk: (id: string) => `Resume account ${id}?`,
  resumeMeans:
    "Its workers get tasks at once, although its limit may not have been reset yet. If a task meets the limit again, it goes back to the queue, and the account rests again.",
  usage: {
    title: "Usage",
    by: "By",
    dimensions: {
      day: "day",
      account: "account",
      agent_slug: "agent",
      context_id: "context",
      worker_id: "worker",
      model: "model",
    },
    range: "Time",
    today: "today",
    sum: (tokens: string, attempts: string, count: number) =>
      `${tokens} tokens in ${attempts} ${count === 1 ? "attempt" : "attempts"}`,
    noneReported: "no attempt reported its usage",
    days: (days: string) => `last ${days} days`,
    none: "No attempt reported its usage in this time.",
    estimate:
      "Dollars are an estimate by the CLIs; on a subscription, tokens and windows are what counts. Attempts are those that reported their usage. Days are those of UTC.",
    key: "Of",
    attempts: "Attempts",
    tokens: "Tokens",
    output: "Output",
    dollars: "Cost",
  },
};
