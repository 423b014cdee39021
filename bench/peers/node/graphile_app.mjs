// SPDX-License-Identifier: Apache-2.0
// graphile_app.mjs URL LEDGER: graphile-worker in the process of its application. A task has ended
// when its handler has: its row goes a moment later, and nothing tells when.
import { makeWorkerUtils, run } from "graphile-worker";
import { closedLoop, ledger, serve, Timers } from "./drive.mjs";

const [url, ledgerFile] = process.argv.slice(2);
const done = ledger(ledgerFile);
const timers = new Timers();
const waiting = new Map();
let ended = 0;
let number = 0;

const taskList = {
  empty: async ({ id }) => {
    const resolve = waiting.get(id);
    waiting.delete(id);
    resolve?.();
  },
  recorded: async ({ id }) => done(id),
  tick: async ({ i }) => timers.fired(i),
  later: async () => {
    ended++;
  },
};
const preset = {
  worker: {
    connectionString: url, maxPoolSize: 32, concurrentJobs: 64,
    logger: { error: console.error, warn() {}, info() {}, debug() {}, scope() { return this; } },
  },
};
const utils = await makeWorkerUtils({ preset });
await utils.migrate();
let runner;
const listen = async () => (runner ??= await run({ preset, taskList, noHandleSignals: true }));

await serve({
  listen: async () => {
    await listen();
  },
  load: (limits) =>
    closedLoop(limits, async () => {
      const id = number++;
      const reached = new Promise((resolve) => waiting.set(id, resolve));
      await utils.addJob("empty", { id });
      await reached;
    }),
  timers: (limits) =>
    timers.run(limits, (i, delay) =>
      utils.addJob("tick", { i }, { runAt: new Date(Date.now() + delay) })),
  fill: ({ count }) =>
    utils.withPgClient((client) =>
      client.query(
        `SELECT count(*) FROM graphile_worker.add_jobs(
           ARRAY(SELECT ('later', '{}', null, null, null, null, null, null)::graphile_worker.job_spec
                 FROM generate_series(1, $1::int)))`, [count])),
  ended: () => ({ ended }),
  accept: ({ first, count, in_flight }) =>
    closedLoop({ in_flight, count }, async (i) => {
      await utils.addJob("recorded", { id: `${first + i}` });
      console.log(JSON.stringify({ accepted: `${first + i}` }));
    }),
});
