-- How each revision came to the whole fleet, wave by wave.
create table rollouts (
    id bigint generated always as identity primary key,
    revision text not null,
    -- What it replaces.
    from_revision text,
    status text not null
        check (status in ('running', 'paused', 'done', 'rolled-back', 'aborted')),
    wave integer not null check (wave >= 0),
    -- When the wave began.
    wave_since timestamptz not null,
    -- Why the status is what it is, for people.
    reason text,
    started_at timestamptz not null,
    ended_at timestamptz,
    check ((ended_at is null) = (status in ('running', 'paused')))
);

create unique index rollouts_one_at_a_time on rollouts ((true))
where ended_at is null;
