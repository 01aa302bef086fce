-- The output store of the nightly discount, format 2. A change here raises FORMAT in format.rs and adds a migration beside this file.
-- Times are UTC milliseconds; amounts are minor units of the currency; business dates are as in the command.

-- A job for one business day, with the parameters that decide its results. An execution with others is refused.
CREATE TABLE job_instances (
    instance_id   INTEGER PRIMARY KEY,
    job           TEXT NOT NULL,
    business_date TEXT NOT NULL,
    zone          TEXT NOT NULL,
    percent       TEXT NOT NULL,
    rounding      TEXT NOT NULL,
    UNIQUE (job, business_date)
) STRICT;

-- A run of an instance, with the parameters it ran with. Those of format 1 can differ from their instance's.
CREATE TABLE executions (
    execution_id INTEGER PRIMARY KEY,
    instance_id  INTEGER NOT NULL REFERENCES job_instances,
    read_store   TEXT NOT NULL,
    zone         TEXT NOT NULL,
    percent      TEXT NOT NULL,
    rounding     TEXT NOT NULL,
    started_at   INTEGER NOT NULL,
    ended_at     INTEGER,
    status       TEXT NOT NULL CHECK (status IN ('STARTED', 'COMPLETED', 'FAILED')),
    exit_message TEXT NOT NULL DEFAULT ''
) STRICT;

-- The counts of step `discount` are committed with each chunk, so a killed execution shows how far it came.
CREATE TABLE steps (
    execution_id            INTEGER NOT NULL REFERENCES executions,
    step                    TEXT NOT NULL CHECK (step IN ('discount', 'export')),
    read_count              INTEGER NOT NULL DEFAULT 0,
    write_count             INTEGER NOT NULL DEFAULT 0,
    doubled_skip_count      INTEGER NOT NULL DEFAULT 0,
    discounted_before_count INTEGER NOT NULL DEFAULT 0,
    conflict_count          INTEGER NOT NULL DEFAULT 0,
    settled_count           INTEGER NOT NULL DEFAULT 0,
    reject_count            INTEGER NOT NULL DEFAULT 0,
    commit_count            INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (execution_id, step)
) STRICT, WITHOUT ROWID;

-- The primary key: a number is discounted at most once per job. Its content (customer, time, amount, currency) tells a double,
-- which is skipped, from another invoice with the same number, which goes to `conflicts`.
CREATE TABLE discounts (
    job              TEXT NOT NULL,
    invoice_id       TEXT NOT NULL,
    instance_id      INTEGER NOT NULL REFERENCES job_instances,
    execution_id     INTEGER NOT NULL REFERENCES executions,
    customer_id      TEXT NOT NULL,
    issued_at        INTEGER NOT NULL,
    currency         TEXT NOT NULL,
    percent          TEXT NOT NULL,
    amount_minor     INTEGER NOT NULL,
    discount_minor   INTEGER NOT NULL,
    remaining_minor  INTEGER NOT NULL,
    source_partition INTEGER NOT NULL,
    source_offset    INTEGER NOT NULL,
    PRIMARY KEY (job, invoice_id),
    CHECK (discount_minor + remaining_minor = amount_minor)
) STRICT, WITHOUT ROWID;
CREATE INDEX discounts_by_instance ON discounts (instance_id, invoice_id);
CREATE INDEX discounts_by_customer ON discounts (customer_id, issued_at);

-- Invoices that are not discounted, because another one with their number and other content is in `discounts`. One row for each
-- different invoice, however often it is met. A person settles one by writing what was decided into `resolution`.
CREATE TABLE conflicts (
    conflict_id        INTEGER PRIMARY KEY,
    job                TEXT NOT NULL,
    invoice_id         TEXT NOT NULL,
    customer_id        TEXT NOT NULL,
    issued_at          INTEGER NOT NULL,
    amount_minor       INTEGER NOT NULL,
    currency           TEXT NOT NULL,
    instance_id        INTEGER NOT NULL REFERENCES job_instances,
    first_execution_id INTEGER NOT NULL REFERENCES executions,
    last_execution_id  INTEGER NOT NULL REFERENCES executions,
    source_partition   INTEGER NOT NULL,
    source_offset      INTEGER NOT NULL,
    resolution         TEXT,
    UNIQUE (job, invoice_id, customer_id, issued_at, amount_minor, currency)
) STRICT;
