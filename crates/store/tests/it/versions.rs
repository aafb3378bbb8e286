//! A database of every earlier release becomes the one that this release makes.

use oc_store::{migrations, usage};
use oc_testkit::Postgres;

use crate::support::{connect, now, sql};

/// What stands in the tables that a migration has made, as its release wrote it.
const ROWS: [&str; 21] = [
    "insert into accounts (id) values ('a-1'), ('a-2');
    insert into tenants (id, account_id, tier, locale, model, thinking, state, generation, updated_at)
    values ('c-1', 'a-1', 'pro', 'pt-BR', 'kimi-coding/k2p5', 'low', 'active', 3, '2026-01-01'),
        ('c-2', 'a-1', 'pro', 'en', 'kimi-coding/k2p5', 'low', 'suspended', 1, '2026-01-01')",
    "insert into periods (account_id, starts_at, ends_at, token_limit, used_tokens)
    values ('a-1', '2026-10-01', '2026-11-01', 10, 10), ('a-1', '2026-11-01', '2026-12-01', 10, 3)",
    "insert into usage_quarantine (stream_id, payload, error) values ('1-0', '{', '?')",
    "insert into outbox (kind, dedup_key, account_id, payload, delivered_at)
    values ('quota', 'quota:1:80', 'a-1', '{}', now()), ('quota', 'quota:1:90', 'a-1', '{}', null)",
    "insert into members (id, account_id, email, role, locale)
    values ('00000000-0000-7000-8000-000000000001', 'a-1', 'ana@example.com', 'owner', 'pt-BR');
    update accounts set stripe_customer_id = 'cus_1', agents = 3, review_at = now() where id = 'a-1'",
    "insert into tenants (id, account_id, tier, locale, model, thinking, state, generation, niche)
    values ('c-3', 'a-1', 'pro', 'en', 'kimi-coding/k2p5', 'low', 'suspended', 1, 'pharmacy')",
    "insert into subscriptions
    values ('sub_1', 'a-1', 'active', 'pro', '2026-11-01', '2026-12-01', false, 'active', null,
        null, null, null, now())",
    "insert into stripe_events
        (id, type, account_id, created_at, received_at, trace_id, status, next_attempt_at)
    values ('evt_1', 'invoice.paid', 'a-1', now(), now(), 't', 'pending', now())",
    "insert into spec_changes (tenant_id, edits, reason, author, trace_id, created_at)
    values ('c-1', '{}', 'paid', 'billing', 't', now())",
    "insert into outbox (kind, dedup_key, account_id, payload, confirmed_at)
    values ('welcome', 'quota:1:80', 'a-2', '{}', now())",
    "insert into audit_log (at, actor, action, details) values (now(), 'billing', 'x', '{}')",
    "insert into data_keys values ('c-1', 1, 'k', 'x');
    insert into secrets values ('c-1', 'bot', 1, 'x', 'x')",
    "insert into accounts (id) values ('a-3')",
    "insert into renderings values ('c-1', 'r', 's', 'd', 'x', now())",
    "insert into rollouts (revision, status, wave, wave_since, started_at, ended_at)
    values ('r1', 'rolled-back', 2, now(), now(), now()), ('r2', 'running', 0, now(), now(), null)",
    "insert into mailboxes values ('c-1', 7);
    insert into bots (tenant_id, number, telegram_id, username, webhook_path, webhook_hash)
    values ('c-1', nextval('bot_numbers'), 42, 'one_bot', 'path', 'x')",
    "insert into chats values ('c-1', 5, 5, 'en', now());
    insert into link_codes values ('x', 'c-1', now())",
    "insert into updates
        (tenant_id, seq, number, update_id, received_at, confirmed_at, data_key, nonce, ciphertext)
    values ('c-1', 6, 1, 4, now(), now(), null, null, null),
        ('c-1', 7, 1, 5, now(), null, 1, 'x', 'x')",
    "insert into outbox (kind, dedup_key, account_id, payload, retry_at)
    values ('welcome', 'later', 'a-2', '{}', now())",
    "update periods set message_limit = 5;
    insert into message_counts (period_id, used) select id, 1 from periods",
    "update message_counts set used = 2",
];

/// Columns, constraints, indexes and triggers.
const SCHEMA: &str = "
    select concat_ws(' ', table_name, column_name, data_type, is_nullable, column_default)
    from information_schema.columns where table_schema = 'public'
    union all
    select concat_ws(' ', conrelid::regclass, conname, pg_get_constraintdef(oid))
    from pg_constraint where connamespace = 'public'::regnamespace
    union all select indexdef from pg_indexes where schemaname = 'public'
    union all select pg_get_triggerdef(oid) from pg_trigger where not tgisinternal
    order by 1";

/// How many rows there are, table by table.
async fn count(url: &str) -> String {
    let tables = "select string_agg(format('select %L, count(*) from %I', relname, relname),
            ' union all ' order by relname)
        from pg_class where relkind = 'r' and relnamespace = 'public'::regnamespace
            and relname not in ('_sqlx_migrations')";
    let counts = sql(url, tables).await;
    sql(url, &counts).await
}

#[tokio::test]
async fn every_earlier_version_becomes_this_one_and_keeps_its_rows() {
    let server = Postgres::shared().await.unwrap();
    let empty = server.create_database().await.unwrap();
    migrations::run(&connect(&empty)).await.unwrap();
    let (fresh, versions) = (sql(&empty, SCHEMA).await, migrations::list(&connect(&empty)).await);
    let versions: Vec<i64> = versions.unwrap().iter().map(|one| one.version).collect();
    assert_eq!(versions.len(), ROWS.len(), "a migration has rows here");

    for (last, version) in versions.iter().enumerate() {
        let url = server.create_database().await.unwrap();
        let store = connect(&url);
        migrations::run_up_to(&store, *version).await.unwrap();
        sql(&url, &ROWS[..=last].join(";")).await;
        let before = count(&url).await;
        migrations::run(&store).await.unwrap();
        let after = count(&url).await;
        for line in before.lines() {
            assert!(after.lines().any(|other| other == line), "{line} of {last}: {after}");
        }
        assert_eq!(sql(&url, SCHEMA).await, fresh, "from {last}");
        // This release reads what that one wrote.
        let tenant = oc_store::tenants::find(&store, &"c-1".parse().unwrap()).await.unwrap();
        assert_eq!(tenant.unwrap().0.generation, 3);
        let known = oc_store::reviews::load(&store, &"a-1".parse().unwrap(), now()).await.unwrap();
        assert_eq!(known.unwrap().tenants.len(), if last >= 5 { 3 } else { 2 });
        usage::ensure_partitions(&store, now()).await.unwrap();
    }
}

#[tokio::test]
async fn a_tenant_from_before_billing_was_made_when_it_was_last_changed() {
    let url = Postgres::shared().await.unwrap().create_database().await.unwrap();
    let store = connect(&url);
    migrations::run_up_to(&store, 20_261_121_100_300).await.unwrap();
    sql(&url, ROWS[0]).await;
    migrations::run(&store).await.unwrap();
    let made =
        "select distinct tenants.created_at = '2026-01-01' and agents is null and version = 0
        from tenants join accounts on accounts.id = account_id";
    assert_eq!(sql(&url, made).await, "t");
}
