-- Who may talk to a tenant's agent, and where.
create table chats (
    tenant_id text not null references tenants,
    -- Telegram's.
    chat_id bigint not null,
    user_id bigint not null,
    locale text not null,
    bound_at timestamptz not null,
    primary key (tenant_id, chat_id)
);

-- What binds a chat to a tenant, once.
create table link_codes (
    -- SHA-256 of the code.
    hash bytea primary key,
    tenant_id text not null references tenants,
    expires_at timestamptz not null
);

create index link_codes_tenant on link_codes (tenant_id);
