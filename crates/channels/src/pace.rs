//! Telegram's limits, kept before Telegram has to: 30 messages a second of a bot, one a second in a
//! chat after a short burst, and none while it says so. Chats of a bot take turns, since one that has
//! to wait for itself does not take the bot's.

use std::{collections::HashMap, time::Duration};

use parking_lot::Mutex;
use tokio::time::{Instant, sleep_until};

/// Between two messages of a bot on the average, and how many may come at once.
const BOT: Rate = Rate { interval: Duration::from_millis(34), burst: 30 };
/// The same of one chat.
const CHAT: Rate = Rate { interval: Duration::from_secs(1), burst: 4 };
/// Whoever would have to wait for longer is told to come again.
const PATIENCE: Duration = Duration::from_secs(5);
/// Buckets that are kept before those that are full again are forgotten.
const MANY: usize = 10_000;

/// The limits of every bot.
#[derive(Default)]
pub(crate) struct Pace(Mutex<HashMap<Key, Bucket>>);

/// The bot's number, and the chat or all of them.
type Key = (i64, Option<i64>);

struct Rate {
    interval: Duration,
    burst: u32,
}

/// When the bucket will be full again.
#[derive(Clone, Copy)]
struct Bucket(Instant);

impl Pace {
    /// Waits for the turn of a message, or says how long it would have to wait.
    pub(crate) async fn turn(&self, bot: i64, chat: Option<i64>) -> Result<(), Duration> {
        if let Some(chat) = chat {
            self.take((bot, Some(chat)), &CHAT).await?;
        }
        self.take((bot, None), &BOT).await
    }

    /// Telegram wants the bot to be silent for so long.
    pub(crate) fn pause(&self, bot: i64, pause: Duration) {
        let full = Instant::now() + pause + BOT.interval * BOT.burst;
        let mut buckets = self.0.lock();
        let bucket = buckets.entry((bot, None)).or_insert(Bucket(full));
        bucket.0 = bucket.0.max(full);
    }

    async fn take(&self, key: Key, rate: &Rate) -> Result<(), Duration> {
        let at = self.reserve(key, rate, Instant::now())?;
        sleep_until(at).await;
        Ok(())
    }

    /// When the message may go.
    fn reserve(&self, key: Key, rate: &Rate, now: Instant) -> Result<Instant, Duration> {
        let mut buckets = self.0.lock();
        if buckets.len() >= MANY {
            buckets.retain(|_, bucket| bucket.0 > now);
        }
        let bucket = buckets.entry(key).or_insert(Bucket(now));
        let full = bucket.0.max(now) + rate.interval;
        let at = full.checked_sub(rate.interval * rate.burst).unwrap_or(now).max(now);
        let wait = at.duration_since(now);
        if wait > PATIENCE {
            return Err(wait);
        }
        bucket.0 = full;
        Ok(at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_chat_gets_a_burst_and_then_one_a_second() {
        let (pace, now) = (Pace::default(), Instant::now());
        let at = |_| pace.reserve((1, Some(7)), &CHAT, now).map(|at| at - now);
        let turns: Vec<_> = (0..10).map(at).collect();
        let seconds = |seconds| Ok(Duration::from_secs(seconds));
        assert_eq!(turns[..4], [seconds(0), seconds(0), seconds(0), seconds(0)]);
        assert_eq!(turns[4..9], [1, 2, 3, 4, 5].map(seconds));
        assert_eq!(turns[9], Err(Duration::from_secs(6)));
        assert_eq!(pace.reserve((1, Some(8)), &CHAT, now), Ok(now));
    }

    #[tokio::test]
    async fn a_bot_is_silent_when_telegram_says_so_and_others_are_not() {
        let pace = Pace::default();
        pace.pause(1, Duration::from_secs(3));
        let now = Instant::now();
        let at = pace.reserve((1, None), &BOT, now).unwrap();
        assert!(at - now > Duration::from_secs(2), "{:?}", at - now);
        assert_eq!(pace.reserve((2, None), &BOT, now), Ok(now));
        pace.pause(1, Duration::from_mins(1));
        assert!(pace.reserve((1, None), &BOT, now).is_err());
    }
}
