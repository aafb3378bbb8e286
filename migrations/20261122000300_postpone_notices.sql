alter table outbox
    -- When it may be sent at the earliest, where it could not be sent before.
    add column retry_at timestamptz;
