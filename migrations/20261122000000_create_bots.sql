-- A line of updates for each tenant that has ever had a bot. Its numbers are never used twice,
-- whatever becomes of bots.
create table mailboxes (
    tenant_id text primary key references tenants,
    -- The number of the last update. Whoever adds updates locks the row, so that numbers become
    -- visible in their order.
    last_seq bigint not null default 0 check (last_seq >= 0)
);

-- What the pod knows a bot by: its gateway keeps what it has seen of a bot under this number.
create sequence bot_numbers;

-- The Telegram bots of tenants. The token is in secrets.
create table bots (
    tenant_id text primary key references mailboxes,
    number bigint not null unique,
    -- Telegram's.
    telegram_id bigint not null,
    username text not null,
    -- Where Telegram delivers, and the SHA-256 of what it proves itself by.
    webhook_path text not null,
    webhook_hash bytea not null,
    -- Raised by each change, so that a token that is kept in memory is known to be old.
    version bigint not null default 1,
    updated_at timestamptz not null default now(),
    constraint bots_telegram_id unique (telegram_id),
    constraint bots_webhook_path unique (webhook_path)
);
