/** What `deploy/` says of the service is so: its settings, its files, its calls and how it is started. */
import { execFileSync } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { parse } from "yaml";
import { declaredCalls } from "../src/app.ts";
import { SETTINGS } from "../src/setting-schema.ts";
import { argumentsOf, environmentOfStart, ROOT } from "./support/compiled-programs.ts";

const read = (path: string) => readFileSync(join(ROOT, "deploy", path), "utf8");
const inProject = (path: string) => existsSync(join(ROOT, path));
/** Names that are set to something, also in a comment. */
const namesIn = (text: string) => [...text.matchAll(/^(?:# )?([A-Z_]+)=/gm)].map(([, name = ""]) => name);
const unknown = (names: string[], others: string[] = []) =>
  names.filter((name) => !SETTINGS.includes(name) && !others.includes(name));

interface Compose {
  services: Record<
    string,
    {
      build?: { context: string; dockerfile: string };
      environment?: Record<string, string>;
      env_file?: string;
      volumes?: string[];
      depends_on?: string[] | Record<string, unknown>;
    }
  >;
  volumes: Record<string, unknown>;
}
const compose: Compose = parse(read("compose.yml"), { merge: true });
const services = Object.entries(compose.services);
const dockerfile = read("Dockerfile");

/** Of compose alone, beside the service's settings. */
const OF_COMPOSE = ["POSTGRES_PASSWORD", "SITE_ADDRESS"];

it("sets settings that there are", () => {
  const { environment = {} } = compose.services["runtime-1"] ?? {};
  expect(Object.keys(environment)).toContain("DATABASE_URL");
  expect(unknown(Object.keys(environment))).toEqual([]);
  expect(unknown(namesIn(read("runtime.env.example")), OF_COMPOSE)).toEqual([]);
  const [, ofImage = ""] = dockerfile.match(/^ENV (.*)$/m) ?? [];
  const [, ofUnit = ""] = read("systemd/bloom-runtime.service").match(/^Environment=(.*)$/m) ?? [];
  const [, ofInit = ""] = read("openrc/bloom-runtime").match(/^\texport (.*)$/m) ?? [];
  const ofStart = Object.entries(environmentOfStart()).map(([name, value]) => `${name}=${value}`);
  for (const set of [ofImage, ofUnit, ofInit])
    expect(set.split(" ")).toEqual(["NODE_ENV=production", expect.stringMatching(/^DATA_DIR=/), ...ofStart]);
});

it("starts the service as `npm start` does, and the worker as `npm run worker`", () => {
  const start = argumentsOf("start");
  const [, inImage = ""] = dockerfile.match(/^CMD (.*)$/m) ?? [];
  expect(JSON.parse(inImage)).toEqual(["node", ...start]);
  expect(read("systemd/bloom-runtime.service")).toContain(`ExecStart=/usr/bin/node ${start.join(" ")}\n`);
  expect(read("openrc/bloom-runtime")).toContain(`command_args="${start.join(" ")}"`);
  const worker = argumentsOf("worker").join(" ");
  expect(read("systemd/bloom-worker.service")).toContain(`ExecStart=/usr/bin/node ${worker} --server `);
  expect(read("openrc/bloom-worker")).toContain(`command_args="${worker} --server `);
});

it("installs before it starts on Replit, whose run button may come before anything else", () => {
  const replit = readFileSync(new URL("../.replit", import.meta.url), "utf8");
  expect(replit).toMatch(/^run = "npm ci && npm start"$/m);
  expect(replit).toMatch(/^build = .*npm ci --omit=dev && npm run build/m);
});

it.each([
  ["Dockerfile", 1],
  ["Caddyfile", 1],
  ["haproxy.cfg", 1],
])("asks for calls that there are: %s", (file, count) => {
  const asked = [...read(file).matchAll(/(\/(?:livez|readyz|api\/[\w/-]+))\b/g)]
    .map(([path]) => path)
    .filter((path, at, all) => all.indexOf(path) === at);
  const paths = declaredCalls()
    .filter(({ method }) => method === "get")
    .map(({ path }) => path);
  expect(asked.length).toBeGreaterThanOrEqual(count);
  expect(asked.filter((path) => !paths.includes(path))).toEqual([]);
});

describe("the image", () => {
  const copied = [...dockerfile.matchAll(/^COPY (?!--from)(.*)$/gm)].flatMap(([, args = ""]) =>
    args.split(" ").slice(0, -1),
  );

  it("is made of files that there are, and that its list of files lets through", () => {
    const allowed = read("Dockerfile.dockerignore")
      .split("\n")
      .filter((line) => line.startsWith("!"))
      .map((line) => line.slice(1));
    expect(copied.length).toBeGreaterThan(5);
    expect(copied.filter((path) => !inProject(path))).toEqual([]);
    expect(copied.filter((path) => !allowed.some((each) => path === each || path.startsWith(`${each}/`)))).toEqual([]);
  });

  it("has what the build imports, and does not run as root", () => {
    const imported = [...readFileSync(join(ROOT, "build.mjs"), "utf8").matchAll(/(?:from |import\()"\.\/([^"]+)"/g)];
    expect(imported.length).toBeGreaterThan(0);
    expect(imported.map(([, path = ""]) => path).filter((path) => !copied.includes(path))).toEqual([]);
    expect(dockerfile).toMatch(/^USER node$/m);
  });
});

describe("compose", () => {
  it("runs two instances of one image, from a Dockerfile that there is", () => {
    const instances = services.filter(([, { build }]) => build !== undefined);
    expect(instances.map(([name]) => name)).toEqual(["runtime-1", "runtime-2"]);
    for (const [, { build, env_file }] of instances) {
      expect([build?.context, inProject(build?.dockerfile ?? "-")]).toEqual(["..", true]);
      expect(existsSync(join(ROOT, "deploy", `${env_file}.example`))).toBe(true);
    }
    expect(compose.services.proxy?.environment?.UPSTREAMS?.split(" ")).toEqual(["runtime-1:3002", "runtime-2:3002"]);
  });

  it("names volumes, services, files and variables that there are", () => {
    for (const [, { volumes = [], depends_on = [] }] of services) {
      for (const volume of volumes) {
        const [source = ""] = volume.split(":");
        const isThere = source.startsWith("./") ? inProject(join("deploy", source)) : source in compose.volumes;
        expect([source, isThere]).toEqual([source, true]);
      }
      const needed = Array.isArray(depends_on) ? depends_on : Object.keys(depends_on);
      expect(needed.filter((name) => !(name in compose.services))).toEqual([]);
    }
    const variables = [...read("compose.yml").matchAll(/\$\{(\w+)/g)].map(([, name = ""]) => name);
    const offered = namesIn(read("runtime.env.example"));
    expect(variables.filter((name) => !offered.includes(name))).toEqual([]);
  });
});

it("has scripts and settings files that a shell reads", () => {
  for (const file of ["openrc/bloom-runtime", "openrc/bloom-worker", "runtime.env.example", "worker.env.example"])
    execFileSync("sh", ["-n", join(ROOT, "deploy", file)]);
});
