// SPDX-License-Identifier: Apache-2.0
// Compiled, never run: what the types promise to an author.
import { type Action, ApiError, action, Client, Context, Failed, sensor } from "@millrace/sdk";

interface Greeting {
  name: string;
  loud?: boolean;
}

const greet = action(async ({ name, loud }: Greeting, { config, logger, signal, datastore, call }) => {
  logger.info("hello %s", name);
  await datastore.set("last", name, { ttlS: 60 });
  const last: string | null = await datastore.get<string>("last");
  const aborted: boolean = signal.aborted;
  return { text: loud ? name.toUpperCase() : name, last, aborted, id: call.id, key: config.key };
});
const checked: Action<Greeting, Promise<{ text: string }>> = greet;
await checked({ name: "x" }, new Context({ parameters: { name: "x" }, config: { key: 1 } }));

// @ts-expect-error: a number is no name
greet({ name: 7 });
// @ts-expect-error: no such member
action((_: Greeting, context) => context.nothing);
action(function* ({ name }: Greeting) {
  yield name;
});

export default sensor<{ url: string }>({
  pollIntervalMs: 1000,
  async poll({ config, dispatch, triggers, signal }) {
    const answer = await fetch(config.url, { signal });
    for (const each of triggers) await dispatch(each.ref, await answer.json(), { id: "1" });
  },
});
// @ts-expect-error: 'pol' is no part of a sensor
sensor({ pol() {} });

const client = new Client({ url: "http://127.0.0.1:1", timeoutMs: 1000 });
const execution = await client.executions.run("core.echo", { message: "hi" }, { waitMs: 1000 });
const status: "succeeded" | string = execution.status;
for await (const each of client.executions.list({ status: "failed" })) console.log(each.id, status);
// @ts-expect-error: no such status
client.executions.list({ status: "done" });
try {
  await client.rules.get("a.b");
} catch (error) {
  if (error instanceof ApiError) throw new Failed(error.code, { status: error.status });
}
