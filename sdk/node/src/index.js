// SPDX-License-Identifier: Apache-2.0
// What a pack imports. Its types stand in index.d.ts.
export { ApiError, Client } from "./client.js";
export { Context } from "./context.js";
export { action, Failed, sensor } from "./kinds.js";
