import { confirm } from "../../parts/confirm.tsx";
import { tell, tellFault } from "../../parts/notice.tsx";
import { client } from "../../session.ts";
import { texts } from "../../texts.ts";

/** Asks whether the account shall get work again. If so, resumes it, tells what came of it, and calls `done` where it was resumed. */
export async function resumeAccount(id: string, done: () => void): Promise<void> {
  const { resume, resumeAsk, resumeMeans } = texts.value.accounts;
  if (!(await confirm({ title: resumeAsk(id), body: resumeMeans, action: resume }))) return;
  await client.resumeAccount({ id }).then(() => {
    tell(texts.value.now.resumed(id));
    done();
  }, tellFault);
}
