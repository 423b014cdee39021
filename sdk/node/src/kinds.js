// SPDX-License-Identifier: Apache-2.0
// What marks a value as an action or a sensor.
import { Context } from "./context.js";

// Found through Symbol.for: a pack may have brought its own copy of this package.
const KIND = Symbol.for("millrace.kind");

/** @type {typeof import("./index.js").Failed} */
export const Failed = class Failed extends Error {
  /** @param {string} message @param {unknown} [result] */
  constructor(message, result = null) {
    super(message);
    this.name = "Failed";
    this.result = result;
    // Not part of what is printed of the error: the result has its own place.
    Object.defineProperty(this, "result", { enumerable: false });
  }
};

/** @type {typeof import("./index.js").action} */
export function action(run) {
  if (typeof run !== "function") throw new TypeError(`action(): expected a function, got ${run}`);
  /** @type {any} */
  const called = (/** @type {any} */ parameters = {}, context = new Context({ parameters })) =>
    run(parameters, context);
  called[KIND] = "action";
  return called;
}

/** @type {typeof import("./index.js").sensor} */
export function sensor(parts) {
  for (const name of /** @type {const} */ (["setup", "poll", "cleanup", "changed"])) {
    if (parts[name] !== undefined && typeof parts[name] !== "function") {
      throw new TypeError(`sensor(): '${name}' is no function`);
    }
  }
  if (!parts.setup && !parts.poll) throw new TypeError("sensor(): expected 'setup' or 'poll'");
  return Object.assign({}, parts, { [KIND]: "sensor" });
}

/** @param {any} value @returns {"action" | "sensor" | undefined} */
export const kindOf = (value) => value?.[KIND];

/** @param {any} error @returns {boolean} */
export const isFailed = (error) => error instanceof Error && error.name === "Failed";
