-- The first schema. Times are Unix milliseconds; ids are 63 bits and rise with time; enums are
-- the numbers of the C++ enums in kernel/rows.h and model/execution.h.
--
-- The tenant stands in every row. A table whose rows are found by a generated id has that id as its
-- key (ids are unique over tenants and rise: inserts stay at the end); one whose rows are found by a
-- name has the tenant first. Every other index begins with the tenant, and every statement binds it
-- (K10). The exceptions, each marked in its statement as /*every tenant: WORD*/:
--   start       what a server reads once, before it answers anybody: rules, webhooks, tokens, the
--               queue, the keys of the last events
--   numbering   ids and the change feed are numbered over all tenants
--   sweep       the kernel looks for what was left behind or is due or too old, and then acts tenant
--               by tenant: messages, outbox, timer_due, execution_ended, events, the feed,
--               quarantine, the indexes on `expires`
--   worker      a worker serves every tenant
--   backup      a set holds all of them
--   follow      what several servers tell each other: the feed, versions of catalogues
--   releases    what is open is looked at when a release comes or goes
--   doctor      reads the whole store
-- The order of a table's indexes counts (README.md, "Each statement has one index").
-- meta, shard, server and lease belong to no tenant; workers, and in quarantine the messages of the machine itself,
-- have 0 as theirs (README.md). `test_statements` (tests/contract) holds all of this against
-- the statements.

CREATE TABLE meta (
  name TEXT PRIMARY KEY,
  value TEXT NOT NULL
);

-- One owner per shard, a server by its node, or -1; every commit checks the epoch. An epoch is given
-- out once: whoever claims shards, or begins to serve the store, gets one above all others. With
-- SQLite one process claims all 64.
CREATE TABLE shard (
  shard INTEGER PRIMARY KEY,
  owner BIGINT NOT NULL,
  epoch BIGINT NOT NULL
);
CREATE INDEX shard_epoch ON shard (epoch);

-- The processes that serve the store. A node number is free again when its server is gone.
CREATE TABLE server (
  node INTEGER PRIMARY KEY,
  epoch BIGINT NOT NULL,
  name TEXT NOT NULL,
  home TEXT NOT NULL,
  roles TEXT NOT NULL,
  version TEXT NOT NULL,
  http TEXT NOT NULL,
  internal TEXT NOT NULL,
  config TEXT NOT NULL,
  draining BIGINT NOT NULL,
  since BIGINT NOT NULL,
  beat BIGINT NOT NULL,
  seen BIGINT NOT NULL
);
CREATE UNIQUE INDEX server_name ON server (name);

-- What one of the servers does alone, by name.
CREATE TABLE lease (
  name TEXT PRIMARY KEY,
  holder BIGINT NOT NULL,
  epoch BIGINT NOT NULL
);

CREATE TABLE dedupe (
  tenant BIGINT NOT NULL,
  scope TEXT NOT NULL,
  key TEXT NOT NULL,
  value TEXT NOT NULL,
  expires BIGINT NOT NULL,
  PRIMARY KEY (tenant, scope, key)
) /*norowid*/;
CREATE INDEX dedupe_expires ON dedupe (expires);

-- The keys of the last events in the order in which they came (store/recent_keys.h): in `dedupe`
-- each would cost its commit a page. With one writer only.
CREATE TABLE dedupe_recent (
  id BIGINT_KEY PRIMARY KEY,
  tenant BIGINT NOT NULL,
  scope TEXT NOT NULL,
  key TEXT NOT NULL,
  value TEXT NOT NULL,
  expires BIGINT NOT NULL
);

CREATE TABLE event (
  id BIGINT_KEY PRIMARY KEY,
  tenant BIGINT NOT NULL,
  event_trigger TEXT NOT NULL,
  source TEXT NOT NULL,
  source_id TEXT NOT NULL,
  type TEXT NOT NULL,
  trace TEXT NOT NULL,
  replay_of BIGINT NOT NULL,
  created BIGINT NOT NULL,
  chain BIGINT NOT NULL,
  trigger_parameters BYTES NOT NULL,
  payload BYTES NOT NULL
);
CREATE INDEX event_trigger_id ON event (tenant, event_trigger, id);

CREATE TABLE enforcement (
  id BIGINT_KEY PRIMARY KEY,
  tenant BIGINT NOT NULL,
  rule BIGINT NOT NULL,
  rule_ref TEXT NOT NULL,
  rule_revision BIGINT NOT NULL,
  event BIGINT NOT NULL,
  execution BIGINT NOT NULL,
  status BIGINT NOT NULL,
  error TEXT NOT NULL,
  created BIGINT NOT NULL,
  verdicts BYTES NOT NULL
);
CREATE INDEX enforcement_rule ON enforcement (tenant, rule, id);
CREATE INDEX enforcement_event ON enforcement (tenant, event, id);

