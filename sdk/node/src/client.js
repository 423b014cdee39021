// SPDX-License-Identifier: Apache-2.0
// A client of Millrace's API on fetch. Its types stand in index.d.ts.
import { Actions, Events, Executions, Inquiries, Keys, Rules, Webhooks } from "./resources.js";

const PREFIX = "/api/v1";
// An answer that tells of an unknown outcome (503), or none, is asked for again, with the same key.
const TRIES = 3;
const PAUSE_MS = 200;

/** @type {typeof import("./index.js").ApiError} */
export const ApiError = class ApiError extends Error {
  /** @param {number} status @param {string} message @param {any} [problem] @param {unknown} [cause] */
  constructor(status, message, problem = {}, cause) {
    super(message, cause === undefined ? undefined : { cause });
    this.name = "ApiError";
    this.status = status;
    this.code = problem.code ?? "";
    this.kind = problem.kind ?? "";
    this.errors = problem.errors ?? [];
    this.requestId = problem.request_id ?? "";
  }
};

/** @type {typeof import("./index.js").Client} */
export const Client = class Client {
  #url;
  #token;
  #timeoutMs;
  #fetch;

  /** @param {import("./index.js").ClientOptions} [options] */
  constructor(options = {}) {
    const env = process.env;
    this.#url = serverOf(options.url ?? env.MILLRACE_API_URL ?? env.MILLRACE_URL ?? "");
    this.#token = options.token ?? env.MILLRACE_API_TOKEN ?? env.MILLRACE_TOKEN ?? "";
    this.#timeoutMs = options.timeoutMs ?? 60_000;
    this.#fetch = options.fetch ?? globalThis.fetch;
    this.actions = new Actions(this);
    this.events = new Events(this);
    this.executions = new Executions(this);
    this.inquiries = new Inquiries(this);
    this.keys = new Keys(this);
    this.rules = new Rules(this);
    this.webhooks = new Webhooks(this);
  }

  /** @param {import("./index.js").CallOptions} [options] */
  identity(options) {
    return this.one("GET", "/identity", options);
  }

  /** @param {string} method @param {string} path @param {import("./index.js").RequestOptions} [options] */
  async one(method, path, options) {
    const answer = /** @type {any} */ (await this.request(method, path, options));
    return answer?.data === undefined ? answer : answer.data;
  }

  /** @param {string} path @param {Record<string, unknown>} [query]
   * @param {import("./index.js").CallOptions} [options] @returns {AsyncGenerator<any>} */
  async *pages(path, query = {}, options = {}) {
    let cursor;
    do {
      const given = { limit: 500, ...query, cursor };
      const page = /** @type {any} */ (await this.request("GET", path, { ...options, query: given }));
      yield* page.data;
      cursor = page.next_cursor || undefined;
    } while (cursor);
  }

  /** @param {string} method @param {string} path @param {import("./index.js").RequestOptions} [options] */
  async request(method, path, options = {}) {
    if (!this.#url) throw new ApiError(0, "no server is known: MILLRACE_API_URL is not set");
    const url = `${this.#url}${PREFIX}${path}${queryOf(options.query)}`;
    const request = { method, headers: this.#headers(method, options), body: bodyOf(options.body) };
    const deadline = deadlineOf(options.timeoutMs ?? this.#timeoutMs, options.signal);
    for (let left = TRIES - 1; ; --left) {
      try {
        return await this.#once(url, request, deadline);
      } catch (error) {
        if (left === 0 || deadline.aborted || !mayRepeat(error)) {
          throw told(error, `${method} ${PREFIX}${path}`, deadline, options.signal);
        }
      }
      await new Promise((done) => setTimeout(done, PAUSE_MS));
    }
  }

  /** @param {string} url @param {any} request @param {AbortSignal} signal */
  async #once(url, request, signal) {
    // Not followed: the token goes to the server that was named, and nowhere else.
    const answer = await this.#fetch(url, { ...request, signal, redirect: "manual" });
    const decoded = decode(await answer.text());
    if (answer.ok) return decoded;
    const problem = typeof decoded === "object" && decoded ? decoded : { detail: decoded };
    const said = problem.detail || problem.title || answer.statusText || "no reason given";
    throw new ApiError(answer.status, said, problem);
  }

  /** @param {string} method @param {import("./index.js").RequestOptions} options */
  #headers(method, { headers, body, idempotencyKey }) {
    /** @type {Record<string, string>} */
    const all = { accept: "application/json" };
    if (this.#token) all.authorization = `Bearer ${this.#token}`;
    if (body !== undefined) all["content-type"] = "application/json";
    if (method !== "GET") all["idempotency-key"] = idempotencyKey ?? crypto.randomUUID();
    for (const [name, value] of Object.entries(headers ?? {})) all[name.toLowerCase()] = value;
    return all;
  }
};

// The server's root: "https://host/api/v1/" names the same one.
/** @param {string} url */
const serverOf = (url) => url.replace(/\/+$/, "").replace(/\/v1$/, "").replace(/\/api$/, "");

/** @param {Record<string, unknown> | undefined} query */
function queryOf(query) {
  const given = Object.entries(query ?? {}).filter(([, value]) => value !== undefined);
  const text = new URLSearchParams(given.map(([name, value]) => [name, String(value)])).toString();
  return text && `?${text}`;
}

/** @param {unknown} body */
function bodyOf(body) {
  if (body === undefined || typeof body === "string" || body instanceof Uint8Array) return body;
  return JSON.stringify(body);
}

/** @param {number} timeoutMs @param {AbortSignal} [signal] */
function deadlineOf(timeoutMs, signal) {
  const deadline = AbortSignal.timeout(timeoutMs);
  return signal ? AbortSignal.any([deadline, signal]) : deadline;
}

/** @param {string} text */
function decode(text) {
  try {
    return text ? JSON.parse(text) : null;
  } catch {
    return text;
  }
}

/** @param {unknown} error */
const mayRepeat = (error) => !(error instanceof ApiError) || error.status === 503;

/** The error as the caller gets it. @param {any} error @param {string} what
 * @param {AbortSignal} deadline @param {AbortSignal} [signal] */
function told(error, what, deadline, signal) {
  if (error instanceof ApiError) {
    error.message = `${what}: ${error.status} ${error.message}`;
    return error;
  }
  if (signal?.aborted) return signal.reason;
  const why = deadline.aborted ? "no answer in time" : (error?.cause?.message ?? error?.message);
  return new ApiError(0, `${what}: ${why}`, {}, error);
}
