// SPDX-License-Identifier: Apache-2.0
// The types of @millrace/sdk. The JavaScript beside it is checked against them.

/** Marks a function as the action of its file. What it returns (or what its promise, or its generator,
 * gives) is the result; an error fails the run. */
export function action<P = Record<string, unknown>, R = unknown>(
  run: (parameters: P, context: Context<P>) => R,
): Action<P, R>;

/** Without a context, as in a unit test, an empty one is given. */
export type Action<P, R> = (parameters?: P, context?: Context<P>) => R;

/** The run has failed; `result` is kept beside the message. */
export class Failed extends Error {
  constructor(message: string, result?: unknown);
  result: unknown;
}

export interface Logger {
  debug(...said: unknown[]): void;
  info(...said: unknown[]): void;
  warn(...said: unknown[]): void;
  error(...said: unknown[]): void;
}

/** The run that the call belongs to; texts are empty where something does not apply. */
export interface CallInfo {
  id: string;
  action: string;
  pack: string;
  attempt: number;
  idempotencyKey: string;
  rule: string;
  trigger: string;
  /** Who asked for the run. */
  user: string;
  /** A folder: files in it are kept as the run's artifacts. */
  artifacts: string;
  traceparent: string;
}

/** What an action is given beside its parameters. A test makes one: new Context({ config: {...} }). */
export class Context<P = Record<string, unknown>, C = Record<string, any>> {
  constructor(order?: { action?: string; pack?: string; parameters?: P; config?: C; log_level?: string });
  parameters: P;
  config: C;
  call: CallInfo;
  logger: Logger;
  readonly client: Client;
  /** Keys of the pack. */
  readonly datastore: Datastore;
  /** Aborted when the run is canceled or out of time. Who asks for it ends in time by itself: the
   * process is killed after a grace. */
  readonly signal: AbortSignal;
}

export interface Datastore {
  get<T = any>(name: string, options?: KeyReadOptions): Promise<T | null>;
  set(name: string, value: unknown, options?: KeyWriteOptions): Promise<void>;
  /** Whether there was one. */
  delete(name: string, options?: { scope?: string }): Promise<boolean>;
  list(options?: { scope?: string; prefix?: string }): AsyncIterable<Key>;
}

export function sensor<C = Record<string, any>>(parts: SensorParts<C>): SensorParts<C>;

export interface SensorParts<C = Record<string, any>> {
  /** Once, before all else. Without `poll` it opens what events come from. */
  setup?(context: SensorContext<C>): unknown;
  /** Again and again, the interval between its end and its next begin. */
  poll?(context: SensorContext<C>): unknown;
  /** The context has other triggers. (With another config the process is started anew.) */
  changed?(context: SensorContext<C>): unknown;
  cleanup?(context: SensorContext<C>): unknown;
  /** Default: 30 s. What the sensor's file in the pack says comes first. */
  pollIntervalMs?: number;
}

/** A trigger that rules ask for, with their parameters. */
export interface TriggerInstance {
  id?: string;
  ref: string;
  /** The trigger that events are dispatched to, where it is not `ref`. */
  type?: string;
  parameters: Record<string, any>;
}

export interface SensorContext<C = Record<string, any>> {
  readonly config: C;
  readonly triggers: TriggerInstance[];
  readonly logger: Logger;
  readonly client: Client;
  readonly datastore: Datastore;
  /** Aborted when the sensor is to stop. */
  readonly signal: AbortSignal;
  /** Resolves when the server has the event, rejects when it was refused. Whoever waits for it cannot
   * overrun the server. `id` is the event's dedupe key: the same one again is no second event. */
  dispatch(trigger: string, payload?: unknown, options?: { id?: string; traceTag?: string }): Promise<Accepted>;
}

export interface ClientOptions {
  /** Default: MILLRACE_API_URL, then MILLRACE_URL. */
  url?: string;
  /** Default: MILLRACE_API_TOKEN, then MILLRACE_TOKEN. */
  token?: string;
  /** Of each request with its repeats. Default: 60 s. */
  timeoutMs?: number;
  fetch?: typeof globalThis.fetch;
}

export interface CallOptions {
  timeoutMs?: number;
  signal?: AbortSignal;
  /** Of a write: the same key again does nothing more. Default: a new one. */
  idempotencyKey?: string;
}

export interface RequestOptions extends CallOptions {
  query?: Record<string, unknown>;
  body?: unknown;
  headers?: Record<string, string>;
}