CREATE TABLE execution (
  id BIGINT_KEY PRIMARY KEY,
  tenant BIGINT NOT NULL,
  shard INT NOT NULL,
  action TEXT NOT NULL,
  pack_release TEXT NOT NULL,
  status BIGINT NOT NULL,
  failure BIGINT NOT NULL,
  effect_class BIGINT NOT NULL,
  priority BIGINT NOT NULL,
  attempt BIGINT NOT NULL,
  epoch BIGINT NOT NULL,
  worker BIGINT NOT NULL,
  parent BIGINT NOT NULL,
  root BIGINT NOT NULL,
  enforcement BIGINT NOT NULL,
  original BIGINT NOT NULL,
  timeout_ms BIGINT NOT NULL,
  created BIGINT NOT NULL,
  updated BIGINT NOT NULL,
  started BIGINT NOT NULL,
  ended BIGINT NOT NULL,
  version BIGINT NOT NULL,
  requested_by TEXT NOT NULL,
  trace TEXT NOT NULL,
  held TEXT NOT NULL,
  parameters BYTES NOT NULL,
  defaults TEXT NOT NULL,
  env BYTES NOT NULL,
  needs TEXT NOT NULL,
  result BYTES NOT NULL,
  result_size BIGINT NOT NULL,
  task TEXT NOT NULL,
  task_route BIGINT NOT NULL,
  task_item BIGINT NOT NULL,
  limits TEXT NOT NULL,
  retries BIGINT NOT NULL
);
CREATE INDEX execution_action ON execution (tenant, action, id);
CREATE INDEX execution_parent ON execution (tenant, parent, id) WHERE parent <> 0;
CREATE INDEX execution_status ON execution (tenant, status, id);
-- Held because their release is not there: failure 8 is NoRelease.
CREATE INDEX execution_held ON execution (tenant, pack_release, id) WHERE failure = 8;
-- Trees that have ended, for retention: what must stay is not in it.
CREATE INDEX execution_ended ON execution (ended, id, shard, tenant) WHERE parent = 0 AND ended > 0;

CREATE TABLE queue (
  execution BIGINT_KEY PRIMARY KEY,
  tenant BIGINT NOT NULL,
  shard INT NOT NULL,
  queue_rank BIGINT NOT NULL,
  needs TEXT NOT NULL
);
CREATE INDEX queue_order ON queue (tenant, needs, queue_rank, execution, shard);

-- The output that stands in the completing transaction; above 64 KiB a segment file holds it.
CREATE TABLE output (
  execution BIGINT NOT NULL,
  attempt BIGINT NOT NULL,
  stream BIGINT NOT NULL,
  tenant BIGINT NOT NULL,
  size BIGINT NOT NULL,
  dropped BIGINT NOT NULL,
  file TEXT NOT NULL,
  bytes BYTES NOT NULL,
  PRIMARY KEY (execution, attempt, stream)
) /*norowid*/;

-- Results above 64 KiB: the execution's row only refers to them.
CREATE TABLE result_blob (
  execution BIGINT_KEY PRIMARY KEY,
  tenant BIGINT NOT NULL,
  bytes BYTES NOT NULL
);

CREATE TABLE message (
  id BIGINT_KEY PRIMARY KEY,
  tenant BIGINT NOT NULL,
  shard INT NOT NULL,
  kind BIGINT NOT NULL,
  subject BIGINT NOT NULL,
  created BIGINT NOT NULL,
  body BYTES NOT NULL
);
-- How runs of other servers' workers have ended, by execution.
CREATE INDEX message_end ON message (tenant, subject) WHERE kind = 3;

CREATE TABLE timer (
  id BIGINT_KEY PRIMARY KEY,
  tenant BIGINT NOT NULL,
  shard INT NOT NULL,
  due BIGINT NOT NULL,
  kind BIGINT NOT NULL,
  subject BIGINT NOT NULL,
  name TEXT NOT NULL,
  body BYTES NOT NULL
);
CREATE INDEX timer_due ON timer (due, id, shard, tenant);
CREATE INDEX timer_subject ON timer (tenant, subject) WHERE subject <> 0;
CREATE UNIQUE INDEX timer_name ON timer (tenant, name) WHERE name <> '';

