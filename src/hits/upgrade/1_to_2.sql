-- hits.db from version 1 to 2: dispositions, legal holds, the age clock, messages for dispositions.
-- The statements are those of schema.sql, so that an upgraded schema is a fresh one, text and all.

DROP INDEX outbox_open;
ALTER TABLE outbox RENAME TO outbox_1;

CREATE TABLE outbox (
    seq      INTEGER PRIMARY KEY AUTOINCREMENT,  -- order of recording
    hit      BLOB    NOT NULL REFERENCES hit (id) ON DELETE CASCADE,
    kind     INTEGER NOT NULL,            -- 0 the hit's text, 1 plate.jpg, 2 a disposition
    part     INTEGER NOT NULL DEFAULT 0,  -- which disposition: its seq; else 0
    bytes    INTEGER NOT NULL,            -- size of the message on the wire, at most
    state    INTEGER NOT NULL DEFAULT 0,  -- 0 waiting, 1 sent, 2 acknowledged, 3 set aside
    attempts INTEGER NOT NULL DEFAULT 0,  -- times handed to the broker
    acked_ms INTEGER,                     -- when acknowledged, by the age clock
    note     TEXT,                        -- why it was set aside
    UNIQUE (hit, kind, part)
);

INSERT INTO outbox (seq, hit, kind, bytes, state, attempts, acked_ms, note)
    SELECT seq, hit, kind, bytes, state, attempts, acked_ms, note FROM outbox_1;
DROP TABLE outbox_1;

CREATE INDEX outbox_open ON outbox (state, seq) WHERE state != 2;

CREATE TABLE disposition (
    seq        INTEGER PRIMARY KEY AUTOINCREMENT,
    id         BLOB    NOT NULL UNIQUE CHECK (length(id) = 16), -- ULID
    hit        BLOB    NOT NULL REFERENCES hit (id) ON DELETE CASCADE,
    decided_ms INTEGER NOT NULL,  -- wall clock, ms since 1970
    report     BLOB    NOT NULL   -- the JSON that leaves, byte for byte (uplink/wire.rs)
);

CREATE INDEX disposition_by_hit ON disposition (hit, seq);

CREATE TABLE hold (
    seq         INTEGER PRIMARY KEY AUTOINCREMENT,
    hit         BLOB    NOT NULL REFERENCES hit (id) ON DELETE CASCADE,
    reason      TEXT    NOT NULL,
    author      TEXT    NOT NULL,
    placed_ms   INTEGER NOT NULL,  -- wall clock, ms since 1970
    until_ms    INTEGER NOT NULL,  -- it ends by itself then
    released_ms INTEGER,           -- when somebody ended it
    released_by TEXT
);

CREATE INDEX hold_by_hit ON hold (hit) WHERE released_ms IS NULL;

CREATE TABLE age (
    one        INTEGER NOT NULL PRIMARY KEY CHECK (one = 1),
    boot       BLOB    NOT NULL CHECK (length(boot) = 16),
    boot_ms    INTEGER NOT NULL,  -- boot clock when last looked at
    wall_ms    INTEGER NOT NULL,  -- wall clock when last looked at
    highest_ms INTEGER NOT NULL,  -- latest that the wall clock has ever said
    age_ms     INTEGER NOT NULL   -- what the age clock then said
) WITHOUT ROWID;
