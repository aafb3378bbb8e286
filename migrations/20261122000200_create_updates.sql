-- Messages on their way to a pod. When the pod has confirmed one its content goes; the rest stays for
-- a while, so that one that Telegram delivers again is known.
create table updates (
    tenant_id text not null references mailboxes,
    -- Ours: what the pod knows it by.
    seq bigint not null,
    -- The bot's, and Telegram's.
    number bigint not null,
    update_id bigint not null,
    received_at timestamptz not null,
    confirmed_at timestamptz,
    -- Encrypted by a data key of the tenant.
    data_key bigint,
    nonce bytea,
    ciphertext bytea,
    primary key (tenant_id, seq),
    constraint updates_once unique (tenant_id, number, update_id),
    constraint updates_data_key foreign key (tenant_id, data_key) references data_keys (tenant_id, id),
    check ((ciphertext is null) = (data_key is null)),
    check ((ciphertext is null) = (nonce is null)),
    check ((ciphertext is null) = (confirmed_at is not null))
);

create index updates_waiting on updates (tenant_id, seq)
where ciphertext is not null;

create index updates_received on updates (received_at);

-- Nothing stays for long.
alter table updates set (autovacuum_vacuum_scale_factor = 0.05);

-- Adds updates and gives those that are new. One call, so that their mailboxes are locked for no
-- longer than it takes to write them down; and not one statement, since what is looked for after the
-- locks has to be what others have committed before.
create function receive_updates(
    tenants text[], numbers bigint[], update_ids bigint[], data_keys bigint[], nonces bytea[],
    ciphertexts bytea[], at timestamptz
) returns table (tenant_id text, number bigint, update_id bigint, seq bigint)
language plpgsql as $$
#variable_conflict use_column
begin
    -- In one order, so that two never wait for each other.
    perform from mailboxes
    where tenant_id = any(tenants)
    order by tenant_id
    for no key update;

    return query
    with incoming as (
        select distinct on (tenant_id, number, update_id) *
        from unnest(tenants, numbers, update_ids, data_keys, nonces, ciphertexts)
            as incoming (tenant_id, number, update_id, data_key, nonce, ciphertext)
        order by tenant_id, number, update_id
    ),
    fresh as (
        select incoming.*,
            last_seq + row_number() over (
                partition by tenant_id order by number, update_id
            ) as seq
        from incoming
        join mailboxes using (tenant_id)
        where not exists (
            select from updates
            where updates.tenant_id = incoming.tenant_id
                and updates.number = incoming.number
                and updates.update_id = incoming.update_id
        )
    ),
    counted as (
        update mailboxes
        set last_seq = newest.seq
        from (select tenant_id, max(seq) as seq from fresh group by tenant_id) as newest
        where mailboxes.tenant_id = newest.tenant_id
    )
    insert into updates
        (tenant_id, seq, number, update_id, received_at, data_key, nonce, ciphertext)
    select tenant_id, seq, number, update_id, at, data_key, nonce, ciphertext
    from fresh
    returning tenant_id, number, update_id, seq;
end
$$;
