/** Accounts and usage. */
export const accounts = {
  title: "Accounts and usage",
  none: "No worker has named an account yet.",
  limited: "At its limit",
  paced: "One task at a time",
  free: "Free",
  running: (count: string) => `${count} running`,
  resume: "Resume",
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
    days: (days: string) => `last ${days} days`,
    none: "Nothing was used in this time.",
    estimate:
      "Dollars are an estimate by the CLIs; on a subscription, tokens and windows are what counts. Days are those of UTC.",
    key: "Of",
    attempts: "Attempts",
    tokens: "Tokens",
    output: "Output",
    dollars: "Cost",
  },
};
