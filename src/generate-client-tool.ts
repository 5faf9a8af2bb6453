/** `npm run client:generate`: writes what the client knows of the calls, from their declarations. */
import { writeFileSync } from "node:fs";
import { declaredCalls } from "./app.ts";
import { clientTypesOf } from "./http/openapi/client-types.ts";
import { documentOf } from "./http/openapi/document.ts";
import { VERSION } from "./package-folder.ts";

writeFileSync(new URL("./client/calls.ts", import.meta.url), clientTypesOf(documentOf(declaredCalls(), VERSION)));
