// SPDX-License-Identifier: Apache-2.0
// bullmq_client.mjs PORT: who adds jobs and waits for their ends. It is the client: what it uses is
// not counted.
import { FlowProducer, Queue, QueueEvents } from "bullmq";
import { check, closedLoop, serve, Timers } from "./drive.mjs";

const connection = { port: Number(process.argv[2]), host: "127.0.0.1" };
const work = new Queue("work", { connection, defaultJobOptions: { removeOnComplete: true } });
const later = new Queue("later", { connection, defaultJobOptions: { removeOnComplete: true } });
const flows = new FlowProducer({ connection });
const ends = new QueueEvents("work", { connection });
await ends.waitUntilReady();

// Who waits for which job. A job's own waitUntilFinished asks Redis once more for each, and finds
// nothing when the job was removed meanwhile.
const waiting = new Map();
ends.on("completed", ({ jobId, returnvalue }) => {
  waiting.get(jobId)?.(returnvalue);
  waiting.delete(jobId);
});
ends.on("failed", ({ failedReason }) => {
  throw new Error(failedReason);
});
let number = 0;
const endOf = (jobId) => new Promise((resolve) => waiting.set(jobId, resolve));
const timers = new Timers();

async function call(name, data, expected) {
  const jobId = `job-${number++}`;
  const end = endOf(jobId);
  await work.add(name, data, { jobId });
  check(Number(await end), expected);
}
const works = {
  empty: () => call("empty", {}, 1),
  three: () => call("three", { n: 1 }, 4),
  fan_calls: async () => {
    const keep = { removeOnComplete: true };
    const jobId = `job-${number++}`;
    const end = endOf(jobId);
    const children = Array.from({ length: 100 }, () =>
      ({ name: "empty", queueName: "work", opts: keep }));
    await flows.add(
      { name: "join", queueName: "work", opts: { ...keep, jobId }, children });
    check(Number(await end), 100);
  },
};

await serve({
  load: ({ work, ...limits }) => closedLoop(limits, works[work]),
  timers: (limits) =>
    timers.run(limits, async (i, delay) => {
      const jobId = `job-${number++}`;
      endOf(jobId).then((at) => timers.fired(i, Number(at)));
      await work.add("tick", {}, { delay, jobId });
    }),
  fill: async ({ count }) => {
    for (let done = 0; done < count; done += 1000) {
      await later.addBulk(Array.from({ length: 1000 }, () => ({ name: "empty", data: {} })));
    }
  },
  left: async () => {
    const counts = await later.getJobCounts("wait", "active");
    return { left: counts.wait + counts.active };
  },
  accept: ({ first, count, in_flight }) =>
    closedLoop({ in_flight, count }, async (i) => {
      const id = `${first + i}`;
      await work.add("recorded", { n: 1, id });
      console.log(JSON.stringify({ accepted: id }));
    }),
});
