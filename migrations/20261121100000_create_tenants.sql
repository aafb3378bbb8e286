create table accounts (
    id text primary key,
    created_at timestamptz not null default now()
);

-- What services must know of a tenant at run time. Its desired state is the file in git; the
-- operator alone writes this table, so the words are those of the release that wrote them, and the
-- reader, which knows its own, checks them.
create table tenants (
    id text primary key,
    account_id text not null references accounts,
    tier text not null,
    locale text not null,
    model text not null,
    thinking text not null,
    state text not null check (state in ('active', 'suspended')),
    -- A token of a lower generation is revoked.
    generation integer not null check (generation >= 1),
    updated_at timestamptz not null default now()
);
