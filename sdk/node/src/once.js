// SPDX-License-Identifier: Apache-2.0
// One call: the order on stdin, the result to the descriptor of MILLRACE_RESULT_FD, the end.
import { Context } from "./context.js";
import { closeSync, kept, parse, readAll, takeDescriptor, writeAll } from "./descriptors.js";
import { loadAction } from "./entry.js";
import { exited, failed, fields, settled, stackOf, succeeded } from "./outcome.js";
import { serveOwnName } from "./resolve.js";

/** @typedef {import("./outcome.js").Outcome} Outcome */

// Written once: whatever ends the process first decides.
class Result {
  #fd;
  #isWritten = false;

  /** @param {number | undefined} fd */
  constructor(fd) {
    this.#fd = fd;
  }

  /** @param {Outcome} outcome */
  write(outcome) {
    if (this.#isWritten) return;
    this.#isWritten = true;
    const text = `{${fields(outcome)}}`;
    if (this.#fd === undefined) {
      writeAll(1, Buffer.from(`${text}\n`));
    } else {
      writeAll(this.#fd, Buffer.from(text));
      closeSync(this.#fd);
    }
  }
}

export async function runOnce() {
  const given = takeDescriptor("MILLRACE_RESULT_FD");
  const result = new Result(given === undefined ? undefined : kept(given));
  watchEnd(result);
  let order;
  try {
    order = readOrder();
  } catch (error) {
    process.stderr.write(`millrace: ${/** @type {Error} */ (error).message}\n`);
    return end(result, { ...failed(error), exitCode: 2 });
  }
  serveOwnName();
  try {
    const run = await loadAction(order);
    const context = new Context(order);
    return end(result, succeeded(await settled(run(context.parameters, context))));
  } catch (error) {
    process.stderr.write(stackOf(error));
    return end(result, failed(error));
  }
}

// What the action left behind (timers, sockets, children) does not keep the process.
/** @param {Result} result @param {Outcome} outcome */
async function end(result, outcome) {
  result.write(outcome);
  await Promise.all([flushed(process.stdout), flushed(process.stderr)]);
  process.exit(outcome.exitCode);
}

/** @param {NodeJS.WriteStream} stream @returns {Promise<void>} */
const flushed = (stream) => new Promise((done) => {
  if (stream.writableLength === 0 || stream.destroyed) return done();
  stream.once("error", () => done());
  stream.write("", () => done());
});

/** The ends that the action comes to on its own: process.exit, an error that nobody catches, and
 * nothing left to do while it still waits. @param {Result} result */
function watchEnd(result) {
  /** @type {{ error: unknown } | undefined} */
  let uncaught;
  process.on("uncaughtExceptionMonitor", (error) => {
    uncaught = { error };
  });
  process.on("exit", (code) => result.write(uncaught && code ? failed(uncaught.error) : exited(code)));
  process.on("beforeExit", () => {
    const error = new Error("the action waits for a promise that nothing is left to settle");
    error.name = "NeverSettled";
    process.stderr.write(`${error.name}: ${error.message}\n`);
    result.write(failed(error));
    process.exitCode = 1;
  });
}

function readOrder() {
  let order;
  try {
    order = parse(readAll(0).toString());
  } catch (error) {
    throw orderError(`order: no JSON on stdin: ${/** @type {Error} */ (error).message}`);
  }
  if (typeof order !== "object" || order === null || Array.isArray(order)) {
    throw orderError("order: expected one JSON object on stdin");
  }
  return order;
}

/** @param {string} message */
const orderError = (message) => Object.assign(new Error(message), { name: "OrderError" });
