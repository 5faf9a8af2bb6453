/** A stand-in for the service, to be killed: starts PostgreSQL on argv[2], says how that went in one line, stops when stdin ends. */
import { pino } from "pino";
import { startEmbedded } from "../../src/embedded/start.ts";
import { messageOf, StartError } from "../../src/errors.ts";

const [, , dataDir = "", packageDirectory] = process.argv;
const log = pino({ level: "silent" });

async function main(): Promise<void> {
  const running = await startEmbedded({ dataDir, log, ...(packageDirectory && { packageDirectory }) });
  process.on("SIGINT", () => process.stdout.write(`${JSON.stringify({ interrupted: true })}\n`));
  process.stdin.resume().once("end", async () => {
    await running.stop();
    process.exit(0);
  });
  process.stdout.write(`${JSON.stringify({ url: running.url })}\n`);
}

main().catch((error: unknown) => {
  process.stdout.write(`${JSON.stringify({ refused: messageOf(error), clear: error instanceof StartError })}\n`);
  process.exit(1);
});
