// SPDX-License-Identifier: Apache-2.0
// A sensor's process, and the lines between it and its worker.
import { describe, expect, test } from "vitest";
import { NODES, pack, startSensor } from "./support.js";

const IMPORT = 'import { sensor } from "@millrace/sdk";\nexport default sensor(';
const start = (node, source, more = {}) =>
  startSensor(node, {
    action: "demo.watch", pack: "demo", entry_point: "watch.js", config: {}, triggers: [], poll_interval: 0.01,
    ...more,
    pack_path: pack({ "sensors/watch.js": `${IMPORT}${source});` }),
  });
const ofType = (type) => (line) => line.type === type;

describe.each(NODES)("a sensor in %s", (node) => {
  test("sets up, is ready, polls, cleans up and stops", async () => {
    const sensor = start(node, `{
      setup({ config }) { console.log("setup", config.url); },
      async poll({ dispatch, triggers }) { await dispatch("demo.seen", { n: 1 }, { id: "a", traceTag: "t" }); },
      cleanup() { console.log("cleanup"); },
    }`, { config: { url: "u" } });
    const event = await sensor.until(ofType("event"));
    expect(sensor.lines[0]).toEqual({ type: "ready" });
    expect(event).toEqual({ type: "event", seq: 1, trigger: "demo.seen", payload: { n: 1 }, id: "a", trace_tag: "t" });
    sensor.send({ type: "ack", seq: 1 });
    await sensor.until((line) => line.seq === 2);
    sensor.send({ type: "ack", seq: 2 });
    sensor.send({ type: "stop" });
    expect(await sensor.ended).toBe(0);
    expect(sensor.lines.at(-1)).toEqual({ type: "stopped", reason: "stop" });
    expect(sensor.stdout()).toBe("setup u\ncleanup\n");
  });

  test("waits with more than 64 events that are not acknowledged", async () => {
    const sensor = start(node, `{ async poll({ dispatch }) {
      await Promise.all(Array.from({ length: 100 }, (_, n) => dispatch("demo.seen", n))); console.log("all"); } }`,
      { poll_interval: 60 });
    await sensor.until((line) => line.seq === 64);
    await new Promise((done) => setTimeout(done, 50));
    expect(sensor.lines.at(-1).seq).toBe(64);
    for (let seq = 1; seq <= 100; ++seq) {
      await sensor.until((line) => line.seq === seq);
      sensor.send({ type: "ack", seq });
    }
    sensor.send({ type: "stop" });
    expect(await sensor.ended).toBe(0);
    expect(sensor.stdout()).toBe("all\n");
  });

  test("a refused event rejects its dispatch", async () => {
    const sensor = start(node, `{ async setup({ dispatch }) {
      await dispatch("demo.none", {}).catch((error) => console.log(error.message)); } , poll() {} }`);
    await sensor.until(ofType("event"));
    sensor.send({ type: "nack", seq: 1, error: "unknown trigger" });
    await sensor.until(ofType("ready"));
    sensor.send({ type: "stop" });
    await sensor.ended;
    expect(sensor.stdout()).toBe("trigger 'demo.none': unknown trigger\n");
  });

  test("knows its triggers and is told of changes", async () => {
    const sensor = start(node, `{ poll() {},
      changed({ triggers }) { console.log(triggers.map((t) => t.id + t.parameters.a).join()); } }`,
      { triggers: [{ id: "1", ref: "demo.seen", parameters: { a: "x" } }] });
    await sensor.until(ofType("ready"));
    const of = (id, a) => ({ id, ref: "demo.seen", parameters: { a } });
    sensor.send({ type: "trigger_added", trigger: of("2", "y") });
    sensor.send({ type: "trigger_updated", trigger: of("1", "z") });
    sensor.send({ type: "trigger_removed", trigger: of("2", "y") });
    sensor.send({ type: "stop" });
    await sensor.ended;
    expect(sensor.stdout()).toBe("1x,2y\n2y,1z\n1z\n");
  });

  test("without poll it lives by what setup has opened, and stops", async () => {
    const sensor = start(node, `{ setup({ signal }) {
      const timer = setInterval(() => {}, 1000); signal.onabort = () => console.log("aborted"); },
      cleanup() { console.log("cleanup"); } }`);
    await sensor.until(ofType("ready"));
    sensor.send({ type: "stop" });
    expect(await sensor.ended).toBe(0);
    expect(sensor.stdout()).toBe("aborted\ncleanup\n");
  });

  // name, the sensor, the exit code, the reason
  test.each([
    ["an error in poll", "{ poll() { throw new TypeError('no host'); } }", 1, "TypeError: no host"],
    ["an error in setup", "{ setup() { throw new Error('no'); }, poll() {} }", 1, "Error: no"],
    ["an unhandled rejection", "{ setup() { Promise.reject(new Error('lost')); }, poll() {} }", 1, "Error: lost"],
    ["process.exit", "{ poll() { process.exit(4); } }", 4, "exited"],
    ["nothing left to do", "{ setup() {} }", 0, "returned"],
  ])("ends and says why: %s", async (_, source, code, reason) => {
    const sensor = start(node, source);
    if (reason === "returned") sensor.child.stdin.end();
    expect(await sensor.ended).toBe(code);
    await sensor.until(ofType("stopped"));
    if (reason !== "returned") expect(sensor.lines.at(-1)).toEqual({ type: "stopped", reason });
  });

  test.each([["stdin at its end", (sensor) => sensor.child.stdin.end(), "stop"],
    ["SIGTERM", (sensor) => sensor.child.kill("SIGTERM"), "stop"],
    ["another config: it is started anew", (sensor) => sensor.send({ type: "config" }), "config"],
  ])("stops by %s", async (_, end, reason) => {
    const sensor = start(node, "{ poll() {} }", { poll_interval: 60 });
    await sensor.until(ofType("ready"));
    end(sensor);
    expect(await sensor.ended).toBe(0);
    expect(sensor.lines.at(-1)).toEqual({ type: "stopped", reason });
  });

  test("what does not end within its grace is ended", async () => {
    const sensor = start(node, "{ poll() { return new Promise(() => {}); } }", { grace_s: 0.1 });
    await sensor.until(ofType("ready"));
    sensor.send({ type: "stop" });
    expect(await sensor.ended).toBe(1);
    expect(sensor.stderr()).toContain("did not end within 0.1 s");
  });

  test("an action where a sensor is expected", async () => {
    const folder = pack({ "sensors/watch.js": "export default () => 1;" });
    const sensor = startSensor(node, { pack: "demo", pack_path: folder, entry_point: "watch.js" });
    expect(await sensor.ended).toBe(1);
    await sensor.until(ofType("stopped"));
    expect(sensor.lines.at(-1).reason).toMatch(/expected sensor\(\{\.\.\.\}\) as default export/);
  });
});
