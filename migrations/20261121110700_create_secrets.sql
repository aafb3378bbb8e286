-- Keys of tenants, each encrypted by a key of the services' key file (kek_id says which one).
create table data_keys (
    tenant_id text not null references tenants,
    id bigint not null,
    kek_id text not null,
    -- Nonce, ciphertext, tag.
    wrapped bytea not null,
    primary key (tenant_id, id)
);

create index data_keys_kek on data_keys (kek_id);

create table secrets (
    tenant_id text not null,
    name text not null,
    data_key bigint not null,
    nonce bytea not null,
    ciphertext bytea not null,
    updated_at timestamptz not null default now(),
    primary key (tenant_id, name),
    foreign key (tenant_id, data_key) references data_keys (tenant_id, id)
);
