import { spawnSync } from "node:child_process";
import { mkdir, rm, symlink, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { beforeEach, describe, expect, it } from "vitest";
import { loadEnvFile } from "../src/env-file.ts";
import { StartError } from "../src/errors.ts";
import { SETTINGS } from "../src/setting-schema.ts";
import { argumentsOf, ROOT } from "./support/compiled-programs.ts";
import { folderForTest } from "./support/temporary-folder.ts";

let folder = "";
let path = "";
beforeEach(async () => {
  folder = await folderForTest();
  path = join(folder, ".env");
});

const KEY = "a-key-of-16-chars";
const LINES = `# comment: äöü\r\nRUNTIME_API_KEY=${KEY}\r\nexport NAME="two words"\r\n`;
const swapped = (text: string) => Buffer.from(text, "utf16le").swap16();

function load(env: NodeJS.ProcessEnv = {}) {
  loadEnvFile(env, path);
  return env;
}

function fault(): string {
  try {
    load();
  } catch (error) {
    expect(error).toBeInstanceOf(StartError);
    return (error as StartError).message;
  }
  throw new Error("The file was read.");
}

describe("the file .env", () => {
  it.each<[string, string | Buffer]>([
    ["with the line ends of Windows", LINES],
    ["with those of Unix", LINES.replaceAll("\r\n", "\n")],
    ["with those of old Macs", LINES.replaceAll("\r\n", "\r")],
    ["in UTF-8 with a byte order mark", `\uFEFF${LINES}`],
    ["made of two such files", `\uFEFF# first\r\n\uFEFF${LINES}`],
    ["in UTF-16, as PowerShell writes it", Buffer.from(`\uFEFF${LINES}`, "utf16le")],
    ["in UTF-16 of the other byte order", swapped(`\uFEFF${LINES}`)],
  ])("%s is read", async (_how, content) => {
    await writeFile(path, content);
    expect(load()).toEqual({ RUNTIME_API_KEY: KEY, NAME: "two words" });
  });

  it("may be missing, and the environment wins over it", async () => {
    expect(load({ A: "1" })).toEqual({ A: "1" });
    await writeFile(path, "A=2\nB=3\n");
    expect(load({ A: "" })).toEqual({ A: "", B: "3" });
  });

  it.each<[string, string | Buffer, RegExp]>([
    ["in Latin-1", Buffer.from(LINES, "latin1"), /is not valid UTF-8\. Save it/],
    ["in UTF-16 without a mark", Buffer.from("A=1\n", "utf16le"), /without a byte order mark, or no text\. Save it/],
    ["cut off within a character", Buffer.from(`\uFEFF${LINES}`, "utf16le").subarray(0, -1), /is not valid UTF-16LE/],
    ["for another shell", `set RUNTIME_API_KEY=${KEY}\r\n`, /Line 1 of the file .+ sets nothing\. Write NAME=/],
    [
      "with a colon for the equals sign",
      `# one\n\nA="x\ny"\nRUNTIME_API_KEY: ${KEY}`,
      /Line 5 of the file .+ sets nothing/,
    ],
    ["with such a line, whose key ends with an equals sign", `RUNTIME_API_KEY: ${KEY}==\nA=1`, /Line 1 of/],
    ["with a name alone", "A=1\r\nRUNTIME_API_KEY\r\nB=2\r\n", /Line 2 of/],
  ])("%s stops the start with a sentence, without what is in it", async (_how, content, sentence) => {
    await writeFile(path, content);
    expect(fault()).toMatch(sentence);
    expect(fault()).not.toContain(KEY);
  });

  it("may have values of several lines, in any quotes, comments with quotes, and white space around all", async () => {
    await writeFile(
      path,
      `# it's\nA="-----BEGIN\nx\n-----END" # "\n B = 'one\n# two'\n\t# \`\n \t\n\texport  C=\`x\n\`\nD=a"b\n`,
    );
    expect(load()).toEqual({ A: "-----BEGIN\nx\n-----END", B: "one\n# two", C: "x\n", D: 'a"b' });
  });

  it("has names that are nearly a setting's told, and no others", async () => {
    const namesTold = async (names: string[]) => {
      await writeFile(path, names.map((name) => `${name}=1\n`).join(""));
      return loadEnvFile({}, path).map((sentence) => /sets (\S+), .* did you mean (\S+)\?$/.exec(sentence)?.slice(1));
    };
    const misspelt = [
      ["RUNTIME_APIKEY", "RUNTIME_API_KEY"],
      ["RETENTION_DAY", "RETENTION_DAYS"],
      ["runtime_api_key", "RUNTIME_API_KEY"],
      ["RUNTIME_API_KYE", "RUNTIME_API_KEY"],
      ["CORS_ORIGIN", "CORS_ORIGINS"],
      ["MAX_BODY_KB", "MAX_BODY_MB"],
      ["PORT", "BLOOM_RUNTIME_PORT"],
    ];
    const told = await namesTold(misspelt.map(([name = ""]) => name));
    expect(told.toSorted()).toEqual(misspelt.toSorted());
    const foreign = `POSTGRES_USER POSTGRES_DB POSTGRES_PORT COMPOSE_FILE NODE_OPTIONS NODE_PATH PGHOST PGDATA PORT HOST TZ PATH LOG_FILE
      OTEL_TRACES_SAMPLER OTEL_TRACES_EXPORTER OTEL_EXPORTER_OTLP_PROTOCOL OTEL_SERVICE_VERSION OTEL_EXPORTER_OTLP_TIMEOUT MINIO_ROOT_USER
      MINIO_ROOT_PASSWORD MINIO_SITE_REGION MINIO_HOST MINIO_BUCKET TEST_DATABASE_URL DB_POOL_MIN RUNTIME_API_KEY_FILE BLOOM_PORT REDIS_URL`;
    expect(await namesTold([...SETTINGS, ...foreign.split(/\s+/)])).toEqual([]);
  });

  it.each([
    ["the service's log", "start" as const, {}, /"level":"?(40|warn)"?.*"msg":"[^"]*did you mean RUNTIME_API_KEY\?"/],
    ["the fault of a refused start", "start" as const, { NODE_ENV: "production" }, /RUNTIME_API_KEY.*\n.*did you mean/],
    ["what the doctor says", "doctor" as const, {}, /^note {2}.*did you mean RUNTIME_API_KEY\?/m],
  ])("has a misspelt name told in %s", async (_where, program, env, told) => {
    await writeFile(path, `RUNTIME_APIKEY=${KEY}\nDATABASE_URL=postgresql://127.0.0.1:9/none\nBLOOM_RUNTIME_PORT=0\n`);
    const args = argumentsOf(program).map((arg) => (arg.startsWith("dist/") ? join(ROOT, arg) : arg));
    const options = { cwd: folder, env: { PATH: process.env.PATH, ...env }, encoding: "utf8" as const };
    const { stdout, stderr } = spawnSync(process.execPath, args, options);
    expect(stdout + stderr).toMatch(told);
    expect(stdout + stderr).not.toContain(KEY);
  });

  it("that is a folder, a link to nothing, or cannot be opened stops the start with a sentence", async () => {
    await mkdir(path);
    expect(fault()).toMatch(/cannot be read: it is a folder\..*Mend or remove it\.$/);
    await rm(path, { recursive: true });
    await symlink(join(folder, "gone"), path);
    expect(fault()).toMatch(/cannot be read: ENOENT.*Mend or remove it\.$/);
    await rm(path);
    await symlink(path, path);
    expect(fault()).toMatch(/cannot be read: ELOOP.*Mend or remove it\.$/);
  });
});
