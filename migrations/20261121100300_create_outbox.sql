-- Messages to people, written in the transaction of what they tell of, and sent afterwards.
create table outbox (
    id bigint generated always as identity primary key,
    kind text not null,
    -- What happened once is told once, however often it is worked on.
    dedup_key text not null unique,
    account_id text not null references accounts,
    payload jsonb not null,
    created_at timestamptz not null default now(),
    delivered_at timestamptz
);
