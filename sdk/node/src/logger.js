// SPDX-License-Identifier: Apache-2.0
// A logger to stderr, in the format that the Python SDK has too.
import { format } from "node:util";

const LEVELS = { DEBUG: 10, INFO: 20, WARNING: 30, ERROR: 40 };

export class Logger {
  #name;
  #from;

  /** @param {string} name @param {string} [level] */
  constructor(name, level = "DEBUG") {
    this.#name = name;
    this.#from = LEVELS[/** @type {keyof typeof LEVELS} */ (String(level).toUpperCase())] ?? 0;
  }

  /** @param {unknown[]} said */
  debug = (...said) => this.#say("DEBUG", said);
  /** @param {unknown[]} said */
  info = (...said) => this.#say("INFO", said);
  /** @param {unknown[]} said */
  warn = (...said) => this.#say("WARNING", said);
  /** @param {unknown[]} said */
  error = (...said) => this.#say("ERROR", said);

  /** @param {keyof typeof LEVELS} level @param {unknown[]} said */
  #say(level, said) {
    if (LEVELS[level] < this.#from) return;
    process.stderr.write(`${this.#name}: ${level.padEnd(8)} ${format(...said)}\n`);
  }
}
