/** How a result reaches the runtime, whatever happens on the way. */
import { expect } from "vitest";
import { eventually } from "../support/eventually.ts";
import { cutOff, pass, refuse } from "../support/faulty-proxy.ts";
import {
  call,
  create,
  describeWorkers,
  endOf,
  makeOverdue,
  proxy,
  query,
  resultOf,
  runtime,
  startRuntime,
  taskOf,
} from "../support/shipped-workers.ts";

describeWorkers(({ it, label, start, startBehindProxy }) => {
  it("uploads an output that is too large for a body in JSON", async () => {
    start("head -c 12000000 /dev/zero | tr '\\0' 'y'");
    const { id } = await create(label);
    await endOf(id, "completed");
    const artifacts = await query("select size_bytes::int, url, content from runtime_artifacts where task_id = $1", [
      id,
    ]);
    expect(artifacts).toEqual([{ size_bytes: 12_000_000, url: null, content: null }]);
  });

  it("keeps a finished result while the runtime is away, and delivers it", async () => {
    start("sleep 1; echo kept");
    const { id } = await create(label);
    await endOf(id, "running");
    runtime.kill("SIGKILL");
    await runtime.exited;
    await startRuntime();
    await endOf(id, "completed");
    expect((await resultOf(id))?.output).toBe("kept\n");
    expect((await taskOf(id)).attempts).toBe(1);
  });

  it("says that a finished result waits, once while it does and again when it is asked to end", async () => {
    const worker = startBehindProxy("echo kept");
    proxy.on(/heartbeat$/, refuse(401));
    proxy.on(/complete/, refuse(503), Number.POSITIVE_INFINITY);
    const { id } = await create(label);
    const waits = `a finished result of task ${id} waits to be handed in: 503`;
    await eventually(() => expect(worker.said()).toContain(waits));
    const calls = proxy.calls.length;
    await eventually(() => expect(proxy.calls.slice(calls).join()).toMatch(/complete.*complete/));
    expect(worker.said().split(waits)).toHaveLength(2);
    worker.child.kill("SIGTERM");
    await eventually(() => expect(worker.said()).toMatch(new RegExp(`${waits}.* It is offered for an hour`)));
    proxy.reset();
    expect(await worker.exited).toBe(0);
    expect((await resultOf(id))?.output).toBe("kept\n");
    expect(worker.said()).not.toContain("did not answer a heartbeat");
  });

  it("keeps its lease alive while it delivers", async () => {
    startBehindProxy("sleep 2");
    proxy.on(
      /heartbeat$/,
      async (response, forward) => {
        const { status, headers, body } = await forward();
        response
          .writeHead(status, { ...headers, "x-bloom-next-heartbeat-ms": "200" })
          .end(body.toString().replace(/"next_heartbeat_ms":\d+/, '"next_heartbeat_ms":200'));
      },
      Number.POSITIVE_INFINITY,
    );
    const { id } = await create(label);
    const [beats, complete] = [`POST /api/runtime/llm-tasks/${id}/heartbeat`, /complete/];
    const count = () => proxy.calls.filter((one) => one === beats).length;
    proxy.on(complete, async (response, forward) => {
      const before = count();
      await eventually(() => expect(count()).toBeGreaterThan(before));
      await pass(response, forward);
    });
    await endOf(id, "completed");
  });

  it("delivers a result although Ctrl-C comes meanwhile and the first answer is lost", async () => {
    const worker = startBehindProxy("echo kept");
    proxy.on(/complete/, (response) => {
      worker.signalGroup("SIGINT");
      response.destroy();
    });
    const { id } = await create(label);
    await endOf(id, "completed");
    expect(await worker.exited).toBe(0);
  });

  it("tries an upload and a completion again after 503 and 408", async () => {
    startBehindProxy("head -c 12000000 /dev/zero | tr '\\0' 'y'");
    proxy.on(/output$/, refuse(503));
    proxy.on(/complete/, refuse(408));
    const { id } = await create(label);
    await endOf(id, "completed");
    const calls = (part: string) => proxy.calls.filter((one) => one.includes(`${id}/${part}`)).length;
    expect(calls("output")).toBeGreaterThanOrEqual(2);
    expect(calls("complete")).toBeGreaterThanOrEqual(2);
  });

  it("uploads a result that was too large for a completion", async () => {
    startBehindProxy("echo much");
    proxy.on(/complete/, refuse(413));
    const { id } = await create(label);
    await endOf(id, "completed");
    expect((await resultOf(id))?.output).toBe("much\n");
    expect(proxy.calls.filter((one) => one.startsWith("PUT"))).toHaveLength(1);
  });

  it("hands in an error when its result is refused", async () => {
    startBehindProxy("echo too much; echo last words >&2");
    proxy.on(/complete/, refuse(413));
    proxy.on(/output$/, refuse(413));
    const { id } = await create(label);
    await endOf(id, "failed");
    expect((await resultOf(id))?.error_message).toMatch(/refused the output \(413\).*last words/s);
  });

  it("executes nothing of an answer that was cut off", async () => {
    startBehindProxy("cat");
    proxy.on(/claim$/, cutOff);
    const { id } = await create(label, { prompt: "whole ".repeat(1_000) });
    await endOf(id, "leased");
    await makeOverdue(id);
    await endOf(id, "completed");
    expect(await call(`/llm-tasks/${id}/results`)).toHaveLength(1);
    expect((await resultOf(id))?.output).toBe("whole ".repeat(1_000));
    expect(proxy.calls.filter((one) => one.includes("/llm-tasks//"))).toEqual([]);
  });
});
