import type { Role } from "../db/values.ts";
import { Forbidden } from "../errors.ts";

const READING = /^GET \/api\/(runtime|membridge)(\/|$)/i;

/** What a named key may call, as `<method> <path>`, where GET stands for HEAD too; what is not listed is refused. */
const ALLOWED: Record<Role, RegExp[]> = {
  admin: [/./],
  read: [READING],
  submit: [READING, /^POST \/api\/runtime\/llm-tasks\/?$/i],
  work: [
    /^POST \/api\/runtime\/llm-tasks\/(claim|[^/]+\/(lease|heartbeat|complete|release))\/?$/i,
    /^PUT \/api\/runtime\/llm-tasks\/[^/]+\/output\/?$/i,
    /^GET \/api\/runtime\/llm-tasks\/[^/]+\/input\/[^/]+\/?$/i,
    /^POST \/api\/runtime\/workers(\/[^/]+\/rest)?\/?$/i,
    /^GET \/api\/runtime\/worker\.sh\/?$/i,
  ],
};

/** Forbidden: a key of this role may not make this call. */
export function requireRole(role: Role, method: string, path: string): void {
  const call = `${method} ${path}`;
  if (!ALLOWED[role].some((allowed) => allowed.test(call)))
    throw new Forbidden(`A key with the role "${role}" may not do this.`);
}
