// SPDX-License-Identifier: Apache-2.0
// A warm process: orders come in frames over the socket of MILLRACE_SERVE_FD, output and results go
// back over it. One call at a time, all of one key.
import { AsyncLocalStorage } from "node:async_hooks";
import net from "node:net";
import { contextWith } from "./context.js";
import { stringify, takeDescriptor } from "./descriptors.js";
import { loadAction } from "./entry.js";
import { FrameReader, FrameWriter } from "./frames.js";
import { Guard } from "./guard.js";
import { exited, failed, fields, settled, stackOf, succeeded } from "./outcome.js";
import { serveOwnName } from "./resolve.js";

/** @typedef {import("./outcome.js").Outcome} Outcome */

class Call {
  isOver = false;
  controller = /** @type {AbortController | undefined} */ (undefined);
  isCanceled = false;
  /** Set while it may still be ended from outside. @type {(outcome: Outcome) => void} */
  finish = () => {};

  /** @param {any} order */
  constructor(order) {
    this.order = order;
    this.id = order.call;
  }

  cancel() {
    this.isCanceled = true;
    this.controller?.abort(new Error("the run is to end"));
  }
}

class Server {
  #frames;
  /** @type {AsyncLocalStorage<Call>} */
  #calls = new AsyncLocalStorage();
  /** @type {Call | undefined} */
  #running;
  /** @type {Call[]} */
  #waiting = [];
  /** Why the process should serve no other call. @type {Set<string>} */
  #dirt = new Set();
  #served = 0;
  #guard;
  /** @type {Map<string, Promise<Function>>} */
  #loaded = new Map();
  #exit = process.exit;
  /** @type {string | undefined} */
  #key;

