/** Markdown as elements of the page. HTML in it stays text; links open only when they are followed, and images are links. */

import type { Token, Tokens } from "marked";
import type { ComponentChildren } from "preact";
import { useEffect, useState } from "preact/hooks";
import { texts } from "../texts.ts";
import { Fault } from "./fault.tsx";

/** The parser is loaded when somebody asks for it first. */
export function Markdown({ text }: { text: string }) {
  const [parsed, setParsed] = useState<{ tokens?: Token[]; fault?: unknown }>({});
  useEffect(() => {
    import("marked").then(
      ({ lexer }) => setParsed({ tokens: lexer(text) }),
      (fault) => setParsed({ fault }),
    );
  }, [text]);
  return (
    <div class="markdown">
      <Fault of={parsed.fault} />
      {parsed.tokens?.map(shown)}
    </div>
  );
}

/** A link leads out of the console, and tells the other site nothing. Other schemes than these stay text. */
const SAFE = /^(https?:|mailto:)/i;

function link(href: string, children: ComponentChildren, key: number) {
  if (!SAFE.test(href)) return <span key={key}>{children}</span>;
  return (
    <a key={key} href={href} target="_blank" rel="noopener noreferrer nofollow" title={href}>
      {children}
    </a>
  );
}

function shown(given: Token, key: number): ComponentChildren {
  // Extensions could add other tokens; none are used.
  const token = given as Exclude<Tokens.Generic, never> & { type: string };
  const inner = () => (token.tokens ? (token.tokens as Token[]).map(shown) : unescaped(token));
  switch (token.type) {
    case "space":
    case "def":
      return null;
    case "heading":
      return heading(token.depth as number, inner(), key);
    case "paragraph":
      return <p key={key}>{inner()}</p>;
    case "blockquote":
      return <blockquote key={key}>{inner()}</blockquote>;
    case "code":
      return (
        <pre key={key} class="code">
          {token.text as string}
        </pre>
      );
    case "hr":
      return <hr key={key} />;
    case "list":
      return list(token as Tokens.List, key);
    case "table":
      return table(token as Tokens.Table, key);
    case "strong":
      return <strong key={key}>{inner()}</strong>;
    case "em":
      return <em key={key}>{inner()}</em>;
    case "del":
      return <s key={key}>{inner()}</s>;
    case "codespan":
      return <code key={key}>{token.text as string}</code>;
    case "br":
      return <br key={key} />;
    case "link":
      return link(token.href as string, inner(), key);
    case "image":
      return link(token.href as string, texts.value.common.image(token.text as string), key);
    default:
      return <span key={key}>{inner()}</span>;
  }
}

/** The text of a token: HTML as it was written. */
const unescaped = ({ type, raw, text }: { type: string; raw: string; text?: unknown }) =>
  type === "html" || typeof text !== "string" ? raw : text;

/** The page has its own first headings. */
function heading(depth: number, children: ComponentChildren, key: number) {
  return depth < 3 ? <h3 key={key}>{children}</h3> : <h4 key={key}>{children}</h4>;
}

function list({ ordered, start, items }: Tokens.List, key: number) {
  const rows = items.map(({ tokens, task, checked }, n) => (
    <li key={n}>
      {task && (checked ? "☑ " : "☐ ")}
      {tokens.map(shown)}
    </li>
  ));
  return ordered ? (
    <ol key={key} start={start === "" ? 1 : start}>
      {rows}
    </ol>
  ) : (
    <ul key={key}>{rows}</ul>
  );
}

function table({ header, rows }: Tokens.Table, key: number) {
  return (
    <div key={key} class="wide">
      <table class="table">
        <thead>
          <tr>
            {header.map(({ tokens }, n) => (
              <th key={n}>{tokens.map(shown)}</th>
            ))}
          </tr>
        </thead>
        <tbody>
          {rows.map((row, at) => (
            <tr key={at}>
              {row.map(({ tokens }, n) => (
                <td key={n}>{tokens.map(shown)}</td>
              ))}
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}
