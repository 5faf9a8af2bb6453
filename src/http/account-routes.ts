import * as queries from "../contract/queries.ts";
import { accountRecord } from "../contract/worker-record.ts";
import { getAccount, listAccounts, resumeAccount } from "../fleet/accounts.ts";
import { pageOf } from "./answer-declarations.ts";
import { ADMINS, READERS, type Route, route } from "./route.ts";
import { setNext } from "./send-list.ts";
import { storableName } from "./worker-routes.ts";

/** `/api/runtime/accounts`: the accounts at LLM providers that the workers use. */
export const accountRoutes: Route[] = [
  route({
    name: "listAccounts",
    summary: "List the accounts at LLM providers",
    method: "get",
    path: "/api/runtime/accounts",
    access: READERS,
    query: queries.accountPage,
    answers: pageOf(accountRecord, "The accounts, by name."),
    handle: async ({ request, response, db, query }) => {
      const { limit, after } = query();
      const page = await listAccounts(db, { limit, after });
      const last = page.at(-1);
      if (page.length === limit && last) setNext(request, response, last.id);
      response.json(page);
    },
  }),
  route({
    name: "getAccount",
    summary: "Read an account",
    method: "get",
    path: "/api/runtime/accounts/:id",
    access: READERS,
    answers: { 200: { means: "The account.", json: accountRecord }, 404: "Nobody has such an account." },
    handle: async ({ response, db, params }) => response.json(await getAccount(db, storableName(params.id))),
  }),
  route({
    name: "resumeAccount",
    summary: "End an account's rest and pace",
    method: "post",
    path: "/api/runtime/accounts/:id/resume",
    access: ADMINS,
    answers: { 200: { means: "The account.", json: accountRecord }, 404: "Nobody has such an account." },
    handle: async ({ response, db, caller, params }) =>
      response.json(await resumeAccount(db, caller, storableName(params.id))),
  }),
];