export interface KeyReadOptions extends CallOptions {
  /** system, user (one's own), user:NAME, pack:REF, action:REF, sensor:REF. */
  scope?: string;
  /** The value in clear; needs keys:decrypt. */
  decrypt?: boolean;
}

export interface KeyWriteOptions extends CallOptions {
  scope?: string;
  encrypted?: boolean;
  ttlS?: number;
  /** Only over this version; 0: only if there is none. */
  version?: number;
}

export interface RunOptions extends CallOptions {
  /** Waits until it is final, at most so long. */
  waitMs?: number;
  env?: Record<string, string>;
  priority?: "critical" | "high" | "normal" | "low";
  runTimeoutMs?: number;
}

export type List<T> = AsyncGenerator<T, void, void>;

export class Client {
  constructor(options?: ClientOptions);
  actions: {
    get(ref: string, options?: CallOptions): Promise<ActionInfo>;
    list(filter?: { pack?: string }, options?: CallOptions): List<ActionInfo>;
  };
  events: {
    /** `id` is the event's dedupe key within its source. */
    send(trigger: string, payload: unknown,
      options?: CallOptions & { id?: string; source?: string }): Promise<Accepted>;
    get(id: string, options?: CallOptions): Promise<Event>;
    list(filter?: { trigger?: string; sort?: "created" | "-created" }, options?: CallOptions): List<Event>;
    replay(id: string, options?: CallOptions): Promise<Accepted>;
  };
  executions: {
    run(action: string, parameters?: Record<string, unknown>, options?: RunOptions): Promise<Execution>;
    get(id: string, options?: CallOptions): Promise<Execution>;
    /** Once it is final, or when the time is over. */
    wait(id: string, options?: CallOptions & { waitMs?: number }): Promise<Execution>;
    list(filter?: ExecutionFilter, options?: CallOptions): List<Execution>;
    children(id: string, options?: CallOptions): List<Execution>;
    /** The whole result, however large. */
    result<T = any>(id: string, options?: CallOptions): Promise<T>;
    output(id: string, query?: { stream?: "stdout" | "stderr"; from?: number },
      options?: CallOptions): Promise<Output>;
    cancel(id: string, options?: CallOptions): Promise<Execution>;
    pause(id: string, options?: CallOptions): Promise<Execution>;
    resume(id: string, options?: CallOptions): Promise<Execution>;
    rerun(id: string, what?: { tasks?: string[]; reset_items?: boolean },
      options?: CallOptions): Promise<Execution>;
  };
  inquiries: {
    get(id: string, options?: CallOptions): Promise<Inquiry>;
    list(filter?: { status?: Inquiry["status"] }, options?: CallOptions): List<Inquiry>;
    answer(id: string, response: unknown, options?: CallOptions): Promise<Inquiry>;
  };
  keys: {
    get<T = any>(name: string, options?: KeyReadOptions): Promise<T | null>;
    find(name: string, options?: KeyReadOptions): Promise<Key | null>;
    set(name: string, value: unknown, options?: KeyWriteOptions): Promise<Key>;
    delete(name: string, options?: CallOptions & { scope?: string }): Promise<boolean>;
    list(options?: CallOptions & { scope?: string; prefix?: string }): List<Key>;
  };
  rules: {
    get(ref: string, options?: CallOptions): Promise<Rule>;
    list(filter?: { trigger?: string; action?: string; pack?: string; enabled?: boolean },
      options?: CallOptions): List<Rule>;
    create(rule: RuleInput, options?: CallOptions): Promise<Rule>;
    /** With `revision` only over that one. */
    update(ref: string, rule: RuleInput, options?: CallOptions & { revision?: number }): Promise<Rule>;
    delete(ref: string, options?: CallOptions): Promise<void>;
    enable(ref: string, options?: CallOptions): Promise<Rule>;
    disable(ref: string, options?: CallOptions): Promise<Rule>;
  };
  webhooks: {
    get(name: string, options?: CallOptions): Promise<WebhookEndpoint>;
    list(options?: CallOptions): List<WebhookEndpoint>;
    create(endpoint: WebhookEndpointInput, options?: CallOptions): Promise<WebhookEndpoint>;
    update(name: string, endpoint: WebhookEndpointInput, options?: CallOptions): Promise<WebhookEndpoint>;
    delete(name: string, options?: CallOptions): Promise<void>;
    /** As the sender does it; a text or bytes go as they are. */
    deliver(name: string, body: unknown,
      options?: CallOptions & { headers?: Record<string, string> }): Promise<Accepted>;
  };
  /** Who the token belongs to. */
  identity(options?: CallOptions): Promise<Identity>;
  /** The decoded answer. `path` stands below /api/v1. */
  request(method: string, path: string, options?: RequestOptions): Promise<any>;
  /** The object of an answer {data}. */
  one(method: string, path: string, options?: RequestOptions): Promise<any>;
  /** All entries of a list, page by page. */
  pages(path: string, query?: Record<string, unknown>, options?: CallOptions): List<any>;
}

