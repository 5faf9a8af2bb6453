import * as queries from "../contract/queries.ts";
import { listAccounts, resumeAccount } from "../fleet/accounts.ts";
import { setNext } from "./lists.ts";
import { ADMINS, READERS, type Route, route } from "./route.ts";
import { storableName } from "./workers.ts";

/** `/api/runtime/accounts`: the accounts at LLM providers that the workers use. */
export const accountRoutes: Route[] = [
  route({
    name: "listAccounts",
    method: "get",
    path: "/api/runtime/accounts",
    access: READERS,
    query: queries.workerPage,
    handle: async ({ request, response, db, query }) => {
      const { limit, after } = query();
      const page = await listAccounts(db, { limit, after });
      const last = page.at(-1);
      if (page.length === limit && last) setNext(request, response, last.id);
      response.json(page);
    },
  }),
  route({
    name: "resumeAccount",
    method: "post",
    path: "/api/runtime/accounts/:id/resume",
    access: ADMINS,
    handle: async ({ response, db, caller, params }) =>
      response.json(await resumeAccount(db, caller, storableName(params.id))),
  }),
];