CREATE TABLE outbox (
  id BIGINT_KEY PRIMARY KEY,
  tenant BIGINT NOT NULL,
  shard INT NOT NULL,
  destination BIGINT NOT NULL,
  subject BIGINT NOT NULL,
  created BIGINT NOT NULL,
  body BYTES NOT NULL
);

CREATE TABLE quarantine (
  id BIGINT_KEY PRIMARY KEY,
  tenant BIGINT NOT NULL,
  kind TEXT NOT NULL,
  subject BIGINT NOT NULL,
  reason TEXT NOT NULL,
  created BIGINT NOT NULL,
  body BYTES NOT NULL
);

-- Numbered in commit order when it is written, not by id. An index (tenant, seq) would cost each
-- commit a page; it comes when followers of one tenant must not walk the rows of another.
CREATE TABLE change_feed (
  seq BIGINT_KEY PRIMARY KEY,
  tenant BIGINT NOT NULL,
  entity_type BIGINT NOT NULL,
  op BIGINT NOT NULL,
  entity BIGINT NOT NULL,
  at BIGINT NOT NULL,
  detail TEXT NOT NULL
);

CREATE TABLE rule (
  id BIGINT NOT NULL,
  revision BIGINT NOT NULL,
  tenant BIGINT NOT NULL,
  ref TEXT NOT NULL,
  pack TEXT NOT NULL,
  enabled BIGINT NOT NULL,
  deleted BIGINT NOT NULL,
  created BIGINT NOT NULL,
  updated BIGINT NOT NULL,
  author TEXT NOT NULL,
  spec BYTES NOT NULL,
  override_of_file BYTES NOT NULL,
  PRIMARY KEY (id, revision)
) /*norowid*/;
CREATE INDEX rule_ref ON rule (tenant, ref, id, revision);
CREATE INDEX rule_updated ON rule (tenant, ref, updated, id, revision);

-- The version of a tenant's rules, endpoints and packs together.
CREATE TABLE catalog (
  tenant BIGINT NOT NULL,
  version BIGINT NOT NULL,
  paused TEXT NOT NULL,
  PRIMARY KEY (tenant)
);

CREATE TABLE webhook (
  id BIGINT_KEY PRIMARY KEY,
  tenant BIGINT NOT NULL,
  name TEXT NOT NULL,
  scheme TEXT NOT NULL,
  webhook_trigger TEXT NOT NULL,
  secrets TEXT NOT NULL,
  url TEXT NOT NULL,
  deleted BIGINT NOT NULL,
  created BIGINT NOT NULL,
  updated BIGINT NOT NULL,
  version BIGINT NOT NULL
);
CREATE UNIQUE INDEX webhook_name ON webhook (tenant, name) WHERE deleted = 0;

CREATE TABLE policy (
  id BIGINT_KEY PRIMARY KEY,
  tenant BIGINT NOT NULL,
  ref TEXT NOT NULL,
  enabled BIGINT NOT NULL,
  deleted BIGINT NOT NULL,
  created BIGINT NOT NULL,
  updated BIGINT NOT NULL,
  version BIGINT NOT NULL,
  spec BYTES NOT NULL
);
CREATE UNIQUE INDEX policy_ref ON policy (tenant, ref) WHERE deleted = 0;

-- What policies have counted, by limit and by the values of its parameters; whose places there are.
CREATE TABLE gauge (
  tenant BIGINT NOT NULL,
  name TEXT NOT NULL,
  version BIGINT NOT NULL,
  held BIGINT NOT NULL,
  waiting BIGINT NOT NULL,
  full_at_us BIGINT NOT NULL,
  quota_window BIGINT NOT NULL,
  used BIGINT NOT NULL,
  idle_at BIGINT NOT NULL,
  PRIMARY KEY (tenant, name)
) /*norowid*/;
CREATE INDEX gauge_waiting ON gauge (tenant, name) WHERE waiting > 0;
CREATE INDEX gauge_idle ON gauge (idle_at) WHERE held = 0 AND waiting = 0;

CREATE TABLE place (
  tenant BIGINT NOT NULL,
  gauge TEXT NOT NULL,
  execution BIGINT NOT NULL,
  root BIGINT NOT NULL,
  state BIGINT NOT NULL,
  place_rank BIGINT NOT NULL,
  PRIMARY KEY (tenant, gauge, execution)
) /*norowid*/;
CREATE INDEX place_rank ON place (tenant, gauge, state, place_rank, execution);

