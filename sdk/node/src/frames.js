// SPDX-License-Identifier: Apache-2.0
// Frames: four bytes with the length of the rest, the highest first; the rest is one JSON object.
import { parse, writeAll } from "./descriptors.js";

export class FrameWriter {
  #fd;

  /** @param {number} fd */
  constructor(fd) {
    this.#fd = fd;
  }

  /** @param {string} json */
  write(json) {
    const size = Buffer.byteLength(json);
    const frame = Buffer.allocUnsafe(4 + size);
    frame.writeUInt32BE(size);
    frame.write(json, 4);
    writeAll(this.#fd, frame);
  }
}

const LONGEST = 256 << 20;

export class FrameReader {
  /** @type {Buffer[]} */
  #parts = [];
  #size = 0;

  /** What has come whole. @param {Buffer} part @returns {any[]} */
  push(part) {
    this.#parts.push(part);
    this.#size += part.length;
    const frames = [];
    for (let next = this.#next(); next; next = this.#next()) {
      const frame = parse(next.toString());
      if (typeof frame !== "object" || frame === null) throw new Error("a frame that is no object");
      frames.push(frame);
    }
    return frames;
  }

  #next() {
    if (this.#size < 4) return undefined;
    if (this.#parts[0].length < 4) this.#join();
    const end = 4 + this.#parts[0].readUInt32BE();
    if (end > LONGEST) throw new Error(`a frame of ${end - 4} bytes`);
    if (this.#size < end) return undefined;
    this.#join();
    const frame = this.#parts[0].subarray(4, end);
    this.#parts = [this.#parts[0].subarray(end)];
    this.#size -= end;
    return frame;
  }

  #join() {
    if (this.#parts.length > 1) this.#parts = [Buffer.concat(this.#parts)];
  }
}
