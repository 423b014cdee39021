// SPDX-License-Identifier: Apache-2.0
// The client against a real server: MILLRACE_BINARY=build/release/millrace sdk/node/check
import { spawn } from "node:child_process";
import fs from "node:fs";
import os from "node:os";
import path from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { Client } from "../src/index.js";

const binary = process.env.MILLRACE_BINARY;

describe.skipIf(!binary)("a server", () => {
  let server;
  let folder;
  let client;

  beforeAll(async () => {
    folder = fs.mkdtempSync(path.join(os.tmpdir(), "millrace-sdk-server-"));
    server = spawn(binary, ["up", "--port", "0", "--data", "data"], { cwd: folder, stdio: ["ignore", "pipe", "pipe"] });
    await new Promise((done) => {
      for (const stream of [server.stdout, server.stderr]) {
        stream.on("data", (text) => String(text).includes("worker.opened") && done());
      }
    });
    const read = (name) => fs.readFileSync(path.join(folder, "data", name), "utf8").trim();
    client = new Client({ url: read("url"), token: read("admin.token") });
  }, 60_000);
  afterAll(async () => {
    const ended = new Promise((done) => server.once("exit", done));
    server.kill();
    await ended;
    fs.rmSync(folder, { recursive: true });
  }, 60_000);

  const first = async (list) => (await list.next()).value;

  test("runs, waits, shows and cancels", async () => {
    const run = await client.executions.run("core.echo", { message: "hi" }, { waitMs: 10_000 });
    expect(run).toMatchObject({ status: "succeeded", result: { output: "hi" } });
    expect(await client.executions.result(run.id)).toMatchObject({ output: "hi" });
    expect(await client.executions.output(run.id)).toMatchObject({ data: "hi", complete: true });
    expect((await first(client.executions.list({ status: "succeeded" }))).id).toBe(run.id);
    const sleep = await client.executions.run("core.sleep", { seconds: 60 });
    await client.executions.cancel(sleep.id);
    expect(await client.executions.wait(sleep.id, { waitMs: 5000 })).toMatchObject({ status: "canceled" });
  });

  test("the same idempotency key is the same execution", async () => {
    const run = () => client.executions.run("core.echo", { message: "k" }, { idempotencyKey: "one" });
    expect((await run()).id).toBe((await run()).id);
  });

  test("lists go over pages", async () => {
    const refs = [];
    for await (const { ref } of client.pages("/actions", { limit: 2 })) refs.push(ref);
    expect(refs).toEqual(expect.arrayContaining(["core.echo", "core.ask"]));
    expect(new Set(refs).size).toBe(refs.length);
  });

  test("keys: conditions, secrets, one's own, deletion", async () => {
    const { version } = await client.keys.set("k", { n: 1 }, { ttlS: 60 });
    await client.keys.set("k", 2, { version });
    await expect(client.keys.set("k", 3, { version })).rejects.toMatchObject({ status: 412 });
    await expect(client.keys.set("k", 3, { version: 0 })).rejects.toMatchObject({ status: 412 });
    await client.keys.set("s", "x", { encrypted: true, scope: "pack:core" });
    expect(await client.keys.get("s", { scope: "pack:core" })).toBe("********");
    expect(await client.keys.get("s", { scope: "pack:core", decrypt: true })).toBe("x");
    expect(await client.keys.set("u", 1, { scope: "user" })).toMatchObject({ scope: "user:admin" });
    expect(await first(client.keys.list({ scope: "system", prefix: "k" }))).toMatchObject({ value: 2 });
    expect([await client.keys.delete("k"), await client.keys.delete("k")]).toEqual([true, false]);
  });

  test("rules: revisions, on and off", async () => {
    const uses = { trigger: { ref: "core.webhook" }, action: { ref: "core.noop" } };
    const rule = await client.rules.create({ ref: "demo.r", ...uses });
    await client.rules.update("demo.r", { ...uses, description: "d" }, { revision: rule.revision });
    await expect(client.rules.update("demo.r", uses, { revision: rule.revision })).rejects.toMatchObject({ status: 412 });
    expect(await client.rules.disable("demo.r")).toMatchObject({ enabled: false, description: "d" });
    expect(await client.rules.enable("demo.r")).toMatchObject({ enabled: true });
    await client.rules.delete("demo.r");
  });

  test("events, webhooks, inquiries", async () => {
    const send = () => client.events.send("core.cloudevent", { n: 1 }, { id: "e1" });
    const { event } = await send();
    expect(await send()).toEqual({ event, duplicate: true });
    expect(await client.events.get(event)).toMatchObject({ source_id: "e1" });
    await client.webhooks.create({ name: "w", scheme: "token" });
    expect(await client.webhooks.deliver("w", { a: 1 })).toMatchObject({ duplicate: false });
    await client.webhooks.delete("w");
    const ask = await client.executions.run("core.ask", { prompt: "?", schema: { type: "object" } });
    while (!(await first(client.inquiries.list({ status: "pending" })))) await new Promise((done) => setTimeout(done, 20));
    await client.inquiries.answer((await first(client.inquiries.list({ status: "pending" }))).id, { ok: true });
    expect(await client.executions.wait(ask.id, { waitMs: 5000 })).toMatchObject({ status: "succeeded" });
  });

  test("an error has code, hint and request id", async () => {
    await expect(client.executions.run("core.ecko")).rejects.toMatchObject({
      status: 404, code: "EXE-0001", requestId: expect.stringMatching(/./),
      message: expect.stringContaining("did you mean 'core.echo'?"),
    });
  });
});
