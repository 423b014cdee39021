// SPDX-License-Identifier: Apache-2.0
// What the node programs share: a closed loop, a gate, ledgers, and commands as JSON lines on stdin,
// each answered by one line on stdout.
import { appendFileSync } from "node:fs";
import { createServer } from "node:http";
import { createInterface } from "node:readline";

export const quantile = (ordered, share) =>
  ordered[Math.min(Math.floor(share * ordered.length), ordered.length - 1)];

// Calls `once(i)` again and again, so many in flight, until the time is over or `count` are done.
export async function closedLoop({ in_flight, seconds, count = Infinity }, once) {
  const latencies = [];
  const begin = performance.now();
  const end = seconds ? begin + seconds * 1e3 : Infinity;
  let sent = 0;
  const lane = async () => {
    while (sent < count && performance.now() < end) {
      const number = sent++;
      const at = performance.now();
      await once(number);
      latencies.push(performance.now() - at);
    }
  };
  await Promise.all(Array.from({ length: in_flight }, lane));
  const took = (performance.now() - begin) / 1e3;
  latencies.sort((a, b) => a - b);
  return {
    operations: latencies.length, seconds: took,
    p50_ms: quantile(latencies, 0.5), p99_ms: quantile(latencies, 0.99),
  };
}

export function check(value, expected) {
  if (value !== expected) throw new Error(`expected ${expected}, found ${value}`);
}

// Handlers write what they finished into `file`; it outlives kill -9.
export const ledger = (file) => (line) => appendFileSync(file, line + "\n");

// What the harness asks of a process of handlers, on a port of its own: which ticks have come and
// when, and a gate that handlers wait at.
export class Probe {
  fired = [];
  waiting = [];
  isOpen = true;
  passed = 0;
  constructor(port) {
    const answers = {
      "/take_fired": () => this.fired.splice(0),
      "/close": () => ((this.isOpen = false), (this.passed = 0), {}),
      "/open": () => {
        this.isOpen = true;
        for (const go of this.waiting.splice(0)) go();
        return {};
      },
      "/passed": () => ({ passed: this.passed }),
    };
    createServer((request, response) =>
      response.end(JSON.stringify(answers[request.url]()))).listen(port, "127.0.0.1");
  }
  tick(number) {
    this.fired.push([number, Date.now()]);
  }
  async gate() {
    if (!this.isOpen) await new Promise((resolve) => this.waiting.push(resolve));
    this.passed++;
  }
}

// Resolves when so many handlers have ended.
export class Countdown {
  begin(count) {
    this.left = count;
    return new Promise((resolve) => (this.resolve = resolve));
  }
  one() {
    if (--this.left === 0) this.resolve();
  }
}

// Registers `count` timers, due evenly over `window_s` after `lead_s`. `set(i, delay_ms)` returns
// when the timer is durable; whoever it wakes calls `fired(i)`. A timer counts from then on: late is
// what passes after the acknowledgement plus its delay.
export class Timers {
  fired(number, at = Date.now()) {
    this.late[number] = Math.max(0, at - this.due[number]);
    this.down.one();
  }
  async run({ count, lead_s, window_s, in_flight }, set) {
    this.late = new Array(count);
    this.due = new Array(count);
    this.down = new Countdown();
    const all = this.down.begin(count);
    const first = Date.now() + lead_s * 1e3;
    const registered = await closedLoop({ in_flight, count }, async (number) => {
      const delay = Math.max(0, first + (number / count) * window_s * 1e3 - Date.now());
      this.due[number] = Infinity;
      await set(number, delay);
      this.due[number] = Date.now() + delay;
    });
    await all;
    return { register_s: registered.seconds, late_ms: this.late };
  }
}

export async function serve(commands) {
  console.log(JSON.stringify({ ready: true }));
  for await (const line of createInterface({ input: process.stdin })) {
    const { command, ...rest } = JSON.parse(line);
    console.log(JSON.stringify((await commands[command](rest)) ?? {}));
  }
  process.exit(0);
}
