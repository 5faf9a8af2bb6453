/** The workers. */
export const workers = {
  title: "Workers",
  none: "No worker has registered yet. “Connect a worker” gives the line that starts one.",
  drained: "drained",
  untilResumed: "until somebody resumes it",
  answeredBy: (node: string) => `At its address the node “${node}” answers, so it is not called.`,
  slots: "Running",
  slotsOf: (held: string, most: string) => `${held} of ${most}`,
  account: "Account",
  lastSeen: "Last sign of life",
  never: "never",
  version: "Version",
  labels: "Labels",
  resume: "Resume",
  drain: {
    name: "Drain",
    ask: (id: string) => `Drain ${id}?`,
    means: "It gets no new task, and finishes what it has.",
    reason: "Why",
    minutes: "For how many minutes",
    noEnd: "until somebody resumes it",
  },
  remove: {
    name: "Remove",
    ask: (id: string) => `Remove ${id}?`,
    means: (held: string) => `It holds ${held} task(s) now. A worker that still runs comes back with its next call.`,
  },
  connect: {
    title: "Connect a worker",
    lead: "A worker runs the CLI of a model on a machine of yours. It needs curl and a shell, and the CLI with its login.",
    name: "Name of the worker",
    cli: "CLI",
    make: "Make the line",
    paste:
      "Paste this on the worker’s machine. It holds a key that can do nothing but this worker’s work, and is shown only now.",
    waits: (name: string) => `Waiting for ${name}…`,
  },
};
