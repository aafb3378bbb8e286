-- The operator asks again and again for what has changed of late.
create index tenants_updated on tenants (updated_at);
