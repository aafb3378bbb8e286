alter table outbox
    -- When it was last known to be true; null is true for ever.
    add column confirmed_at timestamptz,
    -- Since when it is not true any more; it is not sent then.
    add column withdrawn_at timestamptz,
    -- By account, so that none takes another's key; it is the index by account too.
    drop constraint outbox_dedup_key_key,
    add constraint outbox_told_once unique (account_id, dedup_key);

create index outbox_waiting on outbox (id)
where delivered_at is null and withdrawn_at is null;
