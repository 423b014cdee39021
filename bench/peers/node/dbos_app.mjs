// SPDX-License-Identifier: Apache-2.0
// dbos_app.mjs URL LEDGER [--listen]: DBOS in the process of its application, as it is used.
// --listen: the queue `later` is worked off; else what is put into it waits.
import { DBOS } from "@dbos-inc/dbos-sdk";
import { enqueueWorkflows, prepareEnqueuedWorkflow } from "@dbos-inc/dbos-sdk/eventreceiver";
import { check, closedLoop, Countdown, ledger, serve, Timers } from "./drive.mjs";

const [url, ledgerFile, listen] = process.argv.slice(2);
const done = ledger(ledgerFile);
const timers = new Timers();
const drained = new Countdown();
let ended = 0;

const steps = async (n, last) => {
  const a = await DBOS.runStep(async () => n + 1, { name: "one" });
  const b = await DBOS.runStep(async () => a + 1, { name: "two" });
  return await DBOS.runStep(async () => last(b + 1), { name: "three" });
};
const workflow = (name, body) => DBOS.registerWorkflow(body, { name });
const empty = workflow("empty", async () => 1);
const three = workflow("three", (n) => steps(n, (value) => value));
const recorded = workflow("recorded", (id) => steps(1, (value) => (done(id), value)));
const fanSteps = workflow("fan_steps", async () => {
  const branches = Array.from({ length: 100 }, (_, i) =>
    DBOS.runStep(async () => 1, { name: `b${i}` }));
  return (await Promise.allSettled(branches)).length;
});
const fanCalls = workflow("fan_calls", async () => {
  const branches = [];
  for (let i = 0; i < 100; i++) branches.push(await DBOS.startWorkflow(empty)());
  return (await Promise.all(branches.map((branch) => branch.getResult()))).length;
});
const sleeper = workflow("sleeper", async (i, delay) => {
  await DBOS.sleepms(delay);
  timers.fired(i);
});
const later = workflow("later", async () => {
  ended++;
});

DBOS.setConfig({
  name: "peers", systemDatabaseUrl: url, systemDatabasePoolSize: 32, logLevel: "error",
  listenQueues: listen ? ["later"] : ["nobody"], applicationVersion: "1",
});
await DBOS.launch();
await DBOS.registerQueue("later", { workerConcurrency: 256, minPollingIntervalMs: 100 });

const works = {
  empty: async () => check(await empty(), 1),
  three: async () => check(await three(1), 4),
  fan_steps: async () => check(await fanSteps(), 100),
  fan_calls: async () => check(await fanCalls(), 100),
};

await serve({
  load: ({ work, ...limits }) => closedLoop(limits, works[work]),
  timers: (limits) => timers.run(limits, (i, delay) => DBOS.startWorkflow(sleeper)(i, delay)),
  fill: async ({ count }) => {
    for (let first = 0; first < count; first += 1000) {
      const some = Array.from({ length: Math.min(1000, count - first) }, (_, i) =>
        prepareEnqueuedWorkflow(later, [],
          { queueName: "later", workflowID: `waits-${first + i}` }));
      await enqueueWorkflows(await Promise.all(some));
    }
  },
  ended: () => ({ ended }),
  accept: ({ first, count, in_flight }) =>
    closedLoop({ in_flight, count }, async (i) => {
      await DBOS.startWorkflow(recorded)(`${first + i}`);
      console.log(JSON.stringify({ accepted: `${first + i}` }));
    }),
});
