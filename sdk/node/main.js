// SPDX-License-Identifier: Apache-2.0
// `node FOLDER`: one call. `node FOLDER --serve`: one call after another. `node FOLDER --sensor`.
// A mode is imported when it is asked for: a call pays for what it uses.
const mode = process.argv[2];
if (mode === "--serve") {
  const { serve } = await import("./src/serve.js");
  serve();
} else if (mode === "--sensor") {
  const { runSensor } = await import("./src/sensor_process.js");
  runSensor();
} else if (mode === undefined) {
  const { runOnce } = await import("./src/once.js");
  runOnce();
} else {
  process.stderr.write(`millrace: unknown mode '${mode}': expected none, --serve or --sensor\n`);
  process.exitCode = 2;
}
