-- Who did what, for ever. Ids alone: nothing personal goes in, so nothing ever has to go out.
--
-- No foreign keys: it outlives what it tells of.
create table audit_log (
    id bigint generated always as identity primary key,
    at timestamptz not null,
    actor text not null,
    action text not null,
    account_id text,
    tenant_id text,
    trace_id text,
    details jsonb not null
);

create index audit_log_account on audit_log (account_id, id);
create index audit_log_trace on audit_log (trace_id);

create function refuse_change() returns trigger language plpgsql as $$
begin
    raise exception '% is append-only', tg_table_name using errcode = 'restrict_violation';
end
$$;

create trigger audit_log_append_only
before update or delete or truncate on audit_log
for each statement
execute function refuse_change();
