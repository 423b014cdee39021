// SPDX-License-Identifier: Apache-2.0
// Hands a sensor's events to the server, so many at a time, and tells when each is there.

// Events that the server has not answered yet.
const IN_FLIGHT = 64;
// Events behind them, of a sensor that does not wait for its dispatches.
const WAITING = 10_000;

/** @typedef {{ line: any, done: (accepted: any) => void, fail: (error: Error) => void }} Handing */

export class Dispatcher {
  #write;
  #last = 0;
  /** @type {Map<number, Handing>} */
  #inFlight = new Map();
  /** @type {Handing[]} */
  #waiting = [];

  /** @param {(line: object) => void} write */
  constructor(write) {
    this.#write = write;
  }

  /** @type {import("./index.js").SensorContext["dispatch"]} */
  dispatch = (trigger, payload = null, { id, traceTag } = {}) => {
    const line = { type: "event", seq: 0, trigger, payload, id, trace_tag: traceTag };
    if (this.#waiting.length >= WAITING) {
      const why = `${WAITING} events wait for the server: 'await' each dispatch`;
      return Promise.reject(new Error(`trigger '${trigger}': ${why}`));
    }
    return new Promise((done, fail) => {
      this.#waiting.push({ line, done, fail });
      this.#send();
    });
  };

  /** Whether the line was an answer. @param {any} line */
  take({ type, seq, event = "", duplicate = false, error }) {
    if (type !== "ack" && type !== "nack") return false;
    const handing = this.#inFlight.get(seq);
    this.#inFlight.delete(seq);
    if (type === "ack") handing?.done({ event, duplicate });
    else handing?.fail(new Error(`trigger '${handing.line.trigger}': ${error}`));
    this.#send();
    return true;
  }

  #send() {
    while (this.#inFlight.size < IN_FLIGHT) {
      const next = this.#waiting.shift();
      if (!next) return;
      next.line.seq = ++this.#last;
      this.#inFlight.set(next.line.seq, next);
      this.#write(next.line);
    }
  }
}