/** What the server has not done (RFC 9457), or, with status 0, that there was no answer. */
export class ApiError extends Error {
  constructor(status: number, message: string, problem?: object, cause?: unknown);
  status: number;
  /** Stable, for example EXE-0012; docs/errors has a page of each. */
  code: string;
  kind: string;
  errors: { path: string; message: string }[];
  requestId: string;
}

export type Status = "requested" | "delayed" | "scheduled" | "running" | "pending" | "pausing" | "paused"
  | "resuming" | "canceling" | "needs_decision" | "succeeded" | "failed" | "timeout" | "canceled"
  | "abandoned";

export interface ExecutionFilter {
  status?: Status;
  action?: string;
  parent?: string;
  open?: boolean;
  sort?: "created" | "-created";
}

export interface Execution {
  id: string;
  action: string;
  release: string;
  status: Status;
  failure: string;
  held?: string;
  effect_class: string;
  priority: string;
  attempt: number;
  parent?: string;
  root?: string;
  enforcement?: string;
  original?: string;
  task?: string;
  timeout_ms: number;
  created: string;
  updated: string;
  started?: string;
  ended?: string;
  duration_ms?: number;
  identity?: string;
  trace?: string;
  parameters?: Record<string, any>;
  env?: Record<string, string>;
  result?: any;
  result_error?: string;
  result_size?: number;
}

export interface ActionInfo {
  ref: string;
  pack: string;
  description: string;
  runner_type: string;
  runtime: string;
  enabled: boolean;
  timeout_ms: number;
  effect_class: string;
  parameters: ParameterInfo[];
  output_schema?: any;
  permissions: string[];
}

export interface ParameterInfo {
  name: string;
  description: string;
  required: boolean;
  secret: boolean;
  immutable: boolean;
  position?: number;
  default?: any;
  schema?: any;
}

export interface Event {
  id: string;
  trigger: string;
  source: string;
  source_id: string;
  type: string;
  replay_of?: string;
  trace?: string;
  created: string;
  trigger_parameters?: Record<string, any>;
  payload?: any;
}

export interface Accepted {
  event: string;
  /** It was there before: nothing was stored. */
  duplicate: boolean;
}

export interface Inquiry {
  id: string;
  execution: string;
  status: "pending" | "answered" | "expired" | "canceled";
  prompt: string;
  route?: string;
  users?: string[];
  roles?: string[];
  schema?: any;
  expires?: string;
  response?: any;
  responder?: string;
  created: string;
  updated: string;
}

export interface Key {
  scope: string;
  name: string;
  value: any;
  encrypted: boolean;
  version: number;
  expires?: string;
  created: string;
  updated: string;
}

export interface Use {
  ref: string;
  parameters?: Record<string, any>;
}

export interface RuleInput {
  ref?: string;
  description?: string;
  enabled?: boolean;
  type?: "standard" | "backstop";
  trigger: Use;
  criteria?: any;
  action: Use;
  trace_tag?: string;
}

export interface Rule extends RuleInput {
  id: string;
  ref: string;
  revision: number;
  enabled: boolean;
  pack?: string;
  created: string;
  updated: string;
}

export interface WebhookEndpointInput {
  name?: string;
  scheme: string;
  trigger?: string;
  secrets?: string[];
}

export interface WebhookEndpoint {
  id: string;
  name: string;
  scheme: string;
  trigger: string;
  path: string;
  has_secret: boolean;
  version: number;
  created: string;
  updated: string;
}

export interface Output {
  execution: string;
  stream: "stdout" | "stderr";
  from: number;
  next: number;
  encoding: "utf-8" | "base64";
  data: string;
  size: number;
  dropped: number;
  complete: boolean;
}

export interface Identity {
  identity: string;
  tenant: string;
  permissions: string[];
  roles: string[];
  execution?: string;
}
