// SPDX-License-Identifier: Apache-2.0
// A sensor's process: lines of JSON in on stdin, out to the descriptor of MILLRACE_RESULT_FD. Its
// stdout and stderr are its own. The lines stand in README.md.
import { createInterface } from "node:readline";
import { Client } from "./client.js";
import { Context } from "./context.js";
import { kept, parse, stringify, takeDescriptor, writeAll } from "./descriptors.js";
import { Dispatcher } from "./dispatcher.js";
import { loadSensor } from "./entry.js";
import { Logger } from "./logger.js";
import { describe, stackOf } from "./outcome.js";
import { serveOwnName } from "./resolve.js";

/** @typedef {import("./index.js").SensorContext} SensorContext */
/** @typedef {import("./index.js").SensorParts} SensorParts */

const GRACE_S = 10;
const INTERVAL_MS = 30_000;

/** @param {string} text */
const say = (text) => process.stderr.write(`millrace: sensor: ${text}\n`);

/** @param {import("./index.js").TriggerInstance} trigger */
const nameOf = (trigger) => trigger.id ?? trigger.ref;

class SensorProcess {
  #write;
  #dispatcher;
  #stop = new AbortController();
  #reason = "";
  #isEnded = false;
  /** @type {any} */
  #order;
  /** @type {SensorParts | undefined} */
  #sensor;
  /** @type {SensorContext | undefined} */
  #context;
  /** @type {import("./index.js").TriggerInstance[]} */
  #triggers = [];
  /** Changes are called one after another, and not during a poll. @type {Promise<unknown>} */
  #turn = Promise.resolve();

  /** @param {number} fd */
  constructor(fd) {
    this.#write = (/** @type {object} */ line) => writeAll(fd, Buffer.from(`${stringify(line)}\n`));
    this.#dispatcher = new Dispatcher(this.#write);
    process.on("uncaughtExceptionMonitor", (error) => this.#because(error));
    process.on("exit", () => this.#said());
    process.on("beforeExit", () => this.#end(0, "returned"));
  }

  /** @param {any} line */
  take(line) {
    if (!this.#order) {
      if (line.type !== "start") return this.#end(2, "expected a line of type 'start' first");
      this.#order = line;
      this.#triggers = line.triggers ?? [];
      return void this.#run();
    }
    if (this.#dispatcher.take(line)) return undefined;
    if (line.type === "stop" || line.type === "config") return this.stop(line.type);
    if (/^trigger_(added|updated|removed)$/.test(line.type)) return this.#change(line);
    return void say(`a line of unknown type: ${line.type}`);
  }

  /** No poll begins from now on. @param {string} reason */
  stop(reason) {
    if (this.#stop.signal.aborted) return;
    this.#reason ||= reason;
    const graceMs = 1000 * Number(this.#order?.grace_s ?? GRACE_S);
    setTimeout(() => {
      say(`did not end within ${graceMs / 1000} s`);
      process.exit(1);
    }, graceMs);
    this.#stop.abort(new Error("the sensor is to stop"));
    if (!this.#sensor) this.#end(0, reason);
    if (!this.#sensor?.poll) void this.#cleanUp(0);
  }

  async #run() {
    let code = 0;
    try {
      serveOwnName();
      this.#sensor = await loadSensor(this.#order);
      this.#context = this.#makeContext();
      await this.#sensor.setup?.(this.#context);
      this.#write({ type: "ready" });
      if (!this.#sensor.poll) return; // what setup has opened keeps the process
      await this.#poll(this.#sensor, this.#context);
    } catch (error) {
      process.stderr.write(stackOf(error));
      code = this.#stop.signal.aborted ? 0 : 1;
      this.#because(error);
    }
    await this.#cleanUp(code);
  }

  /** @param {SensorParts} sensor @param {SensorContext} context */
  async #poll(sensor, context) {
    const given = this.#order.poll_interval;
    const interval = given ? 1000 * given : (sensor.pollIntervalMs ?? INTERVAL_MS);
    while (!this.#stop.signal.aborted) {
      await this.#inTurn(() => sensor.poll?.(context));
      await sleep(interval, this.#stop.signal);
    }
  }

  /** @param {any} line */
  #change({ type, trigger }) {
    this.#inTurn(async () => {
      this.#triggers = this.#triggers.filter((each) => nameOf(each) !== nameOf(trigger));
      if (type !== "trigger_removed") this.#triggers = [...this.#triggers, trigger];
      if (this.#context) await this.#sensor?.changed?.(this.#context);
    }).catch((error) => process.stderr.write(stackOf(error)));
  }

  /** @param {() => unknown} call */
  #inTurn(call) {
    const done = this.#turn.then(call);
    this.#turn = done.catch(() => {});
    return done;
  }

  #makeContext() {
    const order = this.#order;
    const { config } = new Context(order);
    const client = new Client();
    const logger = new Logger(`sensors.node.${order.action ?? order.sensor ?? ""}`, order.log_level);
    const triggers = () => this.#triggers;
    const { datastore } = new Context(order);
    return {
      config, client, datastore, logger,
      signal: this.#stop.signal,
      get triggers() {
        return triggers();
      },
      dispatch: this.#dispatcher.dispatch,
    };
  }

  /** @param {number} code */
  async #cleanUp(code) {
    const cleanup = this.#sensor?.cleanup;
    try {
      if (this.#context) await this.#inTurn(() => cleanup?.(/** @type {SensorContext} */ (this.#context)));
    } catch (error) {
      process.stderr.write(stackOf(error));
    }
    this.#end(code, "returned");
  }

  /** @param {unknown} error */
  #because(error) {
    const { type, message } = describe(error);
    this.#reason ||= `${type}: ${message}`;
  }

  /** @param {number} code @param {string} reason */
  #end(code, reason) {
    this.#reason ||= reason;
    if (code === 2) say(this.#reason);
    process.exit(code);
  }

  #said() {
    if (this.#isEnded) return;
    this.#isEnded = true;
    this.#write({ type: "stopped", reason: this.#reason || "exited" });
  }
}

/** @param {number} ms @param {AbortSignal} signal @returns {Promise<void>} */
const sleep = (ms, signal) => new Promise((done) => {
  if (signal.aborted) return done();
  const end = () => {
    clearTimeout(timer);
    signal.removeEventListener("abort", end);
    done();
  };
  const timer = setTimeout(end, ms);
  signal.addEventListener("abort", end);
});

export function runSensor() {
  const given = takeDescriptor("MILLRACE_RESULT_FD");
  const sensor = new SensorProcess(given === undefined ? 1 : kept(given));
  const lines = createInterface({ input: process.stdin });
  lines.on("line", (text) => {
    try {
      sensor.take(parse(text));
    } catch (error) {
      say(`stdin: ${/** @type {Error} */ (error).message}`);
      sensor.stop("protocol");
    }
  });
  lines.on("close", () => sensor.stop("stop"));
  process.on("SIGTERM", () => sensor.stop("stop"));
}
