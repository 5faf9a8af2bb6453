import { z } from "zod";
import { ADMINS, READERS, type Route, route } from "./route.ts";

const NO_PROJECTS =
  "This service keeps no projects: it returns the results of tasks, and nothing writes to a repository or a memory through it. Create the project in Membridge.";

/**
 * `/api/runtime/projects`: a list that is always empty, and a refusal to create a project. Pages of the earlier service ask for it (lifecycle.md,
 * invariant 13).
 */
export const unsupportedProjectRoutes: Route[] = [
  route({
    name: "listProjects",
    summary: "List nothing, for pages of the earlier service",
    method: "get",
    path: "/api/runtime/projects",
    access: READERS,
    answers: { 200: { means: "An empty list.", json: z.array(z.never()) } },
    handle: ({ response }) => response.json([]),
  }),
  route({
    name: "createProject",
    summary: "Refuse to create a project",
    method: "post",
    path: "/api/runtime/projects",
    access: ADMINS,
    answers: { 501: "This service keeps no projects." },
    handle: ({ response }) => response.status(501).json({ error: NO_PROJECTS }),
  }),
];
