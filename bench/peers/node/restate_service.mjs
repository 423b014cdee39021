// SPDX-License-Identifier: Apache-2.0
// restate_service.mjs PORT PROBE LEDGER: the handlers that Restate calls.
import * as restate from "@restatedev/restate-sdk";
import { ledger, Probe } from "./drive.mjs";

const [port, probePort, ledgerFile] = process.argv.slice(2);
const done = ledger(ledgerFile);
const probe = new Probe(Number(probePort));

const steps = async (ctx, n, last) => {
  const a = await ctx.run("one", () => n + 1);
  const b = await ctx.run("two", () => a + 1);
  return await ctx.run("three", () => last(b + 1));
};

const work = restate.service({
  name: "work",
  handlers: {
    empty: async () => 1,
    three: (ctx, n) => steps(ctx, n, (value) => value),
    ledger: (ctx, id) => steps(ctx, 1, (value) => (done(id), value)),
    fan_steps: async (ctx) => {
      const branches = Array.from({ length: 100 }, (_, i) => ctx.run(`b${i}`, () => 1));
      return (await restate.RestatePromise.all(branches)).length;
    },
    fan_calls: async (ctx) => {
      const client = ctx.serviceClient({ name: "work" });
      const branches = Array.from({ length: 100 }, () => client.empty());
      return (await restate.RestatePromise.all(branches)).length;
    },
    tick: async (_, i) => probe.tick(i),
    gated: () => probe.gate(),
  },
});

restate.serve({ services: [work], port: Number(port) });
