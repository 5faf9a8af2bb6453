/** Words that several pages use. */
export const tasksText = (count: number, shown = String(count)) => `${shown} ${count === 1 ? "task" : "tasks"}`;

export const common = {
  ago: (time: string) => `${time} ago`,
  in: (time: string) => `in ${time}`,
  now: "just now",
  none: "none",
  copy: "Copy",
  copied: "Copied",
  cancel: "Cancel",
  close: "Close",
  back: "Back",
  more: "Show more",
  moreOf: (size: string) => `Show more (${size} left)`,
  image: (name: string) => `[image: ${name}]`,
  asText: "As text",
  asMarkdown: "As Markdown",
  formatted: "Formatted",
  reload: "Reload",
  loading: "Loading…",
  tasks: tasksText,
  notAllowed: (role: string) => `Your key has the role “${role}”, which may not do this.`,
  noAnswer: "The service was not reached. It is tried again by itself.",
  notFoundTitle: "Nothing is here",
  notFoundBody: "The address names no page of the console.",
  home: "Go to the start",
};
