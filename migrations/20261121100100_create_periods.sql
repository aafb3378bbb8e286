-- Equality beside ranges in one exclusion constraint.
create extension if not exists btree_gist;

create table periods (
    id bigint generated always as identity primary key,
    account_id text not null references accounts,
    starts_at timestamptz not null,
    ends_at timestamptz not null check (ends_at > starts_at),
    token_limit bigint not null check (token_limit >= 0),
    used_tokens bigint not null default 0 check (used_tokens >= 0),
    -- A request is charged to one period. It is also the index by account: an account has about
    -- twelve periods a year.
    constraint periods_do_not_overlap
        exclude using gist (account_id with =, tstzrange(starts_at, ends_at) with &&)
);
