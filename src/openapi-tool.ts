/** `npm run --silent openapi`: prints the document of all calls (OpenAPI 3.1), which the service answers at `/api/runtime/openapi.json`. */
import { declaredCalls } from "./app.ts";
import { versionOf } from "./http/document-routes.ts";
import { documentOf } from "./http/openapi/document.ts";

process.stdout.write(`${JSON.stringify(documentOf(declaredCalls(), versionOf()), null, 2)}\n`);
