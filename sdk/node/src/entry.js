// SPDX-License-Identifier: Apache-2.0
// From an order to the function, or the sensor, of a pack's file.
import fs from "node:fs";
import path from "node:path";
import { pathToFileURL } from "node:url";
import { kindOf } from "./kinds.js";
import { quietly } from "./warnings.js";

const JAVASCRIPT = [".js", ".mjs", ".cjs"];
const TYPESCRIPT = [".ts", ".mts", ".cts"];

// What is wrong with the pack, not with the run.
export class EntryError extends Error {
  /** @param {string} message */
  constructor(message) {
    super(message);
    this.name = "EntryError";
  }
}

/** @param {any} order @returns {Promise<(parameters: unknown, context: unknown) => unknown>} */
export async function loadAction(order) {
  const { shown, exported } = await loaded(order, "actions");
  const found = candidates(exported).find((value) => typeof value === "function");
  if (found) return found;
  if (candidates(exported).some((value) => kindOf(value) === "sensor")) {
    throw new EntryError(`'${shown}' exports a sensor; expected an action`);
  }
  throw new EntryError(
    `'${shown}' exports ${named(exported)}; expected a function as default export or named 'run'`,
  );
}

/** @param {any} order @returns {Promise<import("./index.js").SensorParts>} */
export async function loadSensor(order) {
  const { shown, exported } = await loaded(order, "sensors");
  const found = candidates(exported).find((value) => kindOf(value) === "sensor");
  if (found) return found;
  throw new EntryError(
    `'${shown}' exports ${named(exported)}; expected sensor({...}) as default export`,
  );
}

/** @param {any} order @param {"actions" | "sensors"} folder */
async function loaded(order, folder) {
  const { pack_path: pack, entry_point: entry } = order;
  if (typeof pack !== "string" || typeof entry !== "string") {
    throw new EntryError("order: expected the texts 'pack_path' and 'entry_point'");
  }
  const root = path.resolve(pack, folder);
  const file = path.resolve(root, entry);
  const shown = `${folder}/${entry}`;
  if (!file.startsWith(root + path.sep)) throw new EntryError(`'${shown}' lies outside of the pack`);
  if (!fs.existsSync(file)) throw new EntryError(`'${shown}' is not there${hint(root, entry)}`);
  refuseUnreadable(shown);
  return { shown, exported: await quietly(() => import(pathToFileURL(file).href)) };
}

// Where an action may stand: ES modules, CommonJS, and CommonJS that a compiler made of ES modules.
/** @param {any} exported */
const candidates = (exported) => {
  const whole = exported.default;
  return [whole, exported.run, whole?.default, whole?.run].filter((value) => value !== undefined);
};

/** @param {any} exported */
function named(exported) {
  const names = Object.keys(exported).filter((name) => name !== "module.exports");
  const inside = exported.default;
  // Of CommonJS the default export is the object with the others in it.
  if (names.length === 1 && inside && typeof inside === "object") {
    names.splice(0, 1, ...Object.keys(inside));
  }
  return names.length ? names.map((name) => `'${name}'`).join(", ") : "nothing";
}

/** @param {string} shown */
function refuseUnreadable(shown) {
  const kind = path.extname(shown);
  if (JAVASCRIPT.includes(kind)) return;
  if (!TYPESCRIPT.includes(kind)) {
    const known = [...JAVASCRIPT, ...TYPESCRIPT].join(", ");
    throw new EntryError(`'${shown}' is no JavaScript file: expected one of ${known}`);
  }
  if (stripsTypes()) return;
  throw new EntryError(
    `'${shown}' is TypeScript, and node ${process.versions.node} does not strip types here. Take node ` +
      "22.18 or newer, or 22.6 with the flag --experimental-strip-types in the runtime's " +
      "interpreter, or compile the file to JavaScript",
  );
}

function stripsTypes() {
  const given = [...process.execArgv, process.env.NODE_OPTIONS ?? ""].join(" ");
  return Boolean(/** @type {any} */ (process.features).typescript)
    || /--experimental-(strip|transform)-types/.test(given);
}

/** The name that was meant, if one comes near. @param {string} root @param {string} entry */
function hint(root, entry) {
  let names;
  try {
    names = fs.readdirSync(root, { recursive: true }).map(String);
  } catch {
    return `: there is no folder '${root}'`;
  }
  const near = names
    .filter((name) => [...JAVASCRIPT, ...TYPESCRIPT].includes(path.extname(name)))
    .map((name) => ({ name, far: distance(name, entry) }))
    .filter(({ far }) => far <= Math.max(2, entry.length / 3))
    .sort((a, b) => a.far - b.far);
  return near[0] ? ` (did you mean '${near[0].name}'?)` : "";
}

// Levenshtein's distance, row by row.
/** @param {string} a @param {string} b */
function distance(a, b) {
  let row = Array.from({ length: b.length + 1 }, (_, i) => i);
  for (let i = 1; i <= a.length; ++i) {
    const next = [i];
    for (let j = 1; j <= b.length; ++j) {
      const swapped = row[j - 1] + (a[i - 1] === b[j - 1] ? 0 : 1);
      next.push(Math.min(swapped, row[j] + 1, next[j - 1] + 1));
    }
    row = next;
  }
  return row[b.length];
}
