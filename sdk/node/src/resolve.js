// SPDX-License-Identifier: Apache-2.0
// Lets a pack's files import '@millrace/sdk' although no node_modules holds it.
//
// What the pack resolves itself comes first, then the folders of NODE_PATH (of which node reads only
// for require), then this copy. `registerHooks` (node 22.15) serves import and require alike, in the
// same thread; where it is missing, `register` serves import from a thread of its own, and require
// is taught by Module._resolveFilename.
import Module from "node:module";
import { fileURLToPath } from "node:url";
import { initialize, resolve } from "./resolve_hook.js";

const HERE = new URL("./index.js", import.meta.url);
// Shared with the thread of the hook, where there is one.
const seen = new Int32Array(new SharedArrayBuffer(4));

/** How many imports there were: whether a call has loaded something. */
export const importsSeen = () => Atomics.load(seen, 0);

export function serveOwnName() {
  const { register, registerHooks } = /** @type {any} */ (Module);
  if (registerHooks) {
    registerHooks({ resolve });
    initialize({ seen });
    return;
  }
  register("./resolve_hook.js", { parentURL: import.meta.url, data: { seen, isThread: true } });
  const own = /** @type {any} */ (Module)._resolveFilename;
  /** @param {string} request @param {any[]} more */
  /** @type {any} */ (Module)._resolveFilename = function find(/** @type {string} */ request, /** @type {any[]} */ ...more) {
    Atomics.add(seen, 0, 1);
    try {
      return own.call(this, request, ...more);
    } catch (error) {
      if (request === "@millrace/sdk") return fileURLToPath(HERE);
      throw error;
    }
  };
}
