-- Changes of tenant files, for the one committer, in the order of their ids.
create table spec_changes (
    id bigint generated always as identity primary key,
    tenant_id text not null references tenants,
    -- From JSON pointers to values; null removes.
    edits jsonb not null check (jsonb_typeof(edits) = 'object'),
    -- The whole object to begin with where there is no file.
    base jsonb check (jsonb_typeof(base) = 'object'),
    reason text not null,
    author text not null,
    event_id text,
    trace_id text not null,
    created_at timestamptz not null,
    -- When and on which tip it was first tried: the commit may be there from then on, also if the
    -- answer was lost.
    attempted_at timestamptz,
    attempted_on text,
    status text not null default 'pending'
        check (status in ('pending', 'committed', 'unchanged', 'invalid')),
    commit text,
    error text,
    done_at timestamptz,
    check ((attempted_at is null) = (attempted_on is null)),
    check ((status = 'pending') = (done_at is null)),
    check ((status = 'committed') = (commit is not null)),
    check ((status = 'invalid') = (error is not null))
);

create index spec_changes_pending on spec_changes (id)
where status = 'pending';

create index spec_changes_tenant on spec_changes (tenant_id, id);
create index spec_changes_trace on spec_changes (trace_id);
