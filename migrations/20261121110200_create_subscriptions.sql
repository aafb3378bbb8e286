-- What billing last read of a subscription, and what it decided. Stripe is the truth.
create table subscriptions (
    -- Stripe's.
    id text primary key,
    account_id text not null references accounts,
    -- In Stripe's words.
    status text not null,
    tier text not null,
    current_start timestamptz not null,
    current_end timestamptz not null check (current_end > current_start),
    cancel_at_period_end boolean not null,
    decided_state text not null check (decided_state in ('active', 'suspended', 'deleted')),
    past_due_since timestamptz,
    suspended_at timestamptz,
    delete_after timestamptz,
    ended_at timestamptz,
    updated_at timestamptz not null
);

create unique index subscriptions_one_active on subscriptions (account_id)
where ended_at is null;

create index subscriptions_account on subscriptions (account_id);
