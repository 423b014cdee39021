// SPDX-License-Identifier: Apache-2.0
// node tests/measure.js: CPU of a call, cold and warm. By the kernel's figures for ended children, and for
// the warm process by its own.
import { execFileSync, spawn, spawnSync } from "node:child_process";
import fs from "node:fs";
import os from "node:os";
import path from "node:path";
import { fileURLToPath } from "node:url";

const SDK = fileURLToPath(new URL("..", import.meta.url));
const folder = fs.mkdtempSync(path.join(os.tmpdir(), "millrace-measure-"));
fs.mkdirSync(path.join(folder, "actions"));
fs.writeFileSync(path.join(folder, "actions/plain.mjs"), "export default ({ n }) => ({ n });");
fs.writeFileSync(path.join(folder, "actions/sdk.mjs"),
  'import { action } from "@millrace/sdk"; export default action(({ n }) => ({ n }));');
const orderOf = (entry) => ({ action: "m.m", pack: "m", pack_path: folder, entry_point: entry, parameters: { n: 1 } });

// CPU ms of user and system of one of `times` runs.
function cold(argv, input, times = 30) {
  const script = `import resource, subprocess, sys
for _ in range(${times}): subprocess.run(sys.argv[2:], input=sys.argv[1].encode(), stdout=subprocess.DEVNULL)
used = resource.getrusage(resource.RUSAGE_CHILDREN); print((used.ru_utime + used.ru_stime) / ${times} * 1000)`;
  return Number(execFileSync("python3", ["-c", script, input, ...argv]));
}

async function warm(node, entry, times = 5000) {
  const child = spawn(node, [SDK, "--serve"],
    { stdio: ["ignore", "ignore", "ignore", "pipe"], env: { PATH: process.env.PATH, MILLRACE_SERVE_FD: "3" } });
  const socket = child.stdio[3];
  const frame = (call) => {
    const text = Buffer.from(JSON.stringify({ call, env: {}, ...orderOf(entry) }));
    const size = Buffer.alloc(4);
    size.writeUInt32BE(text.length);
    return Buffer.concat([size, text]);
  };
  // The result of a call as small as this comes in one piece.
  const call = (id) => new Promise((done) => socket.once("data", done).write(frame(id)));
  const used = () => {
    const fields = fs.readFileSync(`/proc/${child.pid}/stat`, "utf8").split(" ");
    return (Number(fields[13]) + Number(fields[14])) * 10;
  };
  for (let i = 0; i < 500; ++i) await call(i);
  const before = used();
  for (let i = 0; i < times; ++i) await call(i);
  const cpu = (used() - before) / times;
  child.kill();
  return cpu;
}

for (const node of process.argv.length > 2 ? process.argv.slice(2) : [process.execPath]) {
  const version = spawnSync(node, ["--version"]).stdout.toString().trim();
  const shown = (name, ms) => console.log(`${version}  ${name.padEnd(34)} ${ms.toFixed(2)} ms of CPU`);
  shown("node -e 0", cold([node, "-e", "0"], ""));
  for (const entry of ["plain.mjs", "sdk.mjs"]) {
    const coldMs = cold([node, SDK], JSON.stringify(orderOf(entry)));
    shown(`cold, ${entry}`, coldMs);
    const warmMs = await warm(node, entry);
    shown(`warm, ${entry}`, warmMs);
    console.log(`${version}  ${"".padEnd(34)} ${(coldMs / warmMs).toFixed(0)} times`);
  }
}
fs.rmSync(folder, { recursive: true });
