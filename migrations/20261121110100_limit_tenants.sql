-- Billing adds the row, suspended and of generation 1, and marks it as deleted; every other column
-- is the operator's afterwards.
alter table tenants
    -- Null for those from before billing.
    add column niche text,
    add column created_at timestamptz not null default now(),
    -- Since when the desired state is `deleted`, which is final.
    add column deleted_at timestamptz;

update tenants set created_at = updated_at;

create index tenants_account on tenants (account_id);

-- A tenant more than the account may have is refused, also by transactions at the same time: each
-- counts with the account's row locked, and sees what the one before it committed.
create function check_agents() returns trigger language plpgsql as $$
declare
    allowed integer;
    present bigint;
begin
    select agents into allowed
    from accounts
    where id = new.account_id
    for no key update;

    select count(*) into present
    from tenants
    where account_id = new.account_id
        and deleted_at is null
        and id <> new.id;

    if present >= allowed then
        raise exception 'account % may have % tenants', new.account_id, allowed
            using errcode = 'check_violation', constraint = 'tenants_within_agents';
    end if;
    return new;
end
$$;

create trigger tenants_within_agents
before insert or update of account_id, deleted_at on tenants
for each row
when (new.deleted_at is null)
execute function check_agents();