  /** @param {number} fd */
  constructor(fd) {
    this.#frames = new FrameWriter(fd);
    serveOwnName();
    this.#capture("stdout");
    this.#capture("stderr");
    process.exit = /** @type {any} */ ((/** @type {number | undefined} */ code) => this.#exited(code));
    process.on("uncaughtException", (error) => this.#uncaught(error));
    this.#guard = new Guard();
  }

  /** @param {any} frame */
  take(frame) {
    if (frame.call === undefined && frame.cancel === undefined) throw new Error("an order without 'call'");
    if (frame.cancel !== undefined) {
      if (this.#running?.id === frame.cancel) this.#running?.cancel();
      for (const call of this.#waiting) if (call.id === frame.cancel) call.cancel();
      return;
    }
    this.#waiting.push(new Call(frame));
    if (!this.#running) this.#next();
  }

  async #next() {
    for (let call = this.#waiting.shift(); call; call = this.#waiting.shift()) {
      this.#running = call;
      await this.#serve(call);
      this.#running = undefined;
    }
  }

  /** @param {Call} call */
  async #serve(call) {
    // An error that nobody catches, or the end of the process, may come first.
    const endedFromOutside = /** @type {Promise<Outcome>} */ (
      new Promise((done) => {
        call.finish = done;
      })
    );
    const outcome = await Promise.race([this.#calls.run(call, () => this.#run(call)), endedFromOutside]);
    call.isOver = true;
    for (const why of await this.#guard.end()) this.#dirt.add(why);
    this.#answer(call, outcome);
  }

  /** @param {Call} call @returns {Promise<Outcome>} */
  async #run(call) {
    const { order } = call;
    try {
      this.#checkKey(order);
      const run = await this.#load(order);
      this.#guard.begin(order);
      const context = contextWith(order, (controller) => {
        call.controller = controller;
        if (call.isCanceled) call.cancel();
      });
      return succeeded(await settled(run(context.parameters, context)));
    } catch (error) {
      if (!call.isOver) process.stderr.write(stackOf(error));
      return failed(error);
    }
  }

  // The worker sees to it; this is for the case that it does not.
  /** @param {any} order */
  #checkKey({ key, pack_path }) {
    const asked = stringify([key, pack_path]);
    this.#key ??= asked;
    if (asked === this.#key) return;
    this.#soil("asked for another key");
    throw Object.assign(new Error("this process serves calls of another key"), { name: "KeyError" });
  }

  // A release never changes: a file is loaded once.
  /** @param {any} order */
  #load(order) {
    const key = `${order.pack_path}\0${order.entry_point}`;
    let found = this.#loaded.get(key);
    if (!found) {
      found = loadAction(order).finally(() => this.#guard.loaded());
      this.#loaded.set(key, found);
    }
    return found;
  }

  /** @param {Call} call @param {Outcome} outcome */
  #answer(call, outcome) {
    this.#served += 1;
    const why = this.#dirt.size ? `,"why":${stringify([...this.#dirt])}` : "";
    this.#frames.write(
      `{"call":${stringify(call.id)},${fields(outcome)},"exit_code":${outcome.exitCode}` +
        `,"dirty":${this.#dirt.size > 0}${why},"calls":${this.#served}` +
        `,"memory":${process.memoryUsage.rss()}}`,
    );
  }

  // What a call writes goes to it as frames. What is written when it is over is nobody's: it is
  // dropped, and the process says so.
  /** @param {"stdout" | "stderr"} name */
  #capture(name) {
    const stream = process[name];
    const own = stream.write.bind(stream);
    /** @param {string | Uint8Array} data @param {any} encoding @param {any} done */
    const write = (data, encoding, done) => {
      const call = this.#calls.getStore() ?? this.#running;
      if (!call) return own(data, encoding, done);
      if (call.isOver) {
        this.#soil("output after the end of its call");
      } else {
        const bytes = typeof data === "string" ? Buffer.from(data, asEncoding(encoding)) : data;
        const text = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString("base64");
        this.#frames.write(
          `{"call":${stringify(call.id)},"stream":"${name}","data":"${text}"}`,
        );
      }
      const then = typeof encoding === "function" ? encoding : done;
      if (then) process.nextTick(then);
      return true;
    };
    stream.write = /** @type {any} */ (write);
  }

  // Said at once where no call runs that would say it.
  /** @param {string} why */
  #soil(why) {
    if (this.#dirt.has(why)) return;
    this.#dirt.add(why);
    if (!this.#running) this.#frames.write(stringify({ dirty: true, why: [why] }));
  }

  /** @param {unknown} error */
  #uncaught(error) {
    const call = this.#calls.getStore() ?? this.#running;
    this.#soil("an error that nobody has caught");
    if (!call || call.isOver) return;
    process.stderr.write(stackOf(error));
    call.finish(failed(error));
  }

  /** The result goes out before the process does. @param {number | undefined} code */
  #exited(code) {
    const call = this.#running;
    const ended = Number(code ?? process.exitCode ?? 0);
    if (call && !call.isOver) {
      call.isOver = true;
      this.#dirt.add("process.exit");
      this.#answer(call, exited(ended));
    }
    return this.#exit.call(process, ended);
  }
}

/** @param {unknown} encoding @returns {BufferEncoding} */
const asEncoding = (encoding) =>
  typeof encoding === "string" ? /** @type {BufferEncoding} */ (encoding) : "utf8";

export function serve() {
  const fd = takeDescriptor("MILLRACE_SERVE_FD");
  if (fd === undefined) {
    process.stderr.write("millrace: --serve: MILLRACE_SERVE_FD is not set\n");
    process.exitCode = 2;
    return;
  }
  const exit = process.exit;
  const socket = new net.Socket({ fd, readable: true, writable: true });
  const reader = new FrameReader();
  const server = new Server(fd);
  socket.on("data", (part) => {
    try {
      for (const frame of reader.push(part)) server.take(frame);
    } catch (error) {
      process.stderr.write(`millrace: --serve: ${/** @type {Error} */ (error).message}\n`);
      exit.call(process, 2);
    }
  });
  // The worker is gone, or wants no more of it.
  for (const event of ["end", "error", "close"]) socket.on(event, () => exit.call(process, 0));
}
