/** The list of tasks. */
export const tasks = {
  title: "Tasks",
  states: "States",
  all: "All",
  attempts: "Attempts",
  choose: (id: string) => `Choose task ${id}`,
  fresh: (count: number) => `${count} new`,
  noMatch: "No task matches this filter.",
  searchOn: "Nothing among the newest tasks. Search on",
  toBeCancelled: "to be cancelled",
  due: (when: string) => `due ${when}`,
  filter: {
    label: "Filter",
    placeholder: "Filter: status:dead agent:writer, or part of a name",
    remove: (what: string) => `Remove ${what}`,
    suggestions: "Suggestions",
    unknown: (name: string, known: string) =>
      `“${name}:” is not a filter. The filters are ${known}. To search for a text with a colon, put it in quotes.`,
  },
  first: {
    title: "No task yet",
    body: "A task is a prompt for an agent, in a context. Create one with a call; a worker takes it, and its result appears here.",
    form: "Fill in the form",
  },
  bulk: {
    matching: "All that match:",
    chosen: (count: string) => `${count} chosen:`,
    clear: "Choose none",
    none: "No task matches.",
    limited: (limit: string) => `More match: the oldest ${limit} are changed now.`,
    andMore: (count: string) => `and ${count} more`,
    done: (changed: string, refused: string) =>
      refused === "0" ? `Done: ${changed}.` : `Done: ${changed}. Not possible any more: ${refused}.`,
    cancel: {
      name: "Cancel",
      ask: (tasks: string) => `Cancel ${tasks}?`,
      confirm: "Cancel the tasks",
      means: "Waiting tasks end at once; those that a worker holds, when their lease ends. It cannot be undone.",
    },
    requeue: {
      name: "Requeue",
      ask: (tasks: string) => `Requeue ${tasks}?`,
      means: "Failed and dead tasks go back to the queue and are tried again, with all their attempts.",
    },
    replay: {
      name: "Replay",
      ask: (tasks: string) => `Replay ${tasks}?`,
      means: "A new task is made of each one, with the same request. The old ones stay as they are.",
    },
  },
};
