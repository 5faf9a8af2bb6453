/** The form of a new task. A field's hint stands behind its name. */
export const newTask = {
  title: "New task",
  more: "More",
  create: "Create the task",
  curl: "The same with curl",
  fields: {
    agent_slug: "Agent | The agent that does it, as you name your agents",
    context_id: "Context | What it belongs to; its tasks can share a session",
    prompt: "Prompt",
    desired_format: "Format",
    model: "Model | As the worker’s CLI names it",
    timeout_sec: "Time limit in seconds | For one attempt; 120 if left empty",
    max_attempts: "Attempts",
    priority: "Priority | Minutes of head start, from -100 to 100",
    requires: "Labels that the worker must have | Separated by commas",
    concurrency_key: "Concurrency key | Of the tasks with the same key, one runs at a time",
    max_usd: "Limit in dollars",
  },
};
