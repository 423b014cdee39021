// SPDX-License-Identifier: Apache-2.0
// Plain reads and writes of descriptors. They are synchronous: a result is out when the call has
// returned, also while the process exits.
import fs from "node:fs";

// Kept as they are now: a pack may patch them.
const { closeSync, openSync, readSync, writeSync } = fs;
export const { parse, stringify } = JSON;
const paused = new Int32Array(new SharedArrayBuffer(4));

/** @param {unknown} error */
const isFull = (error) => /** @type {any} */ (error)?.code === "EAGAIN";

// The descriptor does not block and the other side is slow.
const pause = () => void Atomics.wait(paused, 0, 0, 1);

/** @param {number} fd @param {Uint8Array} data */
export function writeAll(fd, data) {
  for (let at = 0; at < data.length; ) {
    try {
      at += writeSync(fd, data, at);
    } catch (error) {
      if (!isFull(error)) throw error;
      pause();
    }
  }
}

/** @param {number} fd */
export function readAll(fd) {
  const parts = [];
  for (;;) {
    const part = Buffer.allocUnsafe(1 << 16);
    try {
      const size = readSync(fd, part);
      if (size === 0) return Buffer.concat(parts);
      parts.push(part.subarray(0, size));
    } catch (error) {
      if (!isFull(error)) throw error;
      pause();
    }
  }
}

/** The descriptor whose number the variable gives; the action does not see the variable.
 * @param {string} name @returns {number | undefined} */
export function takeDescriptor(name) {
  const given = process.env[name];
  delete process.env[name];
  return given === undefined ? undefined : Number(given);
}

/** Opens a descriptor anew, so that children do not inherit it: node opens with O_CLOEXEC, but marks
 * only low ones that it was itself given. A socket cannot be opened again and stays as it is.
 * @param {number} fd */
export function kept(fd) {
  try {
    const again = openSync(`/proc/self/fd/${fd}`, fs.constants.O_WRONLY | fs.constants.O_APPEND);
    closeSync(fd);
    return again;
  } catch {
    return fd;
  }
}

export { closeSync };
