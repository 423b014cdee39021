-- One more step that only adds (millrace_next): servers of the version before go on beside it.
ALTER TABLE execution ADD COLUMN next_note TEXT NOT NULL DEFAULT '';
CREATE TABLE next_notes (id INTEGER PRIMARY KEY, tenant INTEGER NOT NULL, note TEXT NOT NULL);
