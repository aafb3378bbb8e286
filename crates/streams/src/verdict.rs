//! What a script answers, typed.

use oc_domain::{AccountId, Locale, Thinking, TierId};
use redis::{FromRedisValue, Value};

use crate::{Epoch, Error, Reservation, Settled};

/// What a tenant may do, as the operator wrote it down.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Policy {
    /// What was bought.
    pub tier: TierId,
    /// The language of the tenant's people.
    pub locale: Locale,
    /// How long a model may think at most.
    pub thinking: Thinking,
}

/// Whether a request is admitted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It is, and tokens are set aside.
    Admitted(Admitted),
    /// Redis was restarted and not all is back yet: ask again in a moment.
    Recovering,
    /// Redis does not know the tenant: put it in and ask again.
    UnknownTenant,
    /// Redis does not know the account's periods: put them in and ask again.
    UnknownPeriods(AccountId),
    /// The token's generation is not the tenant's.
    Revoked,
    /// The tenant is suspended.
    Suspended(Policy),
    /// Too soon after the last ones.
    RateLimited {
        /// When the next one is allowed, in milliseconds.
        wait_ms: u64,
    },
    /// As many requests as are allowed at once are open.
    Busy,
    /// The tenant may not use this model.
    OtherModel(Policy),
    /// The account has no billing period now.
    Unpaid(Policy),
    /// Less is left than is of use.
    QuotaSpent(Policy, Standing),
}

/// An admitted request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Admitted {
    /// What the tenant may do.
    pub policy: Policy,
    /// Who pays.
    pub account: AccountId,
    /// The billing period.
    pub period: i64,
    /// Output tokens at most, at most what was asked for.
    pub output: u64,
    /// The account's quota, this reservation included.
    pub standing: Standing,
    /// What is known of tenant and account is a minute old: look again.
    pub refresh: bool,
}

/// How much of a quota is gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Standing {
    /// Quota tokens of the period.
    pub limit: u64,
    /// Those that are spent.
    pub used: u64,
    /// Those that are set aside for open requests.
    pub reserved: u64,
    /// When the period ends, in milliseconds after 1970.
    pub ends_ms: u64,
}

impl Policy {
    /// As the mirror of a tenant holds it.
    pub(crate) fn encode(self) -> String {
        format!("{} {} {}", self.tier, self.locale, self.thinking)
    }

    fn decode(text: &str) -> Option<Self> {
        let mut words = text.split(' ');
        Some(Self {
            tier: words.next()?.parse().ok()?,
            locale: words.next()?.parse().ok()?,
            thinking: words.next()?.parse().ok()?,
        })
    }
}

/// The answer of a script, read from the front.
pub(crate) struct Answer(std::vec::IntoIter<Value>);

impl Answer {
    pub(crate) fn new(value: Value) -> Result<Self, Error> {
        match value {
            Value::Array(values) => Ok(Self(values.into_iter())),
            // The one answer that every request waits for comes as lines.
            Value::BulkString(text) => {
                let lines = text.split(|byte| *byte == b'\n');
                let lines: Vec<Value> =
                    lines.map(|line| Value::BulkString(line.to_vec())).collect();
                Ok(Self(lines.into_iter()))
            }
            _ => Err(Error::Answer),
        }
    }

    pub(crate) fn next<T: FromRedisValue>(&mut self) -> Result<T, Error> {
        let value = self.0.next().ok_or(Error::Answer)?;
        T::from_redis_value(value).map_err(|_| Error::Answer)
    }

    fn parse<T: std::str::FromStr>(&mut self) -> Result<T, Error> {
        self.next::<String>()?.parse().map_err(|_| Error::Answer)
    }

    pub(crate) fn account(&mut self) -> Result<AccountId, Error> {
        self.parse()
    }

    pub(crate) fn policy(&mut self) -> Result<Policy, Error> {
        Policy::decode(&self.next::<String>()?).ok_or(Error::Answer)
    }

    pub(crate) fn standing(&mut self) -> Result<Standing, Error> {
        Ok(Standing {
            limit: self.next()?,
            used: self.next()?,
            reserved: self.next()?,
            ends_ms: self.next()?,
        })
    }

    /// Reads one of those that `reap.lua` returns.
    pub(crate) fn settled(mut self, epoch: &Epoch) -> Result<Settled, Error> {
        let place = epoch.place(&self.next::<String>()?);
        let reservation = Reservation {
            request: self.parse()?,
            tenant: self.parse()?,
            account: self.parse()?,
            period: self.parse()?,
            model: self.parse()?,
            input: self.parse()?,
            amount: self.parse()?,
        };
        let settlement = self.next::<String>()?;
        let settlement = serde_json::from_str(&settlement).map_err(|_| Error::Answer)?;
        Ok(Settled { place, reservation, settlement })
    }

    /// Reads what `reserve.lua` returns; the codes are those of `prelude.lua`.
    pub(crate) fn verdict(mut self) -> Result<Verdict, Error> {
        Ok(match self.next::<u8>()? {
            0 => Verdict::Admitted(Admitted {
                policy: self.policy()?,
                account: self.account()?,
                period: self.parse()?,
                output: self.next()?,
                standing: self.standing()?,
                refresh: self.next::<u8>()? == 1,
            }),
            1 => Verdict::Recovering,
            2 => Verdict::UnknownTenant,
            3 => Verdict::UnknownPeriods(self.account()?),
            4 => Verdict::Revoked,
            5 => Verdict::Suspended(self.policy()?),
            6 => Verdict::RateLimited { wait_ms: self.next()? },
            7 => Verdict::Busy,
            8 => Verdict::OtherModel(self.policy()?),
            9 => Verdict::Unpaid(self.policy()?),
            10 => Verdict::QuotaSpent(self.policy()?, self.standing()?),
            _ => return Err(Error::Answer),
        })
    }
}
