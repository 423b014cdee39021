// SPDX-License-Identifier: Apache-2.0
// What a call of a warm process may leave behind, and the way back. What cannot be put back is told:
// the worker then ends the process.
//
// The memory of modules is no part of it: what a pack's module keeps in its variables is there for the
// next call. So a warm process serves calls of one key alone (tenant, release, environment, scope of
// secrets).
import childProcess from "node:child_process";
import { importsSeen } from "./resolve.js";
import { SharedObjects } from "./shared_objects.js";
import { Timers } from "./timers.js";

// Events by which a call can be called back, or change how the process ends.
/** @type {import("node:events").EventEmitter[]} */
const EMITTERS = [process, process.stdout, process.stderr];
// They pass by themselves.
const PASSING = new Set(["Immediate", "TickObject", "CloseReq", "ShutdownWrap", "WriteWrap"]);

export class Guard {
  #shared = new SharedObjects();
  #timers = new Timers();
  /** @type {Set<import("node:child_process").ChildProcess>} */
  #children = new Set();
  #env = process.env;
  #cwd = process.cwd();
  #umask = process.umask();
  #argv = [...process.argv];
  #title = process.title;
  #writes = [process.stdout.write, process.stderr.write];
  /** @type {Record<string, string | undefined>} */
  #variables = { ...process.env };
  /** @type {Map<string, number>} */
  #handles;

  // Made when the process is otherwise ready: what is there now belongs to it.
  constructor() {
    this.#watchChildren();
    this.#handles = count(process.getActiveResourcesInfo());
    this.#shared = new SharedObjects(); // anew: with the timers' own functions
  }

  /** @param {any} order */
  begin(order) {
    this.#timers.begin();
    if (order.env) setVariables(order.env);
    if (order.cwd) process.chdir(order.cwd);
  }

  /** Before a call begins. What a module does while it is loaded (a polyfill, a listener) belongs to
   * the process. */
  loaded() {
    if (this.#shared.areChanged()) this.#shared = new SharedObjects();
    this.#listeners = listeners();
    this.#imports = importsSeen();
  }

  #listeners = listeners();
  #imports = importsSeen();

  /** After a call: puts back what can be, and names what cannot. @returns {Promise<string[]>} */
  async end() {
    try {
      return await this.#restored();
    } catch (error) {
      return [`not restored: ${/** @type {Error} */ (error).message}`]; // its folder is gone
    }
  }

  async #restored() {
    const left = [];
    this.#timers.end();
    this.#restoreProcess();
    const hasLoaded = importsSeen() !== this.#imports;
    this.#imports = importsSeen();
    // A module that was loaded in the call may need what it has left; it will not run again.
    if (this.#shared.areChanged()) {
      if (hasLoaded) left.push("globals, by a module that the call has loaded");
      else left.push(...this.#shared.restore().map((name) => `global ${name}`));
    }
    const added = this.#removeListeners(hasLoaded);
    if (added) left.push(added);
    if (this.#children.size) left.push(`${this.#children.size} children`);
    left.push(...(await this.#handlesLeft()));
    return left;
  }

  #restoreProcess() {
    process.env = this.#env;
    setVariables(this.#variables);
    process.chdir(this.#cwd);
    process.umask(this.#umask);
    process.exitCode = undefined;
    if (process.title !== this.#title) process.title = this.#title;
    process.argv = [...this.#argv];
    [process.stdout.write, process.stderr.write] = this.#writes;
  }

  /** @param {boolean} hasLoaded */
  #removeListeners(hasLoaded) {
    for (const [i, emitter] of EMITTERS.entries()) {
      const was = this.#listeners[i];
      for (const event of emitter.eventNames()) {
        const added = emitter.rawListeners(event).filter((each) => !was.get(event)?.includes(each));
        if (added.length && hasLoaded) return `listeners of '${String(event)}', by a module`;
        for (const each of added) emitter.removeListener(event, /** @type {any} */ (each));
      }
      for (const [event, list] of was) {
        if (emitter.listenerCount(event) < list.length) return `no listener of '${String(event)}'`;
      }
    }
    return undefined;
  }

  // What is being closed needs a turn or two.
  async #handlesLeft() {
    let left = more(process.getActiveResourcesInfo(), this.#handles);
    for (let turn = 0; left.length && turn < 3; ++turn) {
      await new Promise((done) => this.#timers.setImmediate(done));
      left = more(process.getActiveResourcesInfo(), this.#handles);
    }
    return left;
  }

  #watchChildren() {
    const children = this.#children;
    const { prototype } = childProcess.ChildProcess;
    const own = /** @type {any} */ (prototype).spawn;
    /** @this {import("node:child_process").ChildProcess} @param {any} options */
    function spawn(options) {
      const failure = own.call(this, options);
      if (failure === 0) {
        children.add(this);
        this.once("exit", () => children.delete(this));
      }
      return failure;
    }
    /** @type {any} */ (prototype).spawn = spawn;
  }
}

/** These and no others. @param {Record<string, string | undefined>} wanted */
function setVariables(wanted) {
  const now = { ...process.env };
  for (const name of Object.keys(now)) {
    if (!Object.hasOwn(wanted, name)) delete process.env[name];
  }
  for (const [name, value] of Object.entries(wanted)) {
    if (now[name] !== value) process.env[name] = value;
  }
}

/** @returns {Map<string | symbol, Function[]>[]} */
function listeners() {
  return EMITTERS.map(
    (emitter) => new Map(emitter.eventNames().map((event) => [event, emitter.rawListeners(event)])),
  );
}

/** @param {string[]} names */
function count(names) {
  const found = new Map();
  for (const name of names) found.set(name, (found.get(name) ?? 0) + 1);
  return found;
}

/** @param {string[]} names @param {Map<string, number>} known */
function more(names, known) {
  return [...count(names)]
    .filter(([name, times]) => !PASSING.has(name) && times > (known.get(name) ?? 0))
    .map(([name]) => name);
}
