// SPDX-License-Identifier: Apache-2.0
// The resources of the client: which path, which query, which body.

/** @typedef {import("./index.js").Client} Client */
/** @typedef {import("./index.js").CallOptions} CallOptions */
/** @typedef {import("./index.js").KeyReadOptions} KeyReadOptions */
/** @typedef {import("./index.js").KeyWriteOptions} KeyWriteOptions */
/** @typedef {import("./index.js").RunOptions} RunOptions */

const part = encodeURIComponent;
// How long one question waits; longer waits ask again.
const WAIT_MS = 30_000;
const FINAL = ["succeeded", "failed", "timeout", "canceled", "abandoned"];

class Part {
  /** @param {Client} client */
  constructor(client) {
    this.client = client;
  }
}

export class Actions extends Part {
  /** @param {string} ref @param {CallOptions} [options] */
  get(ref, options) {
    return this.client.one("GET", `/actions/${part(ref)}`, options);
  }

  /** @param {{ pack?: string }} [filter] @param {CallOptions} [options] */
  list(filter, options) {
    return this.client.pages("/actions", filter, options);
  }
}

export class Events extends Part {
  /** @param {string} trigger @param {unknown} payload
   * @param {CallOptions & { id?: string, source?: string }} [options] */
  send(trigger, payload, { id = crypto.randomUUID(), source = "millrace-sdk", ...options } = {}) {
    const body = { specversion: "1.0", id, source, type: trigger, trigger, data: payload };
    const headers = { "content-type": "application/cloudevents+json" };
    return this.client.one("POST", "/events", { ...options, body, headers });
  }

  /** @param {string} id @param {CallOptions} [options] */
  get(id, options) {
    return this.client.one("GET", `/events/${part(id)}`, options);
  }

  /** @param {{ trigger?: string, sort?: string }} [filter] @param {CallOptions} [options] */
  list(filter, options) {
    return this.client.pages("/events", filter, options);
  }

  /** @param {string} id @param {CallOptions} [options] */
  replay(id, options) {
    return this.client.one("POST", `/events/${part(id)}/replay`, options);
  }
}

export class Executions extends Part {
  /** @param {string} action @param {Record<string, unknown>} [parameters] @param {RunOptions} [options] */
  async run(action, parameters = {}, options = {}) {
    const { waitMs = 0, env, priority, runTimeoutMs, ...rest } = options;
    const body = { action, parameters, env, priority, timeout_ms: runTimeoutMs };
    const started = await this.client.one("POST", "/executions", { ...rest, body });
    return waitMs ? this.wait(started.id, { ...rest, waitMs }) : started;
  }

  /** @param {string} id @param {CallOptions} [options] */
  get(id, options) {
    return this.client.one("GET", `/executions/${part(id)}`, options);
  }

  /** Once it is final, or when the time is over. @param {string} id
   * @param {CallOptions & { waitMs?: number }} [options] */
  async wait(id, { waitMs = Number.POSITIVE_INFINITY, ...options } = {}) {
    const end = Date.now() + waitMs;
    for (;;) {
      const left = Math.max(0, Math.min(WAIT_MS, end - Date.now()));
      const timeoutMs = left + (options.timeoutMs ?? 30_000);
      const query = left > 0 ? { wait: `${Math.ceil(left)}ms` } : undefined;
      const found = await this.client.one("GET", `/executions/${part(id)}`, {
        ...options,
        query,
        timeoutMs,
      });
      if (FINAL.includes(found.status) || Date.now() >= end) return found;
    }
  }

  /** @param {Record<string, unknown>} [filter] @param {CallOptions} [options] */
  list(filter, options) {
    return this.client.pages("/executions", filter, options);
  }

  /** @param {string} id @param {CallOptions} [options] */
  children(id, options) {
    return this.client.pages(`/executions/${part(id)}/children`, {}, options);
  }

  /** @param {string} id @param {CallOptions} [options] */
  result(id, options) {
    return this.client.request("GET", `/executions/${part(id)}/result`, options);
  }

  /** @param {string} id @param {{ stream?: string, from?: number }} [query] @param {CallOptions} [options] */
  output(id, query, options) {
    return this.client.one("GET", `/executions/${part(id)}/output`, { ...options, query });
  }

  /** @param {string} id @param {CallOptions} [options] */
  cancel(id, options) {
    return this.client.one("POST", `/executions/${part(id)}/cancel`, options);
  }

  /** @param {string} id @param {CallOptions} [options] */
  pause(id, options) {
    return this.client.one("POST", `/executions/${part(id)}/pause`, options);
  }

  /** @param {string} id @param {CallOptions} [options] */
  resume(id, options) {
    return this.client.one("POST", `/executions/${part(id)}/resume`, options);
  }

  /** @param {string} id @param {{ tasks?: string[], reset_items?: boolean }} [body] @param {CallOptions} [options] */
  rerun(id, body = {}, options) {
    return this.client.one("POST", `/executions/${part(id)}/rerun`, { ...options, body });
  }
}

export class Inquiries extends Part {
  /** @param {string} id @param {CallOptions} [options] */
  get(id, options) {
    return this.client.one("GET", `/inquiries/${part(id)}`, options);
  }

