//! All that a decision needs, read at one moment.

use jiff::Timestamp;
use jiff_sqlx::ToSqlx;
use oc_domain::AccountId;
use sqlx::{query_scalar, types::Json};

use super::Remembered;
use crate::{Error, Store};

/// What is known of the account; nothing if there is none.
pub async fn load(
    store: &Store,
    account: &AccountId,
    now: Timestamp,
) -> Result<Option<Remembered>, Error> {
    let found = store.run(async |db| {
        Ok(query_scalar!(
            r#"select jsonb_build_object(
                'version', version,
                'customer', stripe_customer_id,
                'locale', locale,
                'agents', agents,
                'complimentary', complimentary_tier,
                'cleared_at', cleared_at,
                'subscriptions', array(
                    select to_jsonb(subscriptions)
                    from subscriptions
                    where account_id = $1
                    order by updated_at, id
                ),
                'periods', array(
                    select jsonb_build_object(
                        'id', id, 'starts_at', starts_at, 'ends_at', ends_at,
                        'limit', token_limit, 'used', used_tokens, 'messages', message_limit
                    )
                    from periods
                    where account_id = $1
                        and ends_at > $2::timestamptz - interval '60 days'
                    order by starts_at
                ),
                'tenants', array(
                    select to_jsonb(tenants) || jsonb_build_object('last_change', (
                        select to_jsonb(spec_changes)
                        from spec_changes
                        where tenant_id = tenants.id
                            and author = 'billing'
                        order by id desc
                        limit 1
                    ))
                    from tenants
                    where account_id = $1
                    order by created_at, id
                ),
                'notices', array(
                    select to_jsonb(outbox)
                    from outbox
                    where account_id = $1
                        and delivered_at is null
                        and withdrawn_at is null
                    order by id
                ),
                'events', array(
                    select to_jsonb(stripe_events)
                    from stripe_events
                    where account_id = $1
                        and status = 'pending'
                    order by received_at, id
                )
            ) as "found!: Json<Remembered>"
            from accounts
            where id = $1"#,
            account.as_str(),
            now.to_sqlx() as _,
        )
        .fetch_optional(db)
        .await?)
    });
    Ok(found.await?.map(|Json(remembered)| remembered))
}
