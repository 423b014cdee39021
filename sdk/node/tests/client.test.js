// SPDX-License-Identifier: Apache-2.0
// The client against a server that answers as Millrace does.
import http from "node:http";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { ApiError, Client, Context } from "../src/index.js";

let server;
let client;
/** @type {{ method: string, url: string, headers: any, body: any }[]} */
let seen;
// The next answers: [status, body] each, or a function of the response.
let answers;

beforeAll(async () => {
  server = http.createServer((request, response) => {
    const parts = [];
    request.on("data", (part) => parts.push(part));
    request.on("end", () => {
      const text = Buffer.concat(parts).toString();
      const { method, url, headers } = request;
      seen.push({ method, url, headers, body: headers["content-type"]?.includes("json") ? JSON.parse(text) : text });
      const next = answers.shift() ?? [200, { data: {} }];
      if (typeof next === "function") return next(response);
      const [status, body] = next;
      response.writeHead(status, { "content-type": "application/json" });
      response.end(body === undefined ? undefined : JSON.stringify(body));
    });
  });
  await new Promise((done) => server.listen(0, "127.0.0.1", done));
});
afterAll(() => {
  server.closeAllConnections();
  server.close();
});
beforeEach(() => {
  seen = [];
  answers = [];
  client = new Client({ url: `http://127.0.0.1:${server.address().port}/api/v1/`, token: "t0k" });
});

const all = async (list) => {
  const found = [];
  for await (const each of list) found.push(each);
  return found;
};

// what is called, method and path with query, body
const CALLS = [
  ["actions.get", () => client.actions.get("core.echo"), "GET /actions/core.echo"],
  ["actions.list", () => all(client.actions.list({ pack: "core" })), "GET /actions?limit=500&pack=core"],
  ["events.get", () => client.events.get("1"), "GET /events/1"],
  ["events.replay", () => client.events.replay("1"), "POST /events/1/replay"],
  ["events.send", () => client.events.send("a.b", { n: 1 }, { id: "x" }), "POST /events",
    { specversion: "1.0", id: "x", source: "millrace-sdk", type: "a.b", trigger: "a.b", data: { n: 1 } }],
  ["executions.run", () => client.executions.run("core.echo", { m: 1 }, { priority: "low", runTimeoutMs: 5 }), "POST /executions",
    { action: "core.echo", parameters: { m: 1 }, priority: "low", timeout_ms: 5 }],
  ["executions.get", () => client.executions.get("1"), "GET /executions/1"],
  ["executions.list", () => all(client.executions.list({ status: "failed", open: false })), "GET /executions?limit=500&status=failed&open=false"],
  ["executions.children", () => all(client.executions.children("1")), "GET /executions/1/children?limit=500"],
  ["executions.result", () => client.executions.result("1"), "GET /executions/1/result"],
  ["executions.output", () => client.executions.output("1", { stream: "stderr", from: 7 }), "GET /executions/1/output?stream=stderr&from=7"],
  ["executions.cancel", () => client.executions.cancel("1"), "POST /executions/1/cancel"],
  ["executions.pause", () => client.executions.pause("1"), "POST /executions/1/pause"],
  ["executions.resume", () => client.executions.resume("1"), "POST /executions/1/resume"],
  ["executions.rerun", () => client.executions.rerun("1", { tasks: ["a"] }), "POST /executions/1/rerun", { tasks: ["a"] }],
  ["inquiries.get", () => client.inquiries.get("1"), "GET /inquiries/1"],
  ["inquiries.list", () => all(client.inquiries.list({ status: "pending" })), "GET /inquiries?limit=500&status=pending"],
  ["inquiries.answer", () => client.inquiries.answer("1", { ok: true }), "POST /inquiries/1/answer", { response: { ok: true } }],
  ["keys.get", () => client.keys.get("a/b", { scope: "pack:x", decrypt: true }), "GET /keys/pack%3Ax/a%2Fb?decrypt=true"],
  ["keys.set", () => client.keys.set("k", 1, { encrypted: true, ttlS: 9 }), "PUT /keys/system/k", { value: 1, encrypted: true, ttl_s: 9 }],
  ["keys.delete", () => client.keys.delete("k"), "DELETE /keys/system/k"],
  ["keys.list", () => all(client.keys.list({ scope: "system" })), "GET /keys?limit=500&scope=system"],
  ["rules.get", () => client.rules.get("a.b"), "GET /rules/a.b"],
  ["rules.list", () => all(client.rules.list({ enabled: true })), "GET /rules?limit=500&enabled=true"],
  ["rules.create", () => client.rules.create({ ref: "a.b" }), "POST /rules", { ref: "a.b" }],
  ["rules.update", () => client.rules.update("a.b", { ref: "a.b" }), "PUT /rules/a.b", { ref: "a.b" }],
  ["rules.delete", () => client.rules.delete("a.b"), "DELETE /rules/a.b"],
  ["rules.enable", () => client.rules.enable("a.b"), "POST /rules/a.b/enable"],
  ["rules.disable", () => client.rules.disable("a.b"), "POST /rules/a.b/disable"],
  ["webhooks.get", () => client.webhooks.get("w"), "GET /webhook-endpoints/w"],
  ["webhooks.list", () => all(client.webhooks.list()), "GET /webhook-endpoints?limit=500"],
  ["webhooks.create", () => client.webhooks.create({ name: "w" }), "POST /webhook-endpoints", { name: "w" }],
  ["webhooks.update", () => client.webhooks.update("w", { scheme: "github" }), "PUT /webhook-endpoints/w", { scheme: "github" }],
  ["webhooks.delete", () => client.webhooks.delete("w"), "DELETE /webhook-endpoints/w"],
  ["webhooks.deliver", () => client.webhooks.deliver("w", "raw", { headers: { "Content-Type": "text/plain" } }), "POST /webhooks/w", "raw"],
  ["identity", () => client.identity(), "GET /identity"],
];

