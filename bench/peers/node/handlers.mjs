// SPDX-License-Identifier: Apache-2.0
// handlers.mjs PORT PROBE LEDGER: the warm process whose handlers Millrace calls by core.http.
import { createServer } from "node:http";
import { ledger, Probe } from "./drive.mjs";

const [port, probePort, ledgerFile] = process.argv.slice(2);
const done = ledger(ledgerFile);
const probe = new Probe(Number(probePort));

const handlers = {
  "/empty": () => ({}),
  "/step": ({ n }) => ({ n: n + 1 }),
  "/ledger": ({ id }) => (done(id), {}),
  "/tick": ({ i }) => (probe.tick(i), {}),
  "/gated": async () => (await probe.gate(), {}),
};

createServer({ keepAliveTimeout: 600_000 }, (request, response) => {
  const pieces = [];
  request.on("data", (piece) => pieces.push(piece));
  request.on("end", async () => {
    const text = Buffer.concat(pieces).toString();
    const answer = JSON.stringify(await handlers[request.url](text ? JSON.parse(text) : {}));
    response.writeHead(200, {
      "Content-Type": "application/json", "Content-Length": Buffer.byteLength(answer),
    });
    response.end(answer);
  });
}).listen(Number(port), "127.0.0.1");
