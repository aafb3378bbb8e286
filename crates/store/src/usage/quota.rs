//! Marks at which people are told that a quota is nearly used.

use std::collections::BTreeMap;

use oc_domain::AccountId;
use serde_json::json;
use sqlx::{PgConnection, query_scalar};

use super::record::Locked;
use crate::Error;

/// In percent of a period's limit.
const MARKS: [u8; 3] = [80, 90, 100];

/// A mark that an account has reached, noted in the outbox too: once for each period and mark.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Warning {
    /// Who pays.
    pub account: AccountId,
    /// The period.
    pub period: i64,
    /// How much of its limit is used, at least: 80, 90 or 100.
    pub percent: u8,
}

/// Notes the marks that periods reach by what is `charged` to them.
pub(super) async fn note(
    db: &mut PgConnection,
    before: &[Locked],
    charged: &BTreeMap<i64, i64>,
) -> Result<Vec<Warning>, Error> {
    let mut warnings = Vec::new();
    for period in before {
        let added = charged.get(&period.id).copied().unwrap_or_default();
        for percent in reached(period.token_limit, period.used_tokens, added) {
            if insert(db, period, percent).await? {
                let account = period.account_id.parse();
                let account = account.map_err(|_| Error::UnknownPeriod(period.id))?;
                warnings.push(Warning { account, period: period.id, percent });
            }
        }
    }
    Ok(warnings)
}

/// Whether it is new: after a limit was raised, marks are reached again.
async fn insert(db: &mut PgConnection, period: &Locked, percent: u8) -> Result<bool, Error> {
    let written = query_scalar!(
        "insert into outbox (kind, dedup_key, account_id, payload)
        values ('quota', $1, $2, $3)
        on conflict do nothing
        returning id",
        format!("quota:{}:{percent}", period.id),
        period.account_id,
        json!({ "period": period.id, "percent": percent }),
    );
    Ok(written.fetch_optional(db).await?.is_some())
}

fn reached(limit: i64, used: i64, added: i64) -> impl Iterator<Item = u8> {
    let (limit, used) = (i128::from(limit), i128::from(used));
    let after = used + i128::from(added);
    MARKS.into_iter().filter(move |percent| {
        let mark = limit * i128::from(*percent);
        used * 100 < mark && mark <= after * 100
    })
}

#[cfg(test)]
mod tests {
    use super::reached;

    #[test]
    fn a_mark_is_reached_once_and_exactly() {
        for (limit, used, added, expected) in [
            (1000, 0, 799, &[][..]),
            (1000, 799, 1, &[80]),
            (1000, 800, 99, &[]),
            (1000, 0, 1000, &[80, 90, 100]),
            (1000, 1000, 1000, &[]),
            (3, 2, 1, &[80, 90, 100]),
            (i64::MAX, 0, i64::MAX, &[80, 90, 100]),
            // Nothing to use is no quota to use up.
            (0, 0, 5, &[]),
        ] {
            let marks: Vec<u8> = reached(limit, used, added).collect();
            assert_eq!(marks, expected, "{used} and {added} of {limit}");
        }
    }
}
