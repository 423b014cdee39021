// SPDX-License-Identifier: Apache-2.0
// What came of a call, and its form in JSON.
import { inspect } from "node:util";
import { stringify } from "./descriptors.js";
import { isFailed } from "./kinds.js";

/** @typedef {{ type: string, message: string }} Described */
/** `result` is JSON text already. @typedef {{ succeeded: boolean, result: string, error?: Described, exitCode: number }} Outcome */

const OWN_FRAMES = new URL("..", import.meta.url).href;

/** @param {unknown} value @returns {Outcome} */
export function succeeded(value) {
  return { succeeded: true, result: toJson(value), exitCode: 0 };
}

/** @param {unknown} error @returns {Outcome} */
export function failed(error) {
  const outcome = { succeeded: false, result: "null", error: describe(error), exitCode: 1 };
  if (isFailed(error)) {
    try {
      outcome.result = toJson(/** @type {any} */ (error).result);
    } catch (unfit) {
      outcome.error.message += ` (${describe(unfit).message})`;
    }
  }
  return outcome;
}

/** Of an action that has ended the process itself. @param {number} code @returns {Outcome} */
export function exited(code) {
  if (code === 0) return succeeded(null);
  const error = { type: "Exit", message: `the action ended its process with exit code ${code}` };
  return { succeeded: false, result: "null", error, exitCode: code };
}

/** @param {unknown} error @returns {Described} */
export function describe(error) {
  if (!(error instanceof Error)) return { type: typeof error, message: textOf(error) };
  return { type: String(error.name), message: String(error.message) };
}

/** @param {unknown} value */
function textOf(value) {
  return typeof value === "string" ? value : inspect(value, { depth: 1 });
}

/** Stacks of an error and of its causes, without the frames of this package and of node's inside, and
 * without the error's other members: those of HTTP clients hold headers with secrets.
 * @param {any} error @returns {string} */
export function stackOf(error, what = "") {
  if (!(error instanceof Error)) return `${what}${textOf(error)}\n`;
  const { type, message } = describe(error);
  const lines = String(error.stack ?? `${type}: ${message}`).split("\n").filter((line) => !isOwn(line));
  const causes = [
    ...(error.cause === undefined ? [] : [stackOf(error.cause, "caused by ")]),
    ...(error instanceof AggregateError ? error.errors : []).map((each) => stackOf(each, "one of ")),
  ];
  return `${what}${lines.join("\n")}\n${causes.join("")}`;
}

/** @param {string} line */
const isOwn = (line) =>
  /^\s+at /.test(line) && (line.includes(OWN_FRAMES) || line.includes("node:internal/"));

/** The fields of a result, without the braces around them. @param {Outcome} outcome */
export function fields({ succeeded, result, error }) {
  const status = succeeded ? "succeeded" : "failed";
  const why = error ? `,"error":${stringify(error)}` : "";
  return `"status":"${status}","result":${result}${why}`;
}

const nextTurn = setImmediate; // as it is now: packs may patch it

/** Waits for a result: of a generator, all that it yields. Then one turn of the loop, in which node
 * finds the rejections that nobody handles, and prints its warnings. @param {unknown} given */
export async function settled(given) {
  const value = await collected(await given);
  await new Promise((done) => nextTurn(done));
  return value;
}

/** @param {unknown} value */
async function collected(value) {
  const tag = Object.prototype.toString.call(value);
  if (tag !== "[object Generator]" && tag !== "[object AsyncGenerator]") return value;
  const all = [];
  for await (const each of /** @type {AsyncIterable<unknown>} */ (value)) all.push(each);
  return all;
}

/** @param {unknown} value */
export function toJson(value) {
  const found = unfit(value, "result", []);
  if (found) throw new TypeError(`the result has no form in JSON: ${found}`);
  try {
    const text = stringify(value) ?? "null";
    // Halves of a surrogate pair are no text for who reads it.
    if (!text.includes("\\ud")) return text;
    return stringify(value, (_, part) => (typeof part === "string" ? wellFormed(part) : part));
  } catch (error) {
    if (!(error instanceof RangeError)) throw error;
    throw new RangeError("the result is larger than a text of node can be (512 MiB)");
  }
}

/** @param {string} text */
const wellFormed = (text) => /** @type {any} */ (text).toWellFormed();

// Where `value` holds something that JSON.stringify throws at, or loses in silence.
/** @param {any} value @param {string} path @param {object[]} above @returns {string | undefined} */
function unfit(value, path, above) {
  if (typeof value === "bigint") return `${path} is a BigInt; use Number(...) or String(...)`;
  // Inside of objects JSON leaves them out, as everybody knows; as the whole result it is a mistake.
  if (typeof value === "function" && above.length === 0) return `${path} is a function`;
  if (typeof value !== "object" || value === null) return undefined;
  if (typeof value.toJSON === "function") return unfit(value.toJSON(), path, above);
  if (value instanceof Map || value instanceof Set) {
    const instead = value instanceof Map ? "Object.fromEntries(...)" : "[...set]";
    return `${path} is a ${value.constructor.name}; use ${instead}`;
  }
  if (above.includes(value)) return `${path} holds itself: it is the same object as one above it`;
  if (above.length >= MOST_DEPTH) return `${path} lies more than ${MOST_DEPTH} levels deep`;
  above.push(value);
  const found = Array.isArray(value) ? ofArray(value, path, above) : ofObject(value, path, above);
  above.pop();
  return found;
}

const MOST_DEPTH = 200;

/** @param {any[]} value @param {string} path @param {object[]} above */
function ofArray(value, path, above) {
  for (let i = 0; i < value.length; ++i) {
    if (isPlain(value[i])) continue;
    const found = unfit(value[i], `${path}[${i}]`, above);
    if (found) return found;
  }
  return undefined;
}

/** @param {any} value @param {string} path @param {object[]} above */
function ofObject(value, path, above) {
  for (const key of Object.keys(value)) {
    if (isPlain(value[key])) continue;
    const found = unfit(value[key], `${path}.${key}`, above);
    if (found) return found;
  }
  return undefined;
}

/** @param {unknown} value */
const isPlain = (value) => typeof value === "string" || typeof value === "boolean" || value == null;
