/** The audit log. */
export const audit = {
  title: "Audit",
  none: "No entry matches.",
  search: "Filter",
  time: "When",
  detail: "What",
  fields: { action: "Action", actor: "By whom", entity_id: "To what" },
};
