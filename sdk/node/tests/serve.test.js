// SPDX-License-Identifier: Apache-2.0
// A warm process: what it answers, and what one call leaves for the next.
import fs from "node:fs";
import { describe, expect, test } from "vitest";
import { NODES, orderOf, pack, startWarm } from "./support.js";

const clean = { status: "succeeded", dirty: false };
// Each call tells what it sees of the calls before it, then leaves something behind.
const tells = (look, leave) => `export default async (parameters) => {
  const seen = await (async () => (${look}))();
  if (parameters.leave) { ${leave} }
  return seen;
};`;

// name, what a call looks at, what it leaves behind
const RESTORED = [
  ["a variable of the environment", "process.env.CANARY ?? null", "process.env.CANARY = 'c';"],
  ["another environment", "process.env.CANARY ?? null", "process.env = { CANARY: 'c' };"],
  ["the environment itself", "(process.env.n = 1, typeof process.env.n === 'string') ? null : 'plain'",
    "process.env = {};"],
  ["a variable that is gone", "process.env.HOME ? null : 'gone'", "delete process.env.HOME;"],
  ["a global", "globalThis.canary ?? null", "globalThis.canary = 1;"],
  ["a global that is gone", "typeof structuredClone === 'function' ? null : 'gone'", "delete globalThis.structuredClone;"],
  ["a global that is another", "fetch.canary ?? null", "globalThis.fetch = Object.assign(() => {}, { canary: 1 });"],
  ["a member of a prototype", "[].canary ?? null", "Array.prototype.canary = 1;"],
  ["a function that is another", "JSON.stringify.canary ?? null",
    "JSON.stringify = Object.assign(() => '0', { canary: 1 });"],
  ["the console", "console.log.canary ?? null", "console.log = Object.assign(() => {}, { canary: 1 });"],
  ["the working folder", "process.cwd() === '/' ? 'moved' : null", "process.chdir('/');"],
  ["the umask", "process.umask() === 0o77 ? 'umask' : null", "process.umask(0o77);"],
  ["the title", "process.title === 'canary' ? 1 : null", "process.title = 'canary';"],
  ["the arguments", "process.argv.includes('canary') || null", "process.argv.push('canary');"],
  ["a stream's write", "process.stdout.write.canary ?? null",
    "process.stdout.write = Object.assign(() => true, { canary: 1 });"],
  ["process.exit", "process.exit.canary ?? null", "process.exit = Object.assign(() => {}, { canary: 1 });"],
  ["the exit code", "process.exitCode ?? null", "process.exitCode = 7;"],
  ["a timeout", "null", "setTimeout(() => console.log('late'), 60000);"],
  ["an interval", "null", "setInterval(() => console.log('late'), 60000);"],
  ["turns of the loop", "(await new Promise((d) => setTimeout(d, 20)), globalThis.turns ?? null)",
    "const again = () => { globalThis.turns = 1; setImmediate(again); }; again();"],
  ["a cleared timeout", "null", "clearTimeout(setTimeout(() => {}, 60000));"],
  ["a listener of the process", "process.listenerCount('SIGUSR2') || null", "process.on('SIGUSR2', () => {});"],
  ["a listener of uncaught errors", "null", "process.on('uncaughtException', () => {});"],
];

// name, the rest of the action, why it is dirty
const DIRTY = [
  ["a child that lives on", "const { spawn } = await import('node:child_process'); spawn('sleep', ['20'], { detached: true, stdio: 'ignore' }).unref();", /child/],
  ["a server that listens", "const net = await import('node:net'); net.createServer().listen(0);", /TCPServerWrap/],
  ["a timer of node:timers", "const t = await import('node:timers'); t.setInterval(() => {}, 999);", /Timeout/],
  ["an unhandled rejection", "Promise.reject(new Error('lost'));", /nobody has caught/],
  ["a global that cannot be deleted", "Object.defineProperty(globalThis, 'fast', { value: 1 });", /global fast/],
  ["a listener that is gone", "process.removeAllListeners('uncaughtException');", /uncaughtException/],
];