describe("the client", () => {
  test.each(CALLS)("%s", async (name, call, request, body = "") => {
    answers = [[200, name.endsWith(".list") || name.endsWith(".children") ? { data: [], next_cursor: null } : { data: { value: 1 } }]];
    await call();
    expect(seen).toHaveLength(1);
    expect(`${seen[0].method} ${seen[0].url.replace("/api/v1", "")}`).toBe(request);
    expect(seen[0].body).toEqual(body);
    expect(seen[0].headers.authorization).toBe("Bearer t0k");
    expect(Boolean(seen[0].headers["idempotency-key"])).toBe(seen[0].method !== "GET");
  });

  test("a list goes on from page to page, and no further than it is read", async () => {
    answers = [[200, { data: [{ ref: "a" }, { ref: "b" }], next_cursor: "c1" }], [200, { data: [{ ref: "c" }], next_cursor: null }]];
    expect((await all(client.rules.list())).map(({ ref }) => ref)).toEqual(["a", "b", "c"]);
    expect(seen[1].url).toContain("cursor=c1");
    answers = [[200, { data: [{ ref: "a" }], next_cursor: "c1" }]];
    for await (const _ of client.rules.list()) break;
    expect(seen).toHaveLength(3);
  });

  test("a problem is an ApiError with code, errors and request id", async () => {
    const problem = { status: 422, code: "API-0003", kind: "INVALID", detail: "no such action", request_id: "r1", errors: [{ path: "/action", message: "unknown" }] };
    answers = [[422, problem]];
    const error = await client.executions.run("a.b").catch((caught) => caught);
    expect(error).toBeInstanceOf(ApiError);
    expect(error).toMatchObject({ status: 422, code: "API-0003", kind: "INVALID", requestId: "r1", errors: problem.errors });
    expect(error.message).toBe("POST /api/v1/executions: 422 no such action");
  });

  test("an unknown outcome is asked for again, with the same key", async () => {
    answers = [[503, { detail: "the store is gone" }], (response) => response.destroy(), [201, { data: { id: "7" } }]];
    expect(await client.executions.run("a.b", {}, { idempotencyKey: "k1" })).toEqual({ id: "7" });
    expect(seen.map(({ headers }) => headers["idempotency-key"])).toEqual(["k1", "k1", "k1"]);
  });

  test("a server that stays away is an ApiError of status 0", async () => {
    const error = await new Client({ url: "http://127.0.0.1:1" }).identity().catch((caught) => caught);
    expect(error).toMatchObject({ status: 0, message: expect.stringContaining("GET /api/v1/identity: ") });
    expect(error.cause).toBeDefined();
  });

  test("no answer in time is an ApiError, an abort the caller's own reason", async () => {
    answers = [() => {}, () => {}];
    await expect(client.identity({ timeoutMs: 50 })).rejects.toMatchObject({ status: 0, message: "GET /api/v1/identity: no answer in time" });
    const mine = new Error("mine");
    const asked = client.identity({ signal: AbortSignal.abort(mine) });
    await expect(asked).rejects.toBe(mine);
  });

  test("redirects are not followed: the token stays here", async () => {
    answers = [(response) => response.writeHead(302, { location: "http://127.0.0.1:1/" }).end()];
    await expect(client.identity()).rejects.toMatchObject({ status: 302 });
  });

  test("waits by asking again until the execution is final", async () => {
    answers = [[201, { data: { id: "7", status: "requested" } }], [200, { data: { id: "7", status: "running" } }], [200, { data: { id: "7", status: "succeeded", result: 1 } }]];
    expect(await client.executions.run("a.b", {}, { waitMs: 60_000 })).toMatchObject({ status: "succeeded" });
    expect(seen[1].url).toMatch(/\/executions\/7\?wait=\d+ms$/);
    answers = [[200, { data: { id: "7", status: "running" } }]];
    expect(await client.executions.wait("7", { waitMs: 0 })).toMatchObject({ status: "running" });
  });

  test("a key that is not there is null; versions become conditions", async () => {
    answers = [[404, { code: "KEY-0001" }], [404, {}], [200, { data: {} }], [200, { data: {} }]];
    expect(await client.keys.get("none")).toBeNull();
    expect(await client.keys.delete("none")).toBe(false);
    await client.keys.set("k", 1, { version: 3 });
    await client.keys.set("k", 1, { version: 0 });
    expect(seen[2].headers["if-match"]).toBe('"3"');
    expect(seen[3].headers["if-none-match"]).toBe("*");
  });

  test("the scope user is one's own", async () => {
    answers = [[200, { data: { identity: "ada" } }], [200, { data: { value: 1 } }]];
    await client.keys.get("k", { scope: "user" });
    expect(seen[1].url).toBe("/api/v1/keys/user%3Aada/k");
  });

  test("the datastore of a call holds keys of its pack", async () => {
    process.env.MILLRACE_API_URL = `http://127.0.0.1:${server.address().port}`;
    const { datastore } = new Context({ action: "demo.get", pack: "demo" });
    answers = [[200, { data: { value: [1] } }], [200, { data: {} }]];
    expect(await datastore.get("k")).toEqual([1]);
    await datastore.set("k", 2, { ttlS: 5 });
    delete process.env.MILLRACE_API_URL;
    expect(seen.map(({ method, url }) => `${method} ${url}`)).toEqual(["GET /api/v1/keys/pack%3Ademo/k", "PUT /api/v1/keys/pack%3Ademo/k"]);
  });

  test("without a server it says which variable is missing", async () => {
    await expect(new Client({ url: "" }).identity()).rejects.toThrow("MILLRACE_API_URL is not set");
  });
});
