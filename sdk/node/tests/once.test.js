// SPDX-License-Identifier: Apache-2.0
// One call in a real child process: a row per shape of an action and of its end.
import { execFileSync } from "node:child_process";
import { describe, expect, test } from "vitest";
import { NODES, orderOf, pack, runOnce, SDK } from "./support.js";

const error = (type, message) => expect.objectContaining({ type, message: expect.stringMatching(message) });
const ok = (result) => ({ code: 0, status: "succeeded", result, error: undefined });
const bad = (type, message, result = null) => ({
  code: 1, status: "failed", result, error: error(type, message),
});
const IMPORT = 'import { action, Failed } from "@millrace/sdk";\n';
const PARAMETERS = { parameters: { name: "ada", n: 3 } };

// name, the file get.js, what came of it, and what is different in the order or the file's name
const ROWS = [
  ["a function as default export", "export default ({ name }) => ({ name });",
    { ...ok({ name: "ada" }), stderr: "" }],
  ["an action()", `${IMPORT}export default action(({ n }) => n + 1);`, ok(4)],
  ["an async function", "export default async ({ n }) => [n];", ok([3])],
  ["a function named run", "export const run = () => 'run';", ok("run")],
  ["an object with run", "export default { run: () => 1 };", ok(1)],
  ["CommonJS: module.exports", "module.exports = ({ name }) => name;", ok("ada")],
  ["CommonJS: exports.run", "exports.run = ({ name }) => name;", ok("ada")],
  ["CommonJS made of an ES module",
    "Object.defineProperty(exports, '__esModule', { value: true }); exports.default = () => 7;", ok(7)],
  ["CommonJS that requires the SDK",
    "const { action } = require('@millrace/sdk'); module.exports = action(() => 8);",
    { ...ok(8), stderr: "" }],
  ["a .cjs file", "module.exports = () => 9;", ok(9), { entry_point: "get.cjs" }],
  ["a .mjs file", "export default () => 10;", ok(10), { entry_point: "get.mjs" }],
  ["a file in a folder", "export default () => 11;", ok(11), { entry_point: "deep/get.js" }],
  ["a generator", "export default function* () { yield 1; yield { a: 2 }; }", ok([1, { a: 2 }])],
  ["an async generator", "export default async function* () { yield 1; yield 2; }", ok([1, 2])],
  ["no return value", "export default () => {};", ok(null)],
  ["a Date and undefined members",
    "export default () => ({ at: new Date(0), no: undefined });", ok({ at: "1970-01-01T00:00:00.000Z" })],
  ["the same object twice, which is no cycle",
    "const a = {}; export default () => [a, a];", ok([{}, {}])],
  ["half a surrogate pair", "export default () => 'a\\ud800b';", ok("a\ufffdb")],
  ["config and parameters in the context",
    "export default (_, { config, parameters }) => [config.key, parameters.n];", ok([1, 3]),
    { config: { key: 1 } }],
  ["an exception", "export default () => { throw new TypeError('no such thing'); };",
    { ...bad("TypeError", /^no such thing$/), stderr: expect.stringMatching(/TypeError: no such thing\n +at .*get\.js:1/) }],
  ["a promise that rejects", "export default async () => { throw new Error('later'); };", bad("Error", /^later$/)],
  ["something else that is thrown", "export default () => { throw 'a text'; };", bad("string", /^a text$/)],
  ["Failed with a result", `${IMPORT}export default () => { throw new Failed('why', { seen: 2 }); };`,
    bad("Failed", /^why$/, { seen: 2 })],
  ["an exception with a cause",
    "export default () => { throw new Error('outer', { cause: new Error('inner') }); };",
    { ...bad("Error", /outer/), stderr: expect.stringContaining("inner") }],
  ["an exception with members, which are not printed",
    "export default () => { throw Object.assign(new Error('http 401'), { config: { token: 'canary' } }); };",
    { ...bad("Error", /http 401/), stderr: expect.not.stringContaining("canary") }],
  ["an AggregateError", "export default () => Promise.any([Promise.reject(new Error('first'))]);",
    { ...bad("AggregateError", /./), stderr: expect.stringContaining("one of Error: first") }],
  ["an exception while it is loaded", "throw new Error('at load'); export default () => 1;", bad("Error", /at load/)],
  ["a file that is no JavaScript inside", "export default (", bad("SyntaxError", /./)],
  ["process.exit(0)", "export default () => { process.exit(0); };", ok(null)],
  ["process.exit(3)", "export default () => { process.exit(3); };",
    { ...bad("Exit", /exit code 3/), code: 3 }],
  ["a BigInt", "export default () => ({ a: [1, 2n] });", bad("TypeError", /result\.a\[1\] is a BigInt/)],
  ["a cycle", "export default () => { const a = { b: {} }; a.b.c = a; return a; };",
    bad("TypeError", /result\.b\.c holds itself/)],
  ["a Map", "export default () => ({ m: new Map() });", bad("TypeError", /result\.m is a Map.*fromEntries/)],
  ["a function as result", "export default () => () => 1;", bad("TypeError", /result is a function/)],
  ["a rejection that nobody has handled when it ends",
    "export default () => { Promise.reject(new Error('lost')); return 1; };", bad("Error", /^lost$/)],
  ["an unhandled rejection",
    "export default () => { Promise.reject(new Error('lost')); return new Promise((d) => setTimeout(d, 5000)); };",
    { ...bad("Error", /^lost$/), stderr: expect.stringContaining("lost") }],
  ["an error that nobody catches",
    "export default () => { setTimeout(() => { throw new Error('loose'); }, 1); return new Promise((d) => setTimeout(d, 5000)); };",
    bad("Error", /^loose$/)],
  ["a promise that nothing settles", "export default () => new Promise(() => {});",
    bad("NeverSettled", /nothing is left/)],
  ["timers and sockets left behind",
    "import net from 'node:net'; export default () => { setInterval(() => {}, 1000); net.createServer().listen(0); return 1; };",
    ok(1)],
  ["print noise", "export default () => { console.log('{\"status\":\"failed\"}'); console.error('e'); return 1; };",
    { ...ok(1), stdout: '{"status":"failed"}\n', stderr: "e\n" }],
  ["much output before the end",
    "export default () => { for (let i = 0; i < 20000; ++i) console.log('x'.repeat(99)); return 1; };",
    { ...ok(1), stdout: expect.objectContaining({ length: 2_000_000 }) }],
  ["no variable of the protocol in its environment",
    "export default () => Object.keys(process.env).filter((n) => n.includes('_FD'));", ok([])],
  ["stdin at its end", "import fs from 'node:fs'; export default () => fs.readFileSync(0, 'utf8');", ok("")],
  ["a wrong export", "export const get = () => 1; export const other = 2;",
    bad("EntryError", /exports 'get', 'other'; expected a function as default export or named 'run'/)],
  ["no export", "const a = 1;", bad("EntryError", /exports nothing/)],
  ["a sensor where an action is expected",
    "import { sensor } from '@millrace/sdk'; export default sensor({ poll() {} });",
    bad("EntryError", /exports a sensor; expected an action/)],
  ["a file that is not there", "export default 1;",
    bad("EntryError", /'actions\/gte\.js' is not there \(did you mean 'get\.js'\?\)/), { entry_point: "gte.js" }],
  ["a path out of the pack", "export default 1;",
    bad("EntryError", /lies outside of the pack/), { entry_point: "../../x.js" }],
  ["a file of another kind", "print(1)",
    bad("EntryError", /no JavaScript file: expected one of \.js/), { entry_point: "get.py" }],
];

