/** The form of a new task. A field's hint stands behind its name. */
export const newTask = {
  title: "New task",
  more: "More",
  create: "Create the task",
  curl: "The same with curl",
  fields: {
    agent_slug: "Agent | Who shall do it, as your agents are named",
    context_id: "Context | What it belongs to; its tasks can share a session",
    prompt: "Prompt",
    desired_format: "Format",
    model: "Model | As the worker’s CLI names it",
    timeout_sec: "Time limit in seconds | Of one attempt; 120 without one",
    max_attempts: "Attempts",
    priority: "Priority | Minutes of head start, from -100 to 100",
    requires: "Labels that the worker must have | With commas",
    concurrency_key: "Concurrency key | One task at a time runs with the same key",
    max_usd: "Limit in dollars",
  },
};
