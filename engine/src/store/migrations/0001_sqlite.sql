-- Times are microseconds since 1970 in UTC; `since_start` is nanoseconds of the monotonic clock.

CREATE TABLE autoscalebot_processes (
    id INTEGER PRIMARY KEY,
    name TEXT NOT NULL UNIQUE
);

-- A run of the program, and how far it came.
CREATE TABLE autoscalebot_runs (
    id INTEGER PRIMARY KEY,
    started_at BIGINT NOT NULL,
    program TEXT NOT NULL,
    last_at BIGINT NOT NULL,
    last_since_start BIGINT NOT NULL
);

-- What a process was decided by, and its settings as they may be shown.
CREATE TABLE autoscalebot_versions (
    id INTEGER PRIMARY KEY,
    process_id BIGINT NOT NULL,
    number BIGINT NOT NULL,
    at BIGINT NOT NULL,
    spec TEXT NOT NULL,
    settings TEXT NOT NULL,
    UNIQUE (process_id, number)
);

-- All that went into a tick and all that came out, so that it can be replayed.
CREATE TABLE autoscalebot_ticks (
    process_id BIGINT NOT NULL,
    run_id BIGINT NOT NULL,
    seq BIGINT NOT NULL,
    at BIGINT NOT NULL,
    version_id BIGINT NOT NULL,
    begins TEXT,
    state TEXT,
    input TEXT NOT NULL,
    outcome TEXT NOT NULL,
    settled TEXT,
    PRIMARY KEY (process_id, run_id, seq)
) WITHOUT ROWID;

-- Where a row of ticks begins that does not follow from what was before.
CREATE INDEX autoscalebot_beginnings ON autoscalebot_ticks (at) WHERE begins IS NOT NULL;

-- The same in short, for charts and for finding a tick by its time.
CREATE TABLE autoscalebot_decisions (
    process_id BIGINT NOT NULL,
    at BIGINT NOT NULL,
    run_id BIGINT NOT NULL,
    seq BIGINT NOT NULL,
    running BIGINT,
    wanted BIGINT,
    least BIGINT NOT NULL,
    most BIGINT NOT NULL,
    direction TEXT NOT NULL,
    reason_key TEXT NOT NULL,
    ordered BIGINT NOT NULL,
    PRIMARY KEY (process_id, at, run_id, seq)
) WITHOUT ROWID;

CREATE INDEX autoscalebot_orders ON autoscalebot_decisions (at) WHERE ordered = 1;

CREATE TABLE autoscalebot_samples (
    process_id BIGINT NOT NULL,
    signal BIGINT NOT NULL,
    at BIGINT NOT NULL,
    reading DOUBLE PRECISION,
    failure TEXT,
    PRIMARY KEY (process_id, signal, at)
) WITHOUT ROWID;

-- Five minutes each.
CREATE TABLE autoscalebot_decision_rollups (
    process_id BIGINT NOT NULL,
    at BIGINT NOT NULL,
    running BIGINT,
    wanted BIGINT,
    least BIGINT NOT NULL,
    most BIGINT NOT NULL,
    PRIMARY KEY (process_id, at)
) WITHOUT ROWID;

CREATE TABLE autoscalebot_sample_rollups (
    process_id BIGINT NOT NULL,
    signal BIGINT NOT NULL,
    at BIGINT NOT NULL,
    total DOUBLE PRECISION,
    readings BIGINT NOT NULL,
    lowest DOUBLE PRECISION,
    highest DOUBLE PRECISION,
    failures BIGINT NOT NULL,
    PRIMARY KEY (process_id, signal, at)
) WITHOUT ROWID;

CREATE TABLE autoscalebot_events (
    id INTEGER PRIMARY KEY,
    process_id BIGINT NOT NULL,
    at BIGINT NOT NULL,
    kind TEXT NOT NULL,
    severity TEXT NOT NULL,
    body TEXT NOT NULL
);

CREATE INDEX autoscalebot_events_of_process ON autoscalebot_events (process_id, at);
CREATE INDEX autoscalebot_events_by_time ON autoscalebot_events (at);

-- How far chores have come.
CREATE TABLE autoscalebot_chores (
    name TEXT PRIMARY KEY,
    at BIGINT NOT NULL
) WITHOUT ROWID;
