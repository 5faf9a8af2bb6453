/** What the task has brought forth: the result with its text, and everything else to save. */
import type { SlimArtifact } from "../../../client/index.ts";
import { Fault } from "../../parts/fault.tsx";
import { Icon } from "../../parts/icon.tsx";
import { LongText } from "../../parts/long-text.tsx";
import { tellFault } from "../../parts/notice.tsx";
import { Ago } from "../../parts/time.tsx";
import { bytesText, texts } from "../../texts.ts";
import { saveFile, useContent } from "./content.ts";

/** The result that counts. */
export function Output({ artifact }: { artifact: SlimArtifact }) {
  const { text, left, fault, fetchMore } = useContent(artifact);
  const words = texts.value.task;
  return (
    <section class="card">
      <div class="head">
        <h2>{words.output}</h2>
        <Save artifact={artifact} />
      </div>
      <Fault of={fault} retry={fetchMore} />
      {artifact.size_bytes ? (
        <LongText
          text={text}
          isMarkdown={artifact.content_type.includes("markdown")}
          rest={left > 0 && text !== "" ? { bytes: left, fetch: fetchMore } : undefined}
        />
      ) : (
        <p class="soft">{words.noOutput}</p>
      )}
    </section>
  );
}

export function Artifacts({ artifacts }: { artifacts: SlimArtifact[] }) {
  const words = texts.value.task;
  if (artifacts.length === 0) return null;
  return (
    <section class="card">
      <h2>{words.artifacts}</h2>
      <ul class="lines">
        {artifacts.map((artifact) => (
          <li key={artifact.id} class="head">
            <span class="row">
              <code>{artifact.type}</code>
              {artifact.accepted === false && <span class="tag wait">{words.notAccepted}</span>}
              {artifact.tags.map((tag) => (
                <span key={tag} class="tag">
                  {tag}
                </span>
              ))}
              <span class="soft">
                <Ago at={artifact.created_at} />
              </span>
            </span>
            <Save artifact={artifact} />
          </li>
        ))}
      </ul>
    </section>
  );
}

/** The button that saves an artifact. An artifact without content, of a task that ended without an output, has none. */
function Save({ artifact }: { artifact: SlimArtifact }) {
  if (artifact.size_bytes === null) return null;
  return (
    <button type="button" class="quiet" onClick={() => saveFile(artifact).catch(tellFault)}>
      <Icon name="download" /> {texts.value.task.save} {bytesText(artifact.size_bytes)}
    </button>
  );
}
