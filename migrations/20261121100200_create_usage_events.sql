-- The ledger: a row for each admitted request, never changed. No prompt, no body, no address.
--
-- Partitions are months: version 7 UUIDs begin with their time, so the range of a month is a range
-- of ids, and the primary key is unique for ever rather than within a month. Partitions are made by
-- usage::ensure_partitions, since a migration must not depend on the clock.
--
-- No foreign keys: each would look up and lock a row of accounts, tenants and periods for every
-- event. usage::record locks each period of a batch once and checks the account there.
create table usage_events (
    request_id uuid primary key,
    -- The first 48 bits of the id are milliseconds after 1970.
    admitted_at timestamptz not null generated always as (
        to_timestamp(('x' || translate(left(request_id::text, 13), '-', ''))::bit(48)::bigint / 1000.0)
    ) stored,
    account_id text not null,
    tenant_id text not null,
    period_id bigint not null,
    model text not null,
    upstream text not null,
    input_tokens bigint not null,
    cached_input_tokens bigint not null,
    output_tokens bigint not null,
    reasoning_tokens bigint not null,
    charged_tokens bigint not null check (charged_tokens >= 0),
    excess_tokens bigint not null,
    cost_nano_usd bigint not null,
    outcome text not null,
    measured boolean not null,
    attempts integer not null,
    first_byte_at timestamptz,
    finished_at timestamptz not null
) partition by range (request_id);

-- For what a tenant consumed: ids are in the order of time, and name the months to look at.
create index usage_events_tenant on usage_events (tenant_id, request_id);

-- What came by the stream and cannot be a row of the ledger: kept for people, so that the rest goes
-- on.
create table usage_quarantine (
    stream_id text primary key,
    payload text not null,
    error text not null,
    at timestamptz not null default now()
);