describe.each(NODES)("a warm process of %s", (node) => {
  const start = (source, env) => {
    const order = orderOf(pack({ "actions/get.js": source }));
    const warm = startWarm(node, env);
    return { warm, call: (more = {}) => warm.call({ ...order, ...more }) };
  };

  test("gives results, one call after another, in order", async () => {
    const { warm, call } = start("let n = 0; export default async ({ a }) => [a, ++n];");
    const all = await Promise.all([1, 2, 3].map((a) => call({ parameters: { a } })));
    expect(all.map(({ result }) => result)).toEqual([[1, 1], [2, 2], [3, 3]]);
    expect(all[2]).toMatchObject({ ...clean, exit_code: 0, calls: 3, memory: expect.any(Number) });
    warm.close();
    expect(await warm.ended).toBe(0);
  });

  test("a failed call leaves the process as it was", async () => {
    const { call } = start("export default ({ ok }) => { if (!ok) throw new TypeError('no'); return 1; };");
    const failed = await call();
    expect(failed).toMatchObject({ status: "failed", exit_code: 1, dirty: false, error: { type: "TypeError", message: "no" } });
    expect(failed.stderr).toMatch(/TypeError: no\n +at/);
    expect(await call({ parameters: { ok: true } })).toMatchObject({ ...clean, result: 1 });
  });

  test("what a call writes is its own, late words are nobody's", async () => {
    const { warm, call } = start(`export default ({ late }) => { console.log("said"); process.stderr.write(Buffer.from("é"));
      if (late) { import("node:timers").then((t) => t.setTimeout(() => console.log("late-canary"), 150).unref()); }
      return new Promise((done) => setTimeout(done, late ? 20 : 400)); };`);
    expect(await call({ parameters: { late: true } })).toMatchObject({ stdout: "said\n", stderr: "é" });
    const second = await call();
    expect(second).toMatchObject({ stdout: "said\n", stderr: "é", dirty: true });
    expect(JSON.stringify(warm.frames) + warm.raw() + warm.rawErrors()).not.toMatch(/late-canary|bGF0ZS1j/);
  });

  test("much output and a large result wait for a slow reader", async () => {
    const { warm, call } = start("export default () => { for (let i = 0; i < 200; ++i) console.log('x'.repeat(49999)); return 'y'.repeat(5e6); };");
    const ended = call();
    warm.child.stdio[3].pause();
    setTimeout(() => warm.child.stdio[3].resume(), 300);
    const { stdout, result } = await ended;
    expect([stdout.length, result.length]).toEqual([10_000_000, 5_000_000]);
  });

  test("each call has its own environment, folder and token, and no other's", async () => {
    const { call } = start("export default () => [process.env.MILLRACE_API_TOKEN ?? null, process.env.OWN ?? null, process.cwd()];",
      { OWN: "of the process" });
    const first = await call({ env: { MILLRACE_API_TOKEN: "canary-1" }, cwd: "/usr" });
    const second = await call({ env: {} });
    expect(first).toMatchObject({ ...clean, result: ["canary-1", null, "/usr"] });
    expect(second).toMatchObject({ ...clean, result: [null, null, process.cwd()] });
  });

  test.each(RESTORED)("is restored: %s", async (_, look, leave) => {
    const { call } = start(tells(look, leave));
    expect(await call({ parameters: { leave: true } })).toMatchObject({ ...clean, result: null });
    expect(await call()).toMatchObject({ ...clean, result: null });
  });

  test.each(DIRTY)("is told: %s", async (_, leave, why) => {
    const { call } = start(`export default async () => { ${leave} };`);
    const ended = await call();
    expect(ended.dirty).toBe(true);
    expect(ended.why.join()).toMatch(why);
  });

  test("what a module does when it is loaded stays: it does not run again", async () => {
    const { call } = start("globalThis.polyfill = 1; process.on('SIGUSR2', () => {}); export default () => [globalThis.polyfill, process.listenerCount('SIGUSR2')];");
    await call();
    expect(await call()).toMatchObject({ ...clean, result: [1, 1] });
  });

  test("a module that a call loads and that leaves a global makes it dirty, and works on", async () => {
    const folder = pack({
      "actions/get.js": "export default async () => { await import('../lib/poly.mjs'); return globalThis.poly; };",
      "lib/poly.mjs": "globalThis.poly = 5;",
    });
    const warm = startWarm(node);
    expect(await warm.call(orderOf(folder))).toMatchObject({ result: 5, dirty: true });
    expect(await warm.call(orderOf(folder))).toMatchObject({ result: 5, dirty: true });
  });

  test("a call that uses fetch leaves the process clean", async () => {
    const { call } = start(`import http from "node:http";
      export default async () => { const server = http.createServer((_, r) => r.end("hi")).listen(0, "127.0.0.1");
        await new Promise((d) => server.once("listening", d));
        const said = await (await fetch("http://127.0.0.1:" + server.address().port)).text();
        await new Promise((d) => { server.close(d); server.closeAllConnections(); }); return said; };`);
    for (const _ of [1, 2]) expect(await call()).toMatchObject({ ...clean, result: "hi" });
  });

  test("process.exit ends the call with a result, then the process", async () => {
    const { warm, call } = start("export default () => { console.log('x'); process.exit(3); };");
    expect(await call()).toMatchObject({ status: "failed", exit_code: 3, dirty: true, stdout: "x\n", error: { type: "Exit" } });
    expect(await warm.ended).toBe(3);
  });

  test("cancel aborts the signal of the call that runs", async () => {
    const { warm, call } = start(`export default (_, { signal }) => new Promise((_, fail) => {
      console.log("up"); signal.onabort = () => fail(signal.reason); });`);
    const ended = call();
    await warm.until((frame) => frame.stream === "stdout");
    warm.send({ cancel: 1 });
    expect(await ended).toMatchObject({ status: "failed", dirty: false, error: { message: "the run is to end" } });
  });

  test("an error outside of a call is told at once", async () => {
    const { warm, call } = start("import t from 'node:timers'; export default () => { t.setTimeout(() => { throw new Error('after'); }, 100).unref(); };");
    await call();
    expect(await warm.until((frame) => frame.call === undefined)).toMatchObject({ dirty: true, why: ["an error that nobody has caught"] });
  });

  test("children see neither the socket nor its variable", async () => {
    const { call } = start("import { execSync } from 'node:child_process'; export default () => execSync('ls -l /proc/self/fd; env', { stdio: ['pipe', 'pipe', 'pipe'] }).toString();");
    const { result } = await call();
    expect(result.match(/socket/g)).toHaveLength(3); // stdin, stdout, stderr
    expect(result).not.toMatch(/SERVE_FD/);
  });

  test("a call of another key is refused, and not run", async () => {
    const { call } = start("export default () => 1;");
    expect(await call({ key: "a" })).toMatchObject({ ...clean, result: 1 });
    expect(await call({ key: "b" })).toMatchObject({ status: "failed", dirty: true, error: { type: "KeyError" } });
  });

  test.each([["a frame that is no JSON", Buffer.from([0, 0, 0, 1, 0x7b])],
    ["a frame that is too long", Buffer.from([0xff, 0xff, 0xff, 0xff, 0x7b])],
    ["an order without call", Buffer.from([0, 0, 0, 2, 0x7b, 0x7d])]])("%s ends the process with 2", async (_, bytes) => {
    const warm = startWarm(node);
    warm.child.stdio[3].write(bytes);
    expect(await warm.ended).toBe(2);
    expect(warm.rawErrors()).toMatch(/^millrace: --serve: /);
  });

  test("a folder that is gone afterwards makes the process dirty", async () => {
    const folder = pack({ "actions/get.js": "export default () => 1;" });
    const warm = startWarm(node, {}, `${pack({ "sub/x": "" })}/sub`);
    await warm.call(orderOf(folder));
    fs.rmSync(warm.folder, { recursive: true });
    expect(await warm.call({ ...orderOf(folder), cwd: "/" })).toMatchObject({ status: "succeeded", dirty: true });
  });

  test("a file without an action fails each call", async () => {
    const { call } = start("export const get = 1;");
    for (const _ of [1, 2]) expect(await call()).toMatchObject({ status: "failed", dirty: false, error: { type: "EntryError" } });
  });
});
