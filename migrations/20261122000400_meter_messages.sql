-- Where the tier counts messages, so many in a period reach the agent; a few more are held until
-- there is room again and their writer says that they are to be answered.
alter table periods
    -- Null where they are not counted. Billing's, as the rest of the row.
    add column message_limit bigint check (message_limit >= 0);

-- The relay's: billing writes periods while messages come.
create table message_counts (
    -- A period that has not begun for billing may have for the relay.
    period_id bigint primary key references periods on delete cascade,
    used bigint not null check (used >= 0)
);

alter table updates
    -- The chat that it came from, while it waits for room: no offset of the pod's concerns it.
    add column held_for bigint,
    add check (held_for is null or ciphertext is not null);

create index updates_held on updates (tenant_id, held_for)
where held_for is not null;

-- Numbers of questions, so that an old one is known as such.
create sequence questions;

alter table chats
    -- Whether what is held is to be answered is asked by this number; null where it is not.
    add column question bigint,
    -- When it is asked again, since nobody knows whether it was; null once it was.
    add column ask_at timestamptz;

-- The counts of these accounts at that moment, where theirs are counted: locked, in one order, so
-- that what they say holds until the transaction ends, and none waits for one that waits for it.
create function lock_message_counts(accounts text[], at timestamptz)
returns table (account_id text, period_id bigint, message_limit bigint, used bigint)
language plpgsql as $$
#variable_conflict use_column
begin
    insert into message_counts (period_id, used)
    select id, 0
    from periods
    where account_id = any(accounts)
        and starts_at <= at
        and ends_at > at
        and message_limit is not null
    order by id
    on conflict do nothing;

    return query
    select account_id, period_id, message_limit, used
    from message_counts
    join periods on periods.id = period_id
    where account_id = any(accounts)
        and starts_at <= at
        and ends_at > at
        and message_limit is not null
    order by period_id
    for update of message_counts;
end
$$;

-- Whoever counts tells the marks that are reached, each once for a period.
create function tell_message_marks() returns trigger language plpgsql as $$
begin
    insert into outbox (kind, dedup_key, account_id, payload)
    select 'messages', 'messages:' || periods.id || ':' || percent, account_id,
        jsonb_build_object('period', periods.id, 'percent', percent)
    from periods
    cross join unnest(array[80, 90, 100]) as percent
    where periods.id = new.period_id
        and old.used::numeric * 100 < message_limit::numeric * percent
        and message_limit::numeric * percent <= new.used::numeric * 100
    order by percent
    on conflict do nothing;
    return null;
end
$$;

create trigger message_counts_marks
after update on message_counts
for each row execute function tell_message_marks();

drop function receive_updates(text[], bigint[], bigint[], bigint[], bytea[], bytea[], timestamptz);

-- Adds updates and gives those that are new: with a number of ours, unless they are refused. One call,
-- so that their mailboxes are locked for no longer than it takes to write them down; and not one
-- statement, since what is looked for after the locks has to be what others have committed before.
--
-- What has a chat is a message, and counted where messages are. Of those beyond the limit so many
-- are held for a tenant, and the others are refused.
create function receive_updates(
    tenants text[], numbers bigint[], update_ids bigint[], chats bigint[], data_keys bigint[],
    nonces bytea[], ciphertexts bytea[], at timestamptz, most_held bigint
) returns table (
    tenant_id text, number bigint, update_id bigint, seq bigint, counted boolean, held boolean
)
language plpgsql as $$
#variable_conflict use_column
declare
    payers text[];
    counts bigint[];
    rooms bigint[];
begin
    -- In one order, so that two never wait for each other.
    perform from mailboxes
    where tenant_id = any(tenants)
    order by tenant_id
    for no key update;

    -- After the mailboxes, by whoever locks both.
    payers := array(
        select account_id
        from unnest(tenants, chats) as message (tenant_id, chat)
        join tenants as tenant on tenant.id = message.tenant_id
        where chat is not null
    );
    select array_agg(account_id), array_agg(period_id), array_agg(message_limit - used)
    into payers, counts, rooms
    from lock_message_counts(payers, at);

    return query
    with incoming as (
        select distinct on (tenant_id, number, update_id) *
        from unnest(tenants, numbers, update_ids, chats, data_keys, nonces, ciphertexts)
            as incoming (tenant_id, number, update_id, chat, data_key, nonce, ciphertext)
        order by tenant_id, number, update_id
    ),
    fresh as (
        select incoming.*, last_seq, period_id, room,
            row_number() over (
                partition by period_id order by tenant_id, number, update_id
            ) as nth
        from incoming
        join mailboxes using (tenant_id)
        join tenants as tenant on tenant.id = tenant_id
        left join unnest(payers, counts, rooms) as payer (account_id, period_id, room)
            on payer.account_id = tenant.account_id and chat is not null
        where not exists (
            select from updates
            where updates.tenant_id = incoming.tenant_id
                and updates.number = incoming.number
                and updates.update_id = incoming.update_id
        )
    ),
    judged as (
        select *, coalesce(nth > room, false) as beyond
        from fresh
    ),
    placed as (
        select *,
            not beyond or most_held >= row_number() over (
                partition by tenant_id, beyond order by number, update_id
            ) + (
                select count(*)
                from updates
                where updates.tenant_id = judged.tenant_id
                    and held_for is not null
            ) as stored
        from judged
    ),
    numbered as (
        select *,
            case when stored then last_seq + row_number() over (
                partition by tenant_id, stored order by number, update_id
            ) end as seq
        from placed
    ),
    advanced as (
        update mailboxes
        set last_seq = newest.seq
        from (
            select tenant_id, max(seq) as seq from numbered where stored group by tenant_id
        ) as newest
        where mailboxes.tenant_id = newest.tenant_id
    ),
    charged as (
        update message_counts
        set used = used + added
        from (
            select period_id, count(*) as added
            from numbered
            where period_id is not null
                and not beyond
            group by period_id
        ) as charge
        where message_counts.period_id = charge.period_id
    ),
    inserted as (
        insert into updates
            (tenant_id, seq, number, update_id, received_at, data_key, nonce, ciphertext, held_for)
        select tenant_id, seq, number, update_id, at, data_key, nonce, ciphertext,
            case when beyond then chat end
        from numbered
        where stored
    )
    select tenant_id, number, update_id, seq, period_id is not null and not beyond, beyond
    from numbered;
end
$$;
