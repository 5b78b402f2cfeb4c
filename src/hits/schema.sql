-- hits.db, version 2: hits, the pictures of their plates, what officers made of them, what must be
-- kept, and what the broker still has to acknowledge.
-- SQLCipher, key derived from the device key, WAL, synchronous=FULL, secure_delete.

-- One read that is on a list. Written once, never changed.
CREATE TABLE hit (
    id          BLOB    NOT NULL PRIMARY KEY CHECK (length(id) = 16), -- ULID
    recorded_ms INTEGER NOT NULL,  -- wall clock, ms since 1970, when it was written
    report      BLOB    NOT NULL,  -- the JSON that leaves, byte for byte (uplink/wire.rs)
    detail      BLOB    NOT NULL   -- JSON that stays in the car: the entry's free text
) WITHOUT ROWID;

-- Pictures by digest: one that two hits share is kept once.
CREATE TABLE image (
    sha256 BLOB NOT NULL PRIMARY KEY CHECK (length(sha256) = 32),
    jpeg   BLOB NOT NULL
) WITHOUT ROWID;

-- Goes before its hit when pictures are kept for a shorter time; the report still names the digest.
-- 'context.jpg' is the vehicle around the plate: no report names it, and no message has it.
CREATE TABLE hit_image (
    hit    BLOB NOT NULL REFERENCES hit (id) ON DELETE CASCADE,
    name   TEXT NOT NULL,          -- 'plate.jpg'
    sha256 BLOB NOT NULL REFERENCES image (sha256),
    PRIMARY KEY (hit, name)
) WITHOUT ROWID;

CREATE INDEX hit_image_by_digest ON hit_image (sha256);

-- One message to deliver. Delivered means that its PUBACK was seen, and nothing less.
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

CREATE INDEX outbox_open ON outbox (state, seq) WHERE state != 2;

-- What an officer made of a hit: each step is a row, none is ever changed.
CREATE TABLE disposition (
    seq        INTEGER PRIMARY KEY AUTOINCREMENT,
    id         BLOB    NOT NULL UNIQUE CHECK (length(id) = 16), -- ULID
    hit        BLOB    NOT NULL REFERENCES hit (id) ON DELETE CASCADE,
    decided_ms INTEGER NOT NULL,  -- wall clock, ms since 1970
    report     BLOB    NOT NULL   -- the JSON that leaves, byte for byte (uplink/wire.rs)
);

CREATE INDEX disposition_by_hit ON disposition (hit, seq);

-- A hit that must be kept past its retention, with its pictures, because somebody says so.
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

-- The age clock: never goes back, whatever the wall clock does (uplink/outbox/age.rs).
CREATE TABLE age (
    one        INTEGER NOT NULL PRIMARY KEY CHECK (one = 1),
    boot       BLOB    NOT NULL CHECK (length(boot) = 16),
    boot_ms    INTEGER NOT NULL,  -- boot clock when last looked at
    wall_ms    INTEGER NOT NULL,  -- wall clock when last looked at
    highest_ms INTEGER NOT NULL,  -- latest that the wall clock has ever said
    age_ms     INTEGER NOT NULL   -- what the age clock then said
) WITHOUT ROWID;
