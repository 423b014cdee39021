// SPDX-License-Identifier: Apache-2.0
// The objects that all code of a process shares: the globals, their members and their prototypes.
// A copy of what they hold, and the way back to it.

/** @typedef {{ object: any, keys: (string | symbol)[], values: unknown[], properties: PropertyDescriptor[],
 *   size: number, accessors: [string | symbol, PropertyDescriptor][] }} Copy */

// Of `process`: what changes by itself, and what the guard of a call restores in its own way.
const OWN_WAY = new Set(["env", "exitCode", "_exiting", "domain", "title", "argv", "_events",
  "_eventsCount", "_maxListeners"]);

export class SharedObjects {
  /** @type {Copy[]} */
  #copies;

  constructor() {
    // Loads fetch and what belongs to it now: that leaves a property that cannot be deleted.
    void globalThis.Response;
    this.#copies = [...reached()].map(copyOf);
  }

  /** Whether any property differs: cheap, for after each call. */
  areChanged() {
    return this.#copies.some(differs);
  }

  /** Puts back what the copy holds; names what cannot be put back. @returns {string[]} */
  restore() {
    return this.#copies.filter(differs).flatMap(putBack);
  }
}

function reached() {
  // Of the globals with a getter these two count.
  const found = new Set([/** @type {object} */ (globalThis), process, Buffer, Buffer.prototype]);
  for (const key of Reflect.ownKeys(globalThis)) {
    const value = Object.getOwnPropertyDescriptor(globalThis, key)?.value;
    if (!value || !["object", "function"].includes(typeof value)) continue;
    found.add(value);
    if (typeof value === "function" && value.prototype) found.add(value.prototype);
  }
  return found;
}

/** @param {object} object @returns {Copy} */
function copyOf(object) {
  /** @type {Copy} */
  const copy = { object, keys: [], values: [], properties: [], accessors: [], size: 0 };
  for (const key of Reflect.ownKeys(object)) {
    copy.size += 1;
    const property = /** @type {PropertyDescriptor} */ (
      Object.getOwnPropertyDescriptor(object, key)
    );
    if (object === process && OWN_WAY.has(/** @type {string} */ (key))) continue;
    if (!("value" in property)) {
      copy.accessors.push([key, property]);
    } else {
      copy.keys.push(key);
      copy.values.push(property.value);
      copy.properties.push(property);
    }
  }
  return copy;
}

// Getters are compared on the global object alone: node loads fetch and its like that way, and
// reading them would run them.
/** @param {Copy} copy */
function differs({ object, keys, values, size, accessors }) {
  for (let i = 0; i < keys.length; ++i) {
    if (!Object.is(object[keys[i]], values[i])) return true;
  }
  if (Reflect.ownKeys(object).length !== size) return true;
  return object === globalThis && accessors.some(([key, was]) => getterOf(object, key) !== was.get);
}

/** @param {object} object @param {string | symbol} key */
const getterOf = (object, key) => Object.getOwnPropertyDescriptor(object, key)?.get;

/** @param {Copy} copy @returns {string[]} */
function putBack({ object, keys, properties, accessors }) {
  const known = new Set([...keys, ...accessors.map(([key]) => key)]);
  const isOwnWay = (/** @type {string | symbol} */ key) =>
    object === process && OWN_WAY.has(/** @type {string} */ (key));
  const added = Reflect.ownKeys(object).filter((key) => !known.has(key) && !isOwnWay(key));
  const stuck = added.filter((key) => !Reflect.deleteProperty(object, key));
  for (let i = 0; i < keys.length; ++i) {
    if (!isPutBack(object, keys[i], properties[i])) stuck.push(keys[i]);
  }
  for (const [key, was] of accessors) {
    if (getterOf(object, key) === was.get) continue;
    if (!Reflect.defineProperty(object, key, was)) stuck.push(key);
  }
  return stuck.map(String);
}

/** @param {any} object @param {string | symbol} key @param {PropertyDescriptor} was */
function isPutBack(object, key, was) {
  const now = Object.getOwnPropertyDescriptor(object, key);
  if (now && "value" in now && Object.is(now.value, was.value)) return true;
  return Reflect.defineProperty(object, key, now?.configurable === false ? { value: was.value } : was);
}
