-- The last healthy renderings of each tenant, of two revisions at most: what it stays on while a
-- rollout has not come to it, and what it is set back to when the next one is not healthy.
--
-- No foreign key: people's own tenants have no row in tenants.
create table renderings (
    tenant_id text not null,
    -- Of the renderer.
    revision text not null,
    -- The digests of the spec that was rendered, and of what came of it.
    spec text not null,
    digest text not null,
    objects bytea not null,
    stored_at timestamptz not null,
    primary key (tenant_id, revision)
);

-- The operator has compressed them.
alter table renderings alter column objects set storage external;
