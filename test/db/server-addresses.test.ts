import { describe, expect, it } from "vitest";
import { nameServers, serverAddresses } from "../../src/db/server-addresses.ts";

describe("the address of a database", () => {
  it("names one server, and stays as it is", () => {
    const url = "postgresql://bloom:p%23w@db.local:5433/bloom?application_name=a%20b";
    expect(serverAddresses(url)).toEqual([url]);
  });

  it.each([
    [
      "postgres://u:p@a:5432,b:5433/d?target_session_attrs=read-write",
      ["postgres://u:p@a:5432/d", "postgres://u:p@b:5433/d"],
    ],
    ["postgresql://a,[::1]:5433/d", ["postgresql://a/d", "postgresql://[::1]:5433/d"]],
    ["postgresql:///d?host=a,b&port=6000", ["postgresql:///d?host=a&port=6000", "postgresql:///d?host=b&port=6000"]],
    ["postgresql:///d?host=a,b&port=1,2", ["postgresql:///d?host=a&port=1", "postgresql:///d?host=b&port=2"]],
  ])("names several servers as libpq has it: %s", (url, addresses) => {
    expect(serverAddresses(url)).toEqual(addresses);
  });

  it("has the sslmode of libpq, of which `require` checks no certificate", () => {
    const [address = ""] = serverAddresses("postgresql://a/d?sslmode=require");
    expect(new URL(address).searchParams.get("uselibpqcompat")).toBe("true");
  });

  it.each([
    ["postgresql://a:1,b:x/d", /^is no address/],
    ["postgresql://u:p#w@a/d", /^is no address/],
    ["postgresql://a,b/d?target_session_attrs=standby", /asks for a standby server/],
    ["postgresql:///d?host=a,b,c&port=1,2", /3 hosts and 2 ports/],
  ])("is refused with a sentence: %s", (url, sentence) => {
    expect(() => serverAddresses(url)).toThrow(sentence);
  });

  it("is told to people without its password", () => {
    expect(nameServers("postgresql://u:secret@a:1,b:2/d")).toEqual({ hosts: "a:1, b:2", database: "d" });
  });
});
