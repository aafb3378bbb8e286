alter table accounts
    add column locale text not null default 'pt-BR',
    add column stripe_customer_id text,
    -- What people gave away: as good as a subscription of that tier.
    add column complimentary_tier text,
    -- When people last set aside a refund or a dispute: what came before does not suspend.
    add column cleared_at timestamptz,
    -- How many tenants there may be that are not deleted; null is any number. Billing writes it.
    add column agents integer check (agents >= 0),
    -- Raised by each review that is committed, and by whatever a running review must not miss.
    add column version bigint not null default 0,
    -- When billing looks again at the latest.
    add column review_at timestamptz,
    -- One worker reviews until then. Claiming sets review_at to the same, so that an account whose
    -- worker dies is due again, and an earlier review_at says that something came since.
    add column claimed_until timestamptz,
    -- Reviews that were given up in a row, and why the last one was.
    add column review_attempts integer not null default 0,
    add column review_error text;

-- Not plain `unique`: such a column's update would lock the row against the key-share locks that
-- inserting into referencing tables takes, so a review and the ledger could wait for each other.
create unique index accounts_stripe_customer on accounts (stripe_customer_id)
where stripe_customer_id is not null;

create index accounts_due on accounts (review_at)
where review_at is not null;

create table members (
    id uuid primary key,
    account_id text not null references accounts,
    email text not null unique check (email = lower(email)),
    role text not null check (role in ('owner', 'member', 'admin')),
    locale text not null,
    created_at timestamptz not null default now()
);

create index members_account on members (account_id);
