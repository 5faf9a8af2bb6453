/** The audit log. */
export const audit = {
  title: "Audit",
  inItsWords: "Actions and details stand here as the service has written them down.",
  none: "No entry matches.",
  search: "Filter",
  time: "When",
  detail: "What",
  fields: { action: "Action", actor: "By whom", entity_id: "To what" },
};
