//! What the provider saw and served, for tests to compare a ledger with.

use std::{
    collections::{HashMap, VecDeque},
    fs::File,
    io::Write as _,
    sync::Arc,
};

use bytes::Bytes;
use oc_domain::usage::Tokens;
use serde::{Serialize, Serializer};

use super::{Shared, answer::Answer};

/// What a million uncached, cached and written tokens cost, in dollars times a thousand, which is
/// billionths of a dollar for one token.
const PRICES: (u64, u64, u64) = (600, 100, 3000);

/// One request, logged when it is over; an answer is over as its last byte goes to the connection,
/// so a client that has it all finds the entry.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Entry {
    /// Its place in the log, counted from 0.
    pub number: u64,
    /// When it came, in milliseconds after 1970.
    pub at_ms: i64,
    /// Its `x-request-id`; empty if it had none.
    pub request_id: Box<str>,
    /// The key it came with; empty if it had none.
    #[serde(serialize_with = "as_str")]
    pub key: Arc<str>,
    /// The path, without the prefix of a provider.
    pub path: &'static str,
    /// Whether a stream was asked for.
    pub stream: bool,
    /// The status it was answered with; 0 if there was no answer.
    pub status: u16,
    /// What the provider bills: nothing before the head of an answer, then the prompt and what
    /// was sent.
    pub tokens: Tokens,
    /// What the answer said to the end; none if it did not say or did not get there.
    pub reported: Option<Tokens>,
    /// Frames that were sent.
    pub frames: u32,
    /// How far it got.
    pub end: End,
    /// The body that was sent, if the provider captures; kept in memory only.
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "as_text")]
    pub sent: Option<Bytes>,
}

/// How far a request got.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum End {
    /// It was answered to the end.
    Served,
    /// It was refused.
    Refused,
    /// The client left first.
    #[default]
    Aborted,
    /// The provider ended the connection first.
    Cut,
}

/// The sums of the log, entries that it has forgotten included.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Stats {
    /// Requests that are over.
    pub requests: u64,
    /// Requests that are not.
    pub in_flight: u64,
    /// Those of `requests` that were answered to the end.
    pub served: u64,
    /// Those that were refused.
    pub refused: u64,
    /// Those whose client left.
    pub aborted: u64,
    /// Those whose connection the provider ended.
    pub cut: u64,
    /// What all of them are billed.
    pub tokens: Tokens,
    /// What is left on the account, in billionths of a US dollar.
    pub balance_nano_usd: i64,
    /// Entries that the log file did not take.
    pub unwritten: u64,
}

/// All that changes while the provider runs.
pub(super) struct Ledger {
    pub(super) answer: Answer,
    pub(super) script: VecDeque<Answer>,
    pub(super) stats: Stats,
    entries: VecDeque<Entry>,
    limit: usize,
    /// Requests in flight of each key.
    busy: HashMap<Arc<str>, u32>,
    file: Option<File>,
}

/// Writes one entry, whatever becomes of its request.
pub(super) struct Recorder {
    shared: Arc<Shared>,
    pub(super) entry: Entry,
    captured: Option<Vec<u8>>,
    open: bool,
}

impl Ledger {
    pub(super) fn new(answer: Answer, limit: usize, balance: i64, file: Option<File>) -> Self {
        Self {
            answer,
            script: VecDeque::new(),
            stats: Stats { balance_nano_usd: balance, ..Stats::default() },
            entries: VecDeque::new(),
            limit,
            busy: HashMap::new(),
            file,
        }
    }

    /// A request comes: its answer, the key, and how many requests the key has open with it.
    pub(super) fn begin(&mut self, key: &str) -> (Answer, Arc<str>, u32) {
        self.stats.in_flight += 1;
        let answer = self.script.pop_front().unwrap_or(self.answer);
        if let Some((key, _)) = self.busy.get_key_value(key) {
            let key = Arc::clone(key);
            let busy = self.busy.entry(Arc::clone(&key)).or_default();
            *busy += 1;
            return (answer, key, *busy);
        }
        let key: Arc<str> = key.into();
        self.busy.insert(Arc::clone(&key), 1);
        (answer, key, 1)
    }

    fn end(&mut self, mut entry: Entry) {
        if let Some(busy) = self.busy.get_mut(&entry.key) {
            *busy -= 1;
        }
        entry.number = self.stats.requests;
        self.count(&entry);
        if let Some(file) = &mut self.file {
            let mut line = serde_json::to_vec(&entry).unwrap_or_default();
            line.push(b'\n');
            self.stats.unwritten += u64::from(file.write_all(&line).is_err());
        }
        if self.entries.len() == self.limit {
            self.entries.pop_front();
        }
        self.entries.push_back(entry);
    }

    fn count(&mut self, entry: &Entry) {
        let stats = &mut self.stats;
        stats.in_flight -= 1;
        stats.requests += 1;
        *match entry.end {
            End::Served => &mut stats.served,
            End::Refused => &mut stats.refused,
            End::Aborted => &mut stats.aborted,
            End::Cut => &mut stats.cut,
        } += 1;
        let (sum, tokens) = (&mut stats.tokens, entry.tokens);
        sum.input += tokens.input;
        sum.cached_input += tokens.cached_input;
        sum.output += tokens.output;
        sum.reasoning += tokens.reasoning;
        let (input, cached, output) = PRICES;
        let cost = tokens.input * input + tokens.cached_input * cached + tokens.output * output;
        stats.balance_nano_usd -= cost.cast_signed();
    }

    /// At most `count` entries from number `since` on.
    pub(super) fn entries(&self, since: u64, count: usize) -> Vec<Entry> {
        let first = self.entries.front().map_or(0, |entry| entry.number);
        let skip = usize::try_from(since.saturating_sub(first)).unwrap_or(usize::MAX);
        self.entries.iter().skip(skip).take(count).cloned().collect()
    }
}

impl Recorder {
    pub(super) fn new(shared: Arc<Shared>, entry: Entry) -> Self {
        let captured = shared.capture.then(Vec::new);
        Self { shared, entry, captured, open: true }
    }

    /// These bytes go to the connection.
    pub(super) fn sent(&mut self, bytes: &[u8]) {
        if let Some(captured) = &mut self.captured {
            captured.extend_from_slice(bytes);
        }
    }

    /// The request is over; later ends of it change nothing.
    pub(super) fn end(&mut self, end: End) {
        if std::mem::take(&mut self.open) {
            let mut entry = std::mem::take(&mut self.entry);
            entry.end = end;
            entry.sent = self.captured.take().map(Bytes::from);
            self.shared.ledger.lock().end(entry);
        }
    }
}

impl Drop for Recorder {
    fn drop(&mut self) {
        self.end(End::Aborted);
    }
}

fn as_str<S: Serializer>(text: &Arc<str>, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(text)
}

/// All that is ever sent is text.
#[expect(clippy::ref_option, reason = "serde's signature")]
fn as_text<S: Serializer>(bytes: &Option<Bytes>, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&String::from_utf8_lossy(bytes.as_deref().unwrap_or_default()))
}
