-- What the outside world remembers. Everything a kill may interrupt is one transaction here.

-- What a body was given of somebody: `mark` tells whose it is, for the sandbox's own look at the truth. No body uses it.
CREATE TABLE IF NOT EXISTS record (
  body TEXT NOT NULL, ref TEXT NOT NULL, mark BLOB NOT NULL, categories TEXT NOT NULL, given_on TEXT NOT NULL, value TEXT,
  PRIMARY KEY (body, ref)
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS record_by_value ON record (body, value) WHERE value IS NOT NULL;
CREATE INDEX IF NOT EXISTS record_by_mark ON record (mark);

-- How many records of somebody a body has deleted.
CREATE TABLE IF NOT EXISTS forgotten (
  mark BLOB NOT NULL, body TEXT NOT NULL, records INTEGER NOT NULL, PRIMARY KEY (mark, body)
) WITHOUT ROWID;

-- Requests by OpenDSR. `asked` is what it was told, and is cleared once it has acted; `next_at`: when something happens.
CREATE TABLE IF NOT EXISTS request (
  body TEXT NOT NULL, id TEXT NOT NULL, status TEXT NOT NULL, received_at REAL NOT NULL, due_at REAL NOT NULL,
  next_at REAL NOT NULL, asked TEXT, callbacks TEXT NOT NULL, arrivals INTEGER NOT NULL DEFAULT 1, acts INTEGER NOT NULL DEFAULT 0,
  answers TEXT, results INTEGER,
  PRIMARY KEY (body, id)
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS request_open ON request (next_at) WHERE status IN ('pending', 'in_progress');

CREATE TABLE IF NOT EXISTS callback (
  number INTEGER PRIMARY KEY, body TEXT NOT NULL, request TEXT NOT NULL, url TEXT NOT NULL, said BLOB NOT NULL,
  tries INTEGER NOT NULL DEFAULT 0, next_at REAL, code INTEGER
);
CREATE INDEX IF NOT EXISTS callback_due ON callback (next_at) WHERE next_at IS NOT NULL;

-- Letters, as they arrived. `answered` holds what the body's people wrote back.
CREATE TABLE IF NOT EXISTS letter (
  number INTEGER PRIMARY KEY, body TEXT NOT NULL, sender TEXT NOT NULL, arrived_at REAL NOT NULL, raw BLOB NOT NULL,
  answered TEXT
);

-- Who may ask: SHA-256 of a body's token. And how each was told to behave; NULL is as by default.
CREATE TABLE IF NOT EXISTS admitted (body TEXT PRIMARY KEY, digest BLOB NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS behaviour (
  body TEXT PRIMARY KEY, door TEXT, manner TEXT, stance TEXT, seconds REAL
) WITHOUT ROWID;
-- How often each kind of call reached a body, for those that fail every other time and for tests.
CREATE TABLE IF NOT EXISTS call (
  body TEXT NOT NULL, kind TEXT NOT NULL, times INTEGER NOT NULL, PRIMARY KEY (body, kind)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS fact (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;

-- The partners' side: by whose signature each knows the company, what it asked of it, and what it was told.
CREATE TABLE IF NOT EXISTS acquainted (partner TEXT PRIMARY KEY, certificate BLOB NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS asking (
  partner TEXT NOT NULL, id TEXT NOT NULL, callback TEXT NOT NULL, asked_at REAL NOT NULL, PRIMARY KEY (partner, id)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS hearing (
  number INTEGER PRIMARY KEY, partner TEXT NOT NULL, request TEXT NOT NULL, status TEXT NOT NULL, said TEXT NOT NULL,
  why TEXT NOT NULL, heard_at REAL NOT NULL
);
