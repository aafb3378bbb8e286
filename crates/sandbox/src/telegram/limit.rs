//! How fast bots may send.

use std::time::Duration;

use tokio::time::Instant;

use super::state::Bot;

/// Messages a second of a bot, and at once.
const BOT: (f64, f64) = (30.0, 30.0);
/// Messages a second to a chat, and at once.
const CHAT: (f64, f64) = (1.0, 3.0);

/// What is left of a limit.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Bucket {
    used: f64,
    at: Option<Instant>,
}

impl Bucket {
    /// How long to wait for the next one, after a look at the clock.
    fn wait(&mut self, (rate, burst): (f64, f64), now: Instant) -> Option<Duration> {
        let since = self.at.map_or(Duration::ZERO, |at| now.saturating_duration_since(at));
        self.used = (self.used - since.as_secs_f64() * rate).max(0.0);
        self.at = Some(now);
        let excess = self.used + 1.0 - burst;
        (excess > 1e-9).then(|| Duration::from_secs_f64(excess / rate))
    }
}

impl Bot {
    /// Counts a message to a chat, or says how many seconds the bot has to be silent.
    pub(super) fn count(&mut self, user: i64) -> Result<(), u64> {
        let now = Instant::now();
        let silence = self.silent_until.map(|until| until.saturating_duration_since(now));
        let silence = silence.filter(|silence| !silence.is_zero());
        let wait = silence
            .or_else(|| self.bucket.wait(BOT, now))
            .or_else(|| self.chats.get_mut(&user).and_then(|chat| chat.bucket.wait(CHAT, now)));
        if let Some(wait) = wait {
            let seconds = wait.as_secs_f64().ceil().max(1.0);
            if silence.is_none() {
                self.silent_until = Some(now + Duration::from_secs_f64(seconds));
            }
            #[expect(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "a few seconds"
            )]
            return Err(seconds as u64);
        }
        self.bucket.used += 1.0;
        if let Some(chat) = self.chats.get_mut(&user) {
            chat.bucket.used += 1.0;
        }
        Ok(())
    }
}