describe.each(NODES)("one call in %s", (node) => {
  test.concurrent.each(ROWS)("%s", async (_, source, expected, more = {}) => {
    const name = /gte|\.\./.test(more.entry_point ?? "") ? "get.js" : (more.entry_point ?? "get.js");
    const order = orderOf(pack({ [`actions/${name}`]: source }), { ...PARAMETERS, ...more });
    const ended = await runOnce(node, order);
    expect(ended).toMatchObject(expected);
  });

  test("a result of 40 MB arrives whole, through a pipe that is read slowly", () => {
    const folder = pack({ "actions/get.js": "export default () => Array(400).fill('é'.repeat(50000));" });
    const script = `"$1" "$2" 7>&1 >/dev/null | (sleep 0.3; wc -c)`;
    const env = { ...process.env, MILLRACE_RESULT_FD: "7" };
    const input = JSON.stringify(orderOf(folder));
    const size = execFileSync("sh", ["-c", script, "sh", node, SDK], { env, input });
    expect(Number(size)).toBe(400 * (100_000 + 3) + 1 + '{"status":"succeeded","result":}'.length);
  });

  test("a child that inherits stdout and lives on does not hold the result", async () => {
    const source = `import { spawn } from "node:child_process";
      export default () => spawn("sh", ["-c", "ls /proc/self/fd | tr '\\n' ' '; exec sleep 20"],
        { stdio: ["ignore", "inherit", "inherit"] }).pid;`;
    const order = orderOf(pack({ "actions/get.js": source }));
    const began = Date.now();
    const ended = await runOnce(node, order);
    process.kill(ended.result, "SIGKILL");
    expect(ended.code).toBe(0);
    expect(Date.now() - began).toBeLessThan(10_000);
  });

  test.each([3, 40])("a child does not inherit the result's descriptor %i", async (fd) => {
    const source = `import { execFileSync } from "node:child_process";
      export default () => execFileSync("ls", ["-l", "/proc/self/fd"]).toString();`;
    const order = orderOf(pack({ "actions/get.js": source }));
    const ended = await runOnce(node, order, { fd });
    expect(ended.result).not.toContain("millrace-result");
  });

  test("secrets of config and parameters stay out of argv, environment and errors", async () => {
    const source = `import fs from "node:fs";
      export default (_, { config }) => { if (!config.key) throw new Error("none");
        process.stdout.write(fs.readFileSync("/proc/self/cmdline", "utf8") + JSON.stringify(process.env));
        throw new Error("refused"); };`;
    const config = { key: "s3cr3t-canary" };
    const order = orderOf(pack({ "actions/get.js": source }), { config, parameters: { password: config.key } });
    const ended = await runOnce(node, order);
    expect(ended.error.message).toBe("refused");
    expect(ended.stdout.length).toBeGreaterThan(20);
    expect(ended.stdout + ended.stderr + ended.text).not.toContain(config.key);
  });

  test.each([
    ["who asked for the signal ends by itself",
      "export default (_, { signal }) => new Promise((done) => { console.log('up'); signal.onabort = () => done('ended'); setInterval(() => {}, 999); });",
      { code: 0, status: "succeeded", result: "ended" }],
    ["who did not is ended by SIGTERM",
      "export default () => new Promise(() => { console.log('up'); setInterval(() => {}, 999); });",
      { code: null, signal: "SIGTERM", text: "" }],
  ])("SIGTERM: %s", async (_, source, expected) => {
    const order = orderOf(pack({ "actions/get.js": source }));
    const onStart = (child) => child.stdout.once("data", () => child.kill("SIGTERM"));
    expect(await runOnce(node, order, { onStart })).toMatchObject(expected);
  });

  test("the logger writes lines from its level on to stderr", async () => {
    const source = "export default (_, { logger }) => { logger.debug('no'); logger.warn('is %d', 7); };";
    const order = orderOf(pack({ "actions/get.js": source }), { log_level: "INFO" });
    const ended = await runOnce(node, order);
    expect(ended.stderr).toBe("actions.node.demo.get: WARNING  is 7\n");
  });

  test("call tells of the run", async () => {
    const order = orderOf(pack({ "actions/get.js": "export default (_, { call }) => call;" }), { user: "ada" });
    const env = { MILLRACE_EXEC_ID: "12", MILLRACE_ATTEMPT: "2", MILLRACE_RULE: "a.b" };
    const ended = await runOnce(node, order, { env });
    expect(ended.result).toMatchObject({ id: "12", attempt: 2, rule: "a.b", action: "demo.get", trigger: "", user: "ada" });
  });

  test.each([["no JSON", "{"], ["a list", "[]"], ["nothing", ""]])("an order that is %s ends with 2", async (_, text) => {
    const ended = await runOnce(node, text);
    expect(ended).toMatchObject({ code: 2, status: "failed", error: error("OrderError", /^order: /) });
  });
});
