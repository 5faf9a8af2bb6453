/** The projects of Membridge. */
export const membridge = {
  title: "Membridge",
  lead: "Its projects, and the node that leads each. The service calls Membridge; its key never reaches this page.",
  none: "Membridge has no project.",
  nodes: "Nodes",
  noNodes: "No node is known.",
  primary: "primary",
  seen: "seen",
  promote: "Make it the primary",
  ask: (node: string, project: string) => `Make ${node} the primary of ${project}?`,
  means: "Membridge gives it the lead of the project’s memory.",
  promoted: (node: string, project: string) => `${node} is the primary of ${project} now.`,
};
