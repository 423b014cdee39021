-- Workflows and inquiries. The state of a workflow stands in pieces, so that a step writes only
-- what it has changed: one head row, and contexts, entries and errors by their position.

ALTER TABLE execution ADD COLUMN task TEXT NOT NULL DEFAULT '';
ALTER TABLE execution ADD COLUMN task_route BIGINT NOT NULL DEFAULT 0;
ALTER TABLE execution ADD COLUMN task_item BIGINT NOT NULL DEFAULT -1;

CREATE TABLE workflow (
  execution BIGINT_KEY PRIMARY KEY,
  tenant BIGINT NOT NULL,
  shard BIGINT NOT NULL,
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