CREATE TABLE token (
  id BIGINT_KEY PRIMARY KEY,
  tenant BIGINT NOT NULL,
  hash TEXT NOT NULL,
  identity TEXT NOT NULL,
  permissions TEXT NOT NULL,
  execution BIGINT NOT NULL,
  created BIGINT NOT NULL,
  expires BIGINT NOT NULL
);
CREATE UNIQUE INDEX token_hash ON token (hash);
CREATE INDEX token_tenant ON token (tenant, id);

CREATE TABLE pack_release (
  tenant BIGINT NOT NULL,
  pack TEXT NOT NULL,
  digest TEXT NOT NULL,
  version TEXT NOT NULL,
  created BIGINT NOT NULL,
  state BIGINT NOT NULL,
  updated BIGINT NOT NULL,
  source TEXT NOT NULL,
  installer TEXT NOT NULL,
  PRIMARY KEY (tenant, pack, digest)
);

CREATE TABLE operation (
  id BIGINT_KEY PRIMARY KEY,
  tenant BIGINT NOT NULL,
  kind TEXT NOT NULL,
  subject TEXT NOT NULL,
  status BIGINT NOT NULL,
  progress TEXT NOT NULL,
  error_code TEXT NOT NULL,
  error TEXT NOT NULL,
  result TEXT NOT NULL,
  identity TEXT NOT NULL,
  server TEXT NOT NULL,
  created BIGINT NOT NULL,
  updated BIGINT NOT NULL
);

CREATE TABLE worker (
  id BIGINT_KEY PRIMARY KEY,
  tenant BIGINT NOT NULL,
  name TEXT NOT NULL,
  instance TEXT NOT NULL,
  slots BIGINT NOT NULL,
  updated BIGINT NOT NULL,
  home BIGINT NOT NULL,
  ttl_ms BIGINT NOT NULL,
  session BIGINT NOT NULL,
  labels TEXT NOT NULL,
  opening BIGINT NOT NULL,
  version BIGINT NOT NULL
);
CREATE UNIQUE INDEX worker_name ON worker (tenant, name);

-- The state of a workflow stands in pieces, so that a step writes only what it has changed: one head
-- row, and contexts, entries and errors by their position.
CREATE TABLE workflow (
  execution BIGINT_KEY PRIMARY KEY,
  tenant BIGINT NOT NULL,
  shard INT NOT NULL,
  version BIGINT NOT NULL,
  head BYTES NOT NULL
);

CREATE TABLE workflow_piece (
  workflow BIGINT NOT NULL,
  kind BIGINT NOT NULL,
  position BIGINT NOT NULL,
  tenant BIGINT NOT NULL,
  body BYTES NOT NULL,
  PRIMARY KEY (workflow, kind, position)
) /*norowid*/;

-- The newest execution of each task, or of each item of one. item is -1 for a task without items;
-- status is the conductor's, of an item only.
CREATE TABLE workflow_run (
  workflow BIGINT NOT NULL,
  task TEXT NOT NULL,
  route BIGINT NOT NULL,
  item BIGINT NOT NULL,
  tenant BIGINT NOT NULL,
  execution BIGINT NOT NULL,
  status BIGINT NOT NULL,
  PRIMARY KEY (workflow, task, route, item)
) /*norowid*/;

-- An inquiry has the id of the execution that asks.
CREATE TABLE inquiry (
  id BIGINT_KEY PRIMARY KEY,
  tenant BIGINT NOT NULL,
  status BIGINT NOT NULL,
  prompt TEXT NOT NULL,
  route TEXT NOT NULL,
  users TEXT NOT NULL,
  roles TEXT NOT NULL,
  expires BIGINT NOT NULL,
  created BIGINT NOT NULL,
  updated BIGINT NOT NULL,
  version BIGINT NOT NULL,
  responder TEXT NOT NULL,
  response_schema BYTES NOT NULL,
  response BYTES NOT NULL
);
CREATE INDEX inquiry_status ON inquiry (tenant, status, id);

-- The key store. value is JSON, or a sealed text when encrypted; expires 0 is never.

CREATE TABLE key_value (
  tenant BIGINT NOT NULL,
  scope TEXT NOT NULL,
  name TEXT NOT NULL,
  value BYTES NOT NULL,
  encrypted BIGINT NOT NULL,
  version BIGINT NOT NULL,
  expires BIGINT NOT NULL,
  created BIGINT NOT NULL,
  updated BIGINT NOT NULL,
  PRIMARY KEY (tenant, scope, name)
) /*norowid*/;
CREATE INDEX key_value_expires ON key_value (expires) WHERE expires > 0;
