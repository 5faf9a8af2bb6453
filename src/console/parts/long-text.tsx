/** A text of any length: shown part by part, so that a large one does not hold up the page. */
import { useState } from "preact/hooks";
import { bytesText, texts } from "../texts.ts";
import { CopyButton } from "./copy.tsx";
import { Markdown } from "./markdown.tsx";

const PART = 20_000;

export interface LongTextProps {
  text: string;
  /** What there is beyond `text` and is fetched when it is asked for. */
  rest?: { bytes: number; fetch(): void } | undefined;
  /** Begins formatted, where the text is Markdown by its own word. */
  isMarkdown?: boolean;
}

export function LongText({ text, rest, isMarkdown = false }: LongTextProps) {
  const [shown, setShown] = useState(PART);
  const [isFormatted, setFormatted] = useState(false);
  const words = texts.value.common;
  const part = text.slice(0, shown);
  const left = text.length - part.length;
  return (
    <div class="long-text">
      <div class="long-text-bar">
        <button type="button" class="quiet" aria-pressed={isFormatted} onClick={() => setFormatted(!isFormatted)}>
          {isFormatted ? words.asText : isMarkdown ? words.formatted : words.asMarkdown}
        </button>
        <CopyButton text={text} />
      </div>
      {isFormatted ? <Markdown text={part} /> : <pre class="code">{part}</pre>}
      {left > 0 && (
        <button type="button" onClick={() => setShown(shown + PART * 5)}>
          {words.moreOf(bytesText(left))}
        </button>
      )}
      {left <= 0 && rest && (
        <button type="button" onClick={rest.fetch}>
          {words.moreOf(bytesText(rest.bytes))}
        </button>
      )}
    </div>
  );
}
