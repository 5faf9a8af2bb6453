import { confirm } from "../../parts/confirm.tsx";
import { client } from "../../session.ts";
import { texts } from "../../texts.ts";

/** Asks whether the account shall get work again; resolves to whether it does now. Rejects with what the service said against it. */
export async function resumeAccount(id: string): Promise<boolean> {
  const { resume, resumeAsk, resumeMeans } = texts.value.accounts;
  if (!(await confirm({ title: resumeAsk(id), body: resumeMeans, action: resume }))) return false;
  await client.resumeAccount({ id });
  return true;
}
