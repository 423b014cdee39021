// SPDX-License-Identifier: Apache-2.0
// Packs in temporary folders, and the three kinds of process as a worker starts them.
import { spawn } from "node:child_process";
import fs from "node:fs";
import os from "node:os";
import path from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { afterAll, onTestFinished } from "vitest";

export const SDK = fileURLToPath(new URL("..", import.meta.url));
const other = process.env.MILLRACE_OTHER_NODE;
// The node that runs the tests, and the machine's own if it is another one.
export const NODES = [...new Set([process.execPath, other && fs.realpathSync(other)])].filter(Boolean);

const ROOT = fs.mkdtempSync(path.join(os.tmpdir(), "millrace-sdk-"));
afterAll(() => fs.rmSync(ROOT, { recursive: true, force: true }));

/** @param {Record<string, string>} files */
export function pack(files) {
  const folder = fs.mkdtempSync(path.join(ROOT, "pack-"));
  for (const [name, text] of Object.entries(files)) {
    fs.mkdirSync(path.dirname(path.join(folder, name)), { recursive: true });
    fs.writeFileSync(path.join(folder, name), text);
  }
  return folder;
}

export const orderOf = (folder, more = {}) => ({
  action: "demo.get",
  pack: "demo",
  pack_path: folder,
  entry_point: "get.js",
  parameters: {},
  config: {},
  log_level: "DEBUG",
  ...more,
});

const ENV = { PATH: process.env.PATH, HOME: os.tmpdir(), LANG: "C.UTF-8" };

/** One call. `fd`: the result's descriptor, a file; `onStart` gets the child.
 * @param {string} node @param {object | string} order @param {any} [options] */
export async function runOnce(node, order, { env = {}, fd = 3, flags = [], onStart } = {}) {
  const file = path.join(ROOT, `millrace-result-${process.pid}-${Math.random()}`);
  const result = fs.openSync(file, "w");
  const stdio = ["pipe", "pipe", "pipe", ...Array(fd - 3).fill("ignore"), result];
  const child = spawn(node, [...flags, SDK], { stdio, env: { ...ENV, MILLRACE_RESULT_FD: `${fd}`, ...env } });
  fs.closeSync(result);
  const ended = new Promise((done) => child.once("exit", (code, signal) => done({ code, signal })));
  const stdout = collected(child.stdout);
  const stderr = collected(child.stderr);
  child.stdin.on("error", () => {});
  child.stdin.end(typeof order === "string" ? order : JSON.stringify(order));
  onStart?.(child);
  const end = await ended;
  await new Promise((done) => setTimeout(done, 10)); // what is still in the pipes
  const text = fs.readFileSync(file, "utf8");
  fs.rmSync(file);
  return { ...end, text, error: undefined, ...(text && JSON.parse(text)), stdout: stdout(), stderr: stderr() };
}

function collected(stream) {
  const parts = [];
  stream.on("data", (part) => parts.push(part));
  return () => Buffer.concat(parts).toString();
}

/** A warm process over a socket. @param {string} node @param {Record<string, string>} [env] */
export function startWarm(node, env = {}, folder = process.cwd()) {
  const child = spawn(node, [SDK, "--serve"], {
    cwd: folder,
    stdio: ["ignore", "pipe", "pipe", "pipe"], // a pipe of node's is a socket
    env: { ...ENV, MILLRACE_SERVE_FD: "3", ...env },
  });
  onTestFinished(() => void child.kill("SIGKILL"));
  const socket = child.stdio[3];
  const ended = new Promise((done) => child.once("exit", done));
  const warm = { child, folder, ended, frames: [], raw: collected(child.stdout), rawErrors: collected(child.stderr) };
  const waiters = [];
  let buffer = Buffer.alloc(0);
  socket.on("error", () => {});
  socket.on("data", (part) => {
    buffer = Buffer.concat([buffer, part]);
    while (buffer.length >= 4 && buffer.length >= 4 + buffer.readUInt32BE()) {
      const end = 4 + buffer.readUInt32BE();
      warm.frames.push(JSON.parse(buffer.subarray(4, end).toString()));
      buffer = buffer.subarray(end);
    }
    for (const wake of waiters.splice(0)) wake();
  });
  warm.send = (frame) => {
    const text = Buffer.from(JSON.stringify(frame));
    const size = Buffer.alloc(4);
    size.writeUInt32BE(text.length);
    socket.write(Buffer.concat([size, text]));
  };
  warm.until = async (isThere) => {
    for (;;) {
      const found = warm.frames.find(isThere);
      if (found) return found;
      await new Promise((done) => waiters.push(done));
    }
  };
  let calls = 0;
  // The result frame, with what the call has written.
  warm.call = async (order) => {
    const call = ++calls;
    warm.send({ call, ...order });
    const result = await warm.until((frame) => frame.call === call && "status" in frame);
    const written = (stream) =>
      Buffer.concat(warm.frames.filter((frame) => frame.call === call && frame.stream === stream)
        .map((frame) => Buffer.from(frame.data, "base64"))).toString();
    return { ...result, stdout: written("stdout"), stderr: written("stderr") };
  };
  warm.close = () => socket.end();
  return warm;
}

/** A sensor's process. @param {string} node @param {object} order */
export function startSensor(node, order) {
  const child = spawn(node, [SDK, "--sensor"], {
    stdio: ["pipe", "pipe", "pipe", "pipe"],
    env: { ...ENV, MILLRACE_RESULT_FD: "3" },
  });
  onTestFinished(() => void child.kill("SIGKILL"));
  const lines = [];
  let wake = () => {};
  createInterface({ input: child.stdio[3] }).on("line", (text) => {
    lines.push(JSON.parse(text));
    wake();
  });
  const sensor = { child, lines, ended: new Promise((done) => child.once("exit", done)) };
  sensor.stdout = collected(child.stdout);
  sensor.stderr = collected(child.stderr);
  sensor.send = (line) => child.stdin.write(`${JSON.stringify(line)}\n`);
  sensor.until = async (isThere) => {
    while (!lines.some(isThere)) {
      await new Promise((done) => {
        wake = done;
      });
    }
    return lines.find(isThere);
  };
  sensor.send({ type: "start", ...order });
  return sensor;
}
