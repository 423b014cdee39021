// SPDX-License-Identifier: Apache-2.0
// The client and its types against api/openapi.yaml, which is generated from the server's routes.
import fs from "node:fs";
import path from "node:path";
import { describe, expect, test } from "vitest";
import { SDK } from "./support.js";

const sources = process.env.MILLRACE_SOURCES ?? path.join(SDK, "../..");
const api = fs.readFileSync(path.join(sources, "api/openapi.yaml"), "utf8");
const types = fs.readFileSync(path.join(SDK, "src/index.d.ts"), "utf8");
const resources = fs.readFileSync(path.join(SDK, "src/resources.js"), "utf8");

// The file is written in one form: paths at two blanks, methods at four; schemas at four, their
// properties at eight.
const paths = api.slice(api.indexOf("\npaths:"), api.indexOf("\ncomponents:"));
const routes = new Set();
let at = "";
for (const [, found, method] of paths.matchAll(/^ {2}"?(\/[^":]*)"?:$|^ {4}(get|put|post|delete):$/gm)) {
  if (found) at = found.replace(/\{\w+\}/g, "{}");
  else routes.add(`${method.toUpperCase()} ${at}`);
}
const propertiesOf = (schema) => {
  const begin = api.indexOf(`\n    ${schema}:\n`);
  const text = api.slice(begin + 1).split(/\n {4}\w/)[0];
  return [...text.matchAll(/^ {8}(\w+):/gm)].map(([, name]) => name);
};

const asked = [...resources.matchAll(/(?:one|request|pages)\((?:"(\w+)", )?(?:`([^`]+)`|"(\/[^"]*)")/g)]
  .map(([, method = "GET", template, plain]) =>
    `${method} /api/v1${(plain ?? template).replace(/\$\{part\(\w+\)\}/g, "{}")}`);

describe("api/openapi.yaml", () => {
  test("is read", () => {
    expect(routes.size).toBeGreaterThan(50);
    expect(asked.length).toBeGreaterThan(25);
  });

  test.each(asked)("has %s", (route) => expect(routes).toContain(route));

  test.each([
    ["Execution", "Execution"], ["ActionInfo", "Action"], ["ParameterInfo", "Parameter"], ["Event", "Event"],
    ["Accepted", "Accepted"], ["Inquiry", "Inquiry"], ["Key", "Key"], ["RuleInput", "RuleInput"], ["Use", "Use"],
    ["WebhookEndpoint", "WebhookEndpoint"], ["WebhookEndpointInput", "WebhookEndpointInput"],
    ["Output", "Output"], ["Identity", "Identity"],
  ])("%s has members of %s alone", (name, schema) => {
    const body = types.split(`export interface ${name} {`)[1].split("\n}")[0];
    const members = [...body.matchAll(/^ {2}(\w+)\??:/gm)].map(([, member]) => member);
    expect(members.length).toBeGreaterThan(0);
    expect(propertiesOf(schema)).toEqual(expect.arrayContaining(members));
  });
});
