// SPDX-License-Identifier: Apache-2.0
// What `@millrace/sdk` and other names lead to, and files in TypeScript.
import path from "node:path";
import { describe, expect, test } from "vitest";
import { NODES, orderOf, pack, runOnce } from "./support.js";

const own = (text, type) => ({
  "node_modules/@millrace/sdk/package.json": JSON.stringify({ name: "@millrace/sdk", type, main: "i.js" }),
  "node_modules/@millrace/sdk/i.js": text,
});
const library = {
  "e/node_modules/lib/package.json": JSON.stringify({ name: "lib", main: "i.js" }),
  "e/node_modules/lib/i.js": "module.exports = { said: 'of the environment' };",
};

describe.each(NODES)("names in %s", (node) => {
  test.each([
    ["import", "import { own } from '@millrace/sdk'; export default () => own;", own("export const own = 'packs own';", "module")],
    ["require", "const { own } = require('@millrace/sdk'); module.exports = () => own;", own("exports.own = 'packs own';", "commonjs")],
  ])("%s: the pack's own copy of the SDK comes first", async (_, source, files) => {
    const ended = await runOnce(node, orderOf(pack({ "actions/get.js": source, ...files })));
    expect(ended).toMatchObject({ status: "succeeded", result: "packs own" });
  });

  test.each([
    ["import", "import lib from 'lib'; export default () => lib.said;"],
    ["require", "const lib = require('lib'); module.exports = () => lib.said;"],
  ])("%s: an environment's node_modules, by NODE_PATH", async (_, source) => {
    const folder = pack({ "actions/get.js": source, ...library });
    const env = { NODE_PATH: path.join(folder, "e/node_modules") };
    expect(await runOnce(node, orderOf(folder), { env })).toMatchObject({ result: "of the environment" });
  });

  test("node's words about the form of a file stay out of stderr, other warnings do not", async () => {
    const source = "process.emitWarning('mine'); export default () => new Promise((d) => setTimeout(d, 200));";
    const ended = await runOnce(node, orderOf(pack({ "actions/get.js": source, "package.json": "{}" })));
    expect(ended.stderr).toMatch(/^\(node:\d+\) Warning: mine\n/);
    expect(ended.stderr).not.toContain("TYPELESS");
  });

  test("a library of the pack imports the SDK too", async () => {
    const folder = pack({
      "actions/get.js": "import { run } from '../lib/a.mjs'; export default () => run();",
      "lib/a.mjs": "import { Failed } from '@millrace/sdk'; export const run = () => Failed.name;",
    });
    expect(await runOnce(node, orderOf(folder))).toMatchObject({ result: "Failed", stderr: "" });
  });

  test.each(["import x from 'not-there'; export default () => x;", "const x = require('not-there'); module.exports = () => x;"])(
    "what is nowhere is told by node itself: %s", async (source) => {
      const ended = await runOnce(node, orderOf(pack({ "actions/get.js": source })));
      expect(ended).toMatchObject({ status: "failed" });
      expect(ended.error.message).toMatch(/Cannot find (package|module) 'not-there'/);
    });

  test("TypeScript runs where node strips types, else the error says what to do", async () => {
    const source = "import { action } from '@millrace/sdk';\nexport default action(({ n }: { n: number }) => n as number);";
    const order = orderOf(pack({ "actions/get.ts": source }), { entry_point: "get.ts", parameters: { n: 1 } });
    const ended = await runOnce(node, order);
    if (ended.status === "succeeded") expect(ended).toMatchObject({ result: 1, stderr: "" });
    else expect(ended.error.message).toMatch(/is TypeScript, and node .* does not strip types here\. Take node 22\.18/);
    expect(ended.status).toBe(node === process.execPath ? "succeeded" : "failed");
  });
});
