-- The inbox. No payload: an event is a hint to read its object again, and payloads are personal
-- data.
create table stripe_events (
    -- Stripe's.
    id text primary key,
    type text not null,
    api_version text,
    object_id text,
    customer text,
    -- Null until somebody knows whose customer it is.
    account_id text references accounts,
    created_at timestamptz not null,
    received_at timestamptz not null,
    trace_id text not null,
    -- The trace of the review that was the answer to it; several events may share one.
    review_trace_id text,
    status text not null check (status in ('pending', 'done', 'ignored', 'quarantined')),
    -- How often its account was looked for in vain, when to try again, and what went wrong.
    attempts integer not null default 0,
    next_attempt_at timestamptz not null,
    error text,
    done_at timestamptz
);

-- What waits, by whom it is for; nulls are in it too.
create index stripe_events_pending on stripe_events (account_id, next_attempt_at)
where status = 'pending';

create index stripe_events_received on stripe_events (received_at);
create index stripe_events_account on stripe_events (account_id);
create index stripe_events_trace on stripe_events (trace_id);
