/** The audit log. */
export const audit = {
  title: "Audit",
  none: "No entry matches.",
  search: "Filter",
  time: "When",
  detail: "What",
  /** What an entry says in a sentence of the service's. */
  said: (sentence: string) => sentence,
  fields: { action: "Action", actor: "By whom", entity_id: "To what" },
};
