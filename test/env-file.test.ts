import { mkdir, mkdtemp, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { loadEnvFile } from "../src/env-file.ts";
import { StartError } from "../src/errors.ts";

let folder = "";
let path = "";
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "bloom-env-"));
  path = join(folder, ".env");
});
afterEach(() => rm(folder, { recursive: true, force: true }));

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
    ["for another shell", `set RUNTIME_API_KEY=${KEY}\r\n`, /a line that sets "set RUNTIME_API_KEY", which is no name/],
  ])("%s stops the start with a sentence, without what is in it", async (_how, content, sentence) => {
    await writeFile(path, content);
    expect(fault()).toMatch(sentence);
    expect(fault()).not.toContain(KEY);
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
