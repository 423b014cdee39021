// SPDX-License-Identifier: Apache-2.0
// The hook of resolve.js. It may run in a thread of its own, whose `next` gives a promise.
import path from "node:path";
import { pathToFileURL } from "node:url";
import { mute } from "./warnings.js";

const OURS = new URL("./index.js", import.meta.url).href;
const NOT_FOUND = ["ERR_MODULE_NOT_FOUND", "MODULE_NOT_FOUND"];
const isBare = (/** @type {string} */ name) => !/^(\.{0,2}\/|#|[a-z][a-z0-9+.-]*:)/i.test(name);

/** @type {Int32Array | undefined} */
let seen;

/** In a thread of its own node's words about files come from there.
 * @param {{ seen: Int32Array, isThread?: boolean }} data */
export function initialize(data) {
  seen = data.seen;
  if (data.isThread) mute();
}

/** @param {string} specifier @param {any} context @param {any} next */
export function resolve(specifier, context, next) {
  if (seen) Atomics.add(seen, 0, 1);
  if (!isBare(specifier)) return next(specifier, context);
  const ways = [() => next(specifier, context), ...fromNodePath(specifier, context, next)];
  if (specifier === "@millrace/sdk") ways.push(() => ({ url: OURS, format: "module", shortCircuit: true }));
  return first(ways);
}

// Folders named node_modules: where the file that imports would stand beside one.
/** @param {string} specifier @param {any} context @param {any} next */
function fromNodePath(specifier, context, next) {
  const folders = (process.env.NODE_PATH ?? "").split(path.delimiter);
  return folders
    .filter((folder) => path.isAbsolute(folder) && path.basename(folder) === "node_modules")
    .map((folder) => pathToFileURL(path.join(path.dirname(folder), "_.js")).href)
    .map((parentURL) => () => next(specifier, { ...context, parentURL }));
}

/** @param {(() => any)[]} ways @returns {any} */
function first([way, ...more]) {
  const others = (/** @type {any} */ error) => {
    if (!more.length || !NOT_FOUND.includes(error?.code)) throw error;
    return first(more);
  };
  try {
    const found = way();
    return typeof found?.then === "function" ? found.then(undefined, others) : found;
  } catch (error) {
    return others(error);
  }
}
