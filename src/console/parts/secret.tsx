import { texts } from "../texts.ts";
import { CopyButton } from "./copy.tsx";

/** A secret that the service tells once. It stays until somebody closes it. */
export function Secret({ means, text, close }: { means: string; text: string; close: () => void }) {
  return (
    <div class="row">
      <span>{means}</span>
      <code>{text}</code>
      <CopyButton text={text} />
      <button type="button" class="quiet" onClick={close}>
        {texts.value.common.close}
      </button>
    </div>
  );
}
