/** `npm run --silent openapi`: prints the document of all calls (OpenAPI 3.1), which the service answers at `/api/runtime/openapi.json`. */
import { declaredCalls } from "./app.ts";
import { endWhenNobodyReads } from "./closed-output.ts";
import { documentOf } from "./http/openapi/document.ts";
import { VERSION } from "./package-folder.ts";

endWhenNobodyReads();
process.stdout.write(`${JSON.stringify(documentOf(declaredCalls(), VERSION), null, 2)}\n`);
