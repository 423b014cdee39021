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
