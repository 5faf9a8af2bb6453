/**
 * pg-boss behind HTTP, in the way of its own proxy: a method is a POST with its arguments as JSON, whose shape zod checks, and it answers
 * { ok, result }. The three methods that a task needs. As there, pg-boss neither supervises nor schedules, which costs it nothing here. It runs in
 * the folder into which its packages were installed, and prints its port.
 */
import { serve } from "@hono/node-server";
import { createRoute, OpenAPIHono, z } from "@hono/zod-openapi";
import { honoLogger } from "@logtape/hono";
import { PgBoss } from "pg-boss";

const boss = new PgBoss({ connectionString: process.env.DATABASE_URL, supervise: false, schedule: false });
boss.on("error", (error) => void process.stderr.write(`${error.stack}\n`));
await boss.start();
await boss.createQueue("tasks");

const name = z.string().min(1);
const data = z.record(z.string(), z.unknown()).nullable().optional();
const counts = z.object({ jobs: z.array(z.string()), requested: z.number(), affected: z.number() });
const methods = {
  send: {
    takes: z.object({ name, data }),
    gives: z.string().nullable(),
    call: (body) => boss.send(body.name, body.data),
  },
  fetch: {
    takes: z.object({ name }),
    gives: z.array(z.object({ id: z.string(), data })),
    call: (body) => boss.fetch(body.name),
  },
  complete: {
    takes: z.object({ name, id: z.string(), data }),
    gives: counts,
    call: (body) => boss.complete(body.name, body.id, body.data),
  },
};

const json = (description, schema) => ({ description, content: { "application/json": { schema } } });
const app = new OpenAPIHono({
  defaultHook: ({ success, error }, context) =>
    success ? undefined : context.json({ ok: false, error: { message: error.message } }, 400),
});
// As there, it is on, and nobody has said where its lines go: they are made and dropped.
app.use("*", honoLogger());
app.onError((error, context) => context.json({ ok: false, error: { message: error.message } }, 500));
for (const [method, { takes, gives, call }] of Object.entries(methods)) {
  const route = createRoute({
    method: "post",
    path: `/api/${method}`,
    request: { body: json("The method's arguments", takes) },
    responses: { 200: json("Its result", z.object({ ok: z.literal(true), result: gives })) },
  });
  app.openapi(route, async (context) => {
    const result = await call(context.req.valid("json"));
    return context.json({ ok: true, result: result ?? null }, 200);
  });
}

const server = serve({ fetch: app.fetch, port: 0, hostname: "127.0.0.1" }, ({ port }) => {
  process.stdout.write(`"port":${port}\n`);
});
process.once("SIGTERM", async () => {
  server.closeAllConnections();
  server.close();
  await boss.stop({ graceful: false });
  process.exit(0);
});
