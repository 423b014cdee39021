// SPDX-License-Identifier: Apache-2.0
// bullmq_worker.mjs PORT LEDGER QUEUE...: the worker of these queues. Steps are the pattern of
// BullMQ's guide ("process step jobs"): each updates the data of the job.
import { Worker } from "bullmq";
import { appendFileSync } from "node:fs";

const [port, ledgerFile, ...queues] = process.argv.slice(2);

async function steps(job, last) {
  let { n, step = 0 } = job.data;
  while (step < 3) {
    n += 1;
    step += 1;
    if (step === 3) last?.();
    await job.updateData({ ...job.data, n, step });
  }
  return n;
}

const handlers = {
  empty: async () => 1,
  three: (job) => steps(job),
  recorded: (job) => steps(job, () => appendFileSync(ledgerFile, job.data.id + "\n")),
  join: async (job) => Object.keys(await job.getChildrenValues()).length,
  tick: async () => Date.now(),
};

for (const queue of queues) {
  new Worker(queue, (job) => handlers[job.name](job), {
    connection: { port: Number(port), host: "127.0.0.1" }, concurrency: 64,
  });
}
