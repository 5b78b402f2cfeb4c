-- hits.db: hits, the pictures of their plates, and what the broker still has to acknowledge.
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
    kind     INTEGER NOT NULL,            -- 0 the hit's text, 1 plate.jpg
    bytes    INTEGER NOT NULL,            -- size of the message on the wire, at most
    state    INTEGER NOT NULL DEFAULT 0,  -- 0 waiting, 1 sent, 2 acknowledged, 3 set aside
    attempts INTEGER NOT NULL DEFAULT 0,  -- times handed to the broker
    acked_ms INTEGER,                     -- wall clock, when acknowledged
    note     TEXT,                        -- why it was set aside
    UNIQUE (hit, kind)
);

CREATE INDEX outbox_open ON outbox (state, seq) WHERE state != 2;
