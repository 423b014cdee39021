// SPDX-License-Identifier: Apache-2.0
// What an action or a sensor is given beside its parameters.
import { Client } from "./client.js";
import { Logger } from "./logger.js";

/** @typedef {import("./index.js").CallInfo} CallInfo */
/** @typedef {import("./index.js").Client} ApiClient */

/** @type {typeof import("./index.js").Context} */
export const Context = class Context {
  #order;
  #listen;
  /** @type {ApiClient | undefined} */
  #client;
  /** @type {AbortController | undefined} */
  #controller;

  /**
   * @param {any} order
   * @param {(controller: AbortController) => void} [listen] called when the signal is first asked
   *   for: who never looks at it is ended by SIGTERM itself.
   */
  constructor(order = {}, listen = abortOnTermination) {
    this.#order = order;
    this.#listen = listen;
    this.parameters = order.parameters ?? {};
    this.config = order.config ?? {};
    this.call = callInfo(order);
    this.logger = new Logger(`actions.node.${this.call.action}`, order.log_level);
  }

  get client() {
    this.#client ??= new Client();
    return this.#client;
  }

  get datastore() {
    return new Datastore(() => this.client, `pack:${this.#order.pack ?? ""}`);
  }

  get signal() {
    if (!this.#controller) {
      this.#controller = new AbortController();
      this.#listen(this.#controller);
    }
    return this.#controller.signal;
  }
};

/** A context whose signal is aborted by the caller. @param {any} order
 * @param {(controller: AbortController) => void} listen @returns {import("./index.js").Context} */
export const contextWith = (order, listen) => new (/** @type {any} */ (Context))(order, listen);

/** @param {any} order @returns {CallInfo} */
function callInfo(order) {
  const env = process.env;
  return {
    id: env.MILLRACE_EXEC_ID ?? "",
    action: order.action ?? "",
    pack: order.pack ?? "",
    attempt: Number(env.MILLRACE_ATTEMPT ?? 1),
    idempotencyKey: env.MILLRACE_IDEMPOTENCY_KEY ?? "",
    rule: env.MILLRACE_RULE ?? "",
    trigger: env.MILLRACE_TRIGGER ?? "",
    user: order.user ?? "",
    artifacts: env.MILLRACE_ARTIFACTS_DIR ?? "",
    traceparent: env.MILLRACE_TRACE_PARENT ?? "",
  };
}

/** @param {AbortController} controller */
function abortOnTermination(controller) {
  process.once("SIGTERM", () => controller.abort(new Error("the run is to end")));
}

// Keys of the pack, unless another scope is named.
class Datastore {
  #client;
  #scope;

  /** @param {() => ApiClient} client @param {string} scope */
  constructor(client, scope) {
    this.#client = client;
    this.#scope = scope;
  }

  /** @param {string} name @param {import("./index.js").KeyReadOptions} [options] */
  get(name, options) {
    return this.#client().keys.get(name, { scope: this.#scope, ...options });
  }

  /** @param {string} name @param {unknown} value @param {import("./index.js").KeyWriteOptions} [options] */
  async set(name, value, options) {
    await this.#client().keys.set(name, value, { scope: this.#scope, ...options });
  }

  /** @param {string} name @param {{scope?: string}} [options] */
  delete(name, options) {
    return this.#client().keys.delete(name, { scope: this.#scope, ...options });
  }

  /** @param {{scope?: string, prefix?: string}} [options] */
  list(options) {
    return this.#client().keys.list({ scope: this.#scope, ...options });
  }
}
