// SPDX-License-Identifier: Apache-2.0
// The global timers, so that those of a call can be ended with it. Timers from 'node:timers' are not
// seen here; one that runs on is told by the guard.
export class Timers {
  #own = { setTimeout, setInterval, setImmediate, clearTimeout, clearInterval, clearImmediate };
  /** @type {Set<any>} */
  #running = new Set();

  constructor() {
    this.#replace("setTimeout", true);
    this.#replace("setImmediate", true);
    this.#replace("setInterval", false);
    for (const name of /** @type {const} */ (["clearTimeout", "clearInterval", "clearImmediate"])) {
      const own = /** @type {any} */ (this.#own[name]);
      this.#put(name, (/** @type {any} */ timer) => {
        this.#running.delete(timer);
        own(timer);
      });
    }
  }

  get setImmediate() {
    return this.#own.setImmediate;
  }

  begin() {
    this.#running.clear();
  }

  end() {
    for (const timer of this.#running) {
      this.#own.clearTimeout(timer);
      this.#own.clearImmediate(timer);
    }
    this.#running.clear();
  }

  /** @param {"setTimeout" | "setInterval" | "setImmediate"} name @param {boolean} isOnce */
  #replace(name, isOnce) {
    const own = /** @type {any} */ (this.#own[name]);
    this.#put(name, (/** @type {any} */ call, /** @type {any[]} */ ...more) => {
      if (typeof call !== "function") return own(call, ...more);
      const once = (/** @type {any[]} */ ...given) => {
        this.#running.delete(timer);
        return call(...given);
      };
      const timer = own(isOnce ? once : call, ...more);
      this.#running.add(timer);
      return timer;
    });
  }

  /** @param {string} name @param {any} replacement */
  #put(name, replacement) {
    const own = /** @type {any} */ (globalThis)[name];
    // util.promisify finds its form of setTimeout there.
    for (const key of Object.getOwnPropertySymbols(own)) {
      const property = /** @type {PropertyDescriptor} */ (Object.getOwnPropertyDescriptor(own, key));
      Object.defineProperty(replacement, key, property);
    }
    /** @type {any} */ (globalThis)[name] = replacement;
  }
}