  /** @param {{ status?: string }} [filter] @param {CallOptions} [options] */
  list(filter, options) {
    return this.client.pages("/inquiries", filter, options);
  }

  /** @param {string} id @param {unknown} response @param {CallOptions} [options] */
  answer(id, response, options) {
    const body = { response };
    return this.client.one("POST", `/inquiries/${part(id)}/answer`, { ...options, body });
  }
}

export class Keys extends Part {
  /** @param {string} name @param {KeyReadOptions} [options] */
  async get(name, options) {
    const found = await this.find(name, options);
    return found ? found.value : null;
  }

  /** @param {string} name @param {KeyReadOptions} [options] */
  async find(name, { scope = "system", decrypt, ...options } = {}) {
    const path = await this.#path(scope, name);
    const query = decrypt ? { decrypt } : undefined;
    return orNone(this.client.one("GET", path, { ...options, query }));
  }

  /** @param {string} name @param {unknown} value @param {KeyWriteOptions} [options] */
  async set(name, value, { scope = "system", encrypted, ttlS, version, ...options } = {}) {
    const path = await this.#path(scope, name);
    const body = { value, encrypted, ttl_s: ttlS };
    /** @type {Record<string, string>} */
    const headers = {};
    if (version === 0) headers["if-none-match"] = "*";
    if (version) headers["if-match"] = `"${version}"`;
    return this.client.one("PUT", path, { ...options, body, headers });
  }

  /** @param {string} name @param {CallOptions & { scope?: string }} [options] */
  async delete(name, { scope = "system", ...options } = {}) {
    const path = await this.#path(scope, name);
    const gone = this.client.request("DELETE", path, options).then(() => true);
    return (await orNone(gone)) ?? false;
  }

  /** @param {CallOptions & { scope?: string, prefix?: string }} [options] */
  async *list({ scope, prefix = "", ...options } = {}) {
    const full = scope && (await this.#full(scope));
    for await (const key of this.client.pages("/keys", { scope: full }, options)) {
      if (key.name.startsWith(prefix)) yield key;
    }
  }

  /** @param {string} scope @param {string} name */
  async #path(scope, name) {
    return `/keys/${part(await this.#full(scope))}/${part(name)}`;
  }

  // `user` is one's own.
  /** @param {string} scope */
  async #full(scope) {
    if (scope !== "user") return scope;
    return `user:${(await this.client.identity()).identity}`;
  }
}

export class Rules extends Part {
  /** @param {string} ref @param {CallOptions} [options] */
  get(ref, options) {
    return this.client.one("GET", `/rules/${part(ref)}`, options);
  }

  /** @param {Record<string, unknown>} [filter] @param {CallOptions} [options] */
  list(filter, options) {
    return this.client.pages("/rules", filter, options);
  }

  /** @param {object} rule @param {CallOptions} [options] */
  create(rule, options) {
    return this.client.one("POST", "/rules", { ...options, body: rule });
  }

  /** @param {string} ref @param {object} rule @param {CallOptions & { revision?: number }} [options] */
  update(ref, rule, { revision, ...options } = {}) {
    const headers = revision ? { "if-match": `"${revision}"` } : undefined;
    return this.client.one("PUT", `/rules/${part(ref)}`, { ...options, body: rule, headers });
  }

  /** @param {string} ref @param {CallOptions} [options] */
  async delete(ref, options) {
    await this.client.request("DELETE", `/rules/${part(ref)}`, options);
  }

  /** @param {string} ref @param {CallOptions} [options] */
  enable(ref, options) {
    return this.client.one("POST", `/rules/${part(ref)}/enable`, options);
  }

  /** @param {string} ref @param {CallOptions} [options] */
  disable(ref, options) {
    return this.client.one("POST", `/rules/${part(ref)}/disable`, options);
  }
}

export class Webhooks extends Part {
  /** @param {string} name @param {CallOptions} [options] */
  get(name, options) {
    return this.client.one("GET", `/webhook-endpoints/${part(name)}`, options);
  }

  /** @param {CallOptions} [options] */
  list(options) {
    return this.client.pages("/webhook-endpoints", {}, options);
  }

  /** @param {object} endpoint @param {CallOptions} [options] */
  create(endpoint, options) {
    return this.client.one("POST", "/webhook-endpoints", { ...options, body: endpoint });
  }

  /** @param {string} name @param {object} endpoint @param {CallOptions} [options] */
  update(name, endpoint, options) {
    const path = `/webhook-endpoints/${part(name)}`;
    return this.client.one("PUT", path, { ...options, body: endpoint });
  }

  /** @param {string} name @param {CallOptions} [options] */
  async delete(name, options) {
    await this.client.request("DELETE", `/webhook-endpoints/${part(name)}`, options);
  }

  /** A delivery as its sender makes it; a text or bytes go as they are. @param {string} name
   * @param {unknown} body @param {CallOptions & { headers?: Record<string, string> }} [options] */
  deliver(name, body, options) {
    return this.client.one("POST", `/webhooks/${part(name)}`, { ...options, body });
  }
}

/** @template T @param {Promise<T>} asked @returns {Promise<T | null>} */
async function orNone(asked) {
  try {
    return await asked;
  } catch (error) {
    if (/** @type {any} */ (error)?.status === 404) return null;
    throw error;
  }
}
