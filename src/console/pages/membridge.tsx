/** The projects of Membridge, and which node leads each. What Membridge answers is shown as far as its fields are known. */
import { useState } from "preact/hooks";
import { confirm } from "../parts/confirm.tsx";
import { Fault } from "../parts/fault.tsx";
import { tell, tellFault } from "../parts/notice.tsx";
import { Ago } from "../parts/time.tsx";
import { client, may } from "../session.ts";
import { texts } from "../texts.ts";
import { useLiveData } from "../use-live-data.ts";

/** With more projects than this, nodes are shown only where somebody asks for them: each project takes two calls to Membridge. */
const SHOWN = 4;

type Fields = Record<string, unknown>;
const fieldsOf = (value: unknown): Fields => (typeof value === "object" && value !== null ? { ...value } : {});
const listOf = (value: unknown): Fields[] => (Array.isArray(value) ? value.map(fieldsOf) : []);
const textOf = (...values: unknown[]) =>
  String(values.find((value) => typeof value === "string" && value !== "") ?? "");

export default function Membridge() {
  const words = texts.value.membridge;
  const { data, trouble } = useLiveData(async (signal) => listOf(await client.listMembridgeProjects({}, { signal })), {
    everyMs: 60_000,
  });
  return (
    <main class="page">
      <h1 tabIndex={-1}>{words.title}</h1>
      <p class="soft">{words.lead}</p>
      <Fault {...trouble} />
      {data?.length === 0 && <p class="empty">{words.none}</p>}
      <div class="grid">
        {data?.map((project) => {
          const cid = textOf(project.canonical_id, project.cid, project.id);
          return <Project key={cid} cid={cid} name={textOf(project.name, cid)} isShown={data.length <= SHOWN} />;
        })}
      </div>
    </main>
  );
}

function Project({ cid, name, isShown }: { cid: string; name: string; isShown: boolean }) {
  const words = texts.value.membridge;
  const [isOpen, setOpen] = useState(isShown);
  return (
    <section class="card" aria-label={name}>
      <div class="head">
        <h2>{name}</h2>
        <button type="button" onClick={() => setOpen(!isOpen)} aria-expanded={isOpen}>
          {words.nodes}
        </button>
      </div>
      <p class="soft mono">{cid}</p>
      {isOpen && <Nodes cid={cid} name={name} />}
    </section>
  );
}

function Nodes({ cid, name }: { cid: string; name: string }) {
  const words = texts.value.membridge;
  const { data, trouble, reload } = useLiveData(
    async (signal) => {
      const [nodes, leadership] = await Promise.all([
        client.listNodes({ cid }, { signal }),
        client.getLeadership({ cid }, { signal }),
      ]);
      const { primary_node_id, preferred_primary } = fieldsOf(leadership);
      const known = listOf(nodes);
      const leads = known.find(({ role }) => role === "primary");
      return { nodes: known, primary: textOf(primary_node_id, preferred_primary, leads?.node_id) };
    },
    { of: cid },
  );
  const promote = async (node: string) => {
    if (!(await confirm({ title: words.ask(node, name), body: words.means, action: words.promote }))) return;
    await client.selectLeader({ cid, primary_node_id: node }).then(() => tell(words.promoted(node, name)), tellFault);
    reload();
  };
  return (
    <>
      <Fault {...trouble} />
      {data?.nodes.length === 0 && <p class="soft">{words.noNodes}</p>}
      {data?.nodes.map((each) => {
        const node = textOf(each.node_id, each.name, each.id);
        return (
          <div key={node} class="head">
            <span>
              {node} {node === data.primary && <span class="tag">{words.primary}</span>}{" "}
              {typeof each.last_seen === "number" && (
                <span class="soft">
                  {words.seen} <Ago at={each.last_seen * 1_000} />
                </span>
              )}
            </span>
            {may("administer") && node !== data.primary && (
              <button type="button" class="quiet" onClick={() => promote(node)}>
                {words.promote}
              </button>
            )}
          </div>
        );
      })}
    </>
  );
}
