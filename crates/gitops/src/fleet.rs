//! The one committer: changes in, commits on the remote's branch out.

use std::{error, time::Duration};

use rand::random_range;
use tokio::time::sleep;
use tracing::{debug, info, warn};

use crate::{
    change::{Change, Outcome},
    error::Error,
    history::Commit,
    objects::Objects,
    oid::Oid,
    options::{Author, Options},
    push::Pushed,
    repository::{Repository, TIP},
};

mod batch;
mod reading;

use batch::Batch;
pub use reading::Blob;

/// How often a batch is built and pushed before somebody else's pushes win: so many, since whoever
/// pushes without a pause may be faster each time.
const ROUNDS: u32 = 32;

/// The fleet repository, as the one who writes to it sees it.
///
/// A call that is dropped in the middle kills what it started and may have pushed; the next call
/// finds everything in order.
pub struct Fleet {
    repository: Repository,
    objects: Objects,
    author: Author,
}

/// Whether an attempt was noted, see [`Fleet::apply`]; the error of whoever keeps the notes.
pub type Noted = Result<(), Box<dyn error::Error + Send + Sync>>;

/// What became of one round of a batch.
enum Round {
    Done(Vec<Outcome>),
    /// The branch moved, in git's words.
    Moved(String),
}

impl Fleet {
    /// Takes over the clone in the options' folder, or makes one; damage is healed.
    ///
    /// The remote is asked only where there is no clone or none that is whole. One process has a
    /// folder at a time: another gets [`Error::Locked`].
    pub async fn open(options: Options) -> Result<Self, Error> {
        let repository = Repository::open(&options).await?;
        let mut fleet = Self { repository, objects: Objects::default(), author: options.author };
        if !fleet.repository.is_whole().await {
            info!(damaged = fleet.repository.has_tip(), "cloning");
            fleet.repository.begin_again().await?;
            fleet.fetch().await?;
        }
        Ok(fleet)
    }

    /// Fetches, and returns the commit that the remote's branch is at, also where that was rewritten:
    /// [`Oid::NULL`] while the remote is empty.
    pub async fn tip(&mut self) -> Result<Oid, Error> {
        let tip = match self.fetch().await {
            Err(error) => {
                self.heal(error).await?;
                self.fetch().await
            }
            tip => tip,
        }?;
        self.tidy().await;
        Ok(tip)
    }

    /// Puts `changes` on the remote's branch in their order, one commit each, and returns what
    /// became of each of them.
    ///
    /// `before_push` is awaited with the tip before every push: once it has noted the tip in a place
    /// that survives, as [`Change::attempted`] of each change that has none yet, no crash makes a change
    /// twice. Its error ends the call, and nothing more is pushed.
    ///
    /// On an error, all of the commits are on the branch or none is: the next call, given the noted
    /// tips, finds out.
    pub async fn apply<N: Future<Output = Noted>>(
        &mut self,
        changes: &[Change],
        // No `AsyncFnMut`: the call could not be a task then, unless what it borrows is static.
        mut before_push: impl FnMut(Oid) -> N,
    ) -> Result<Vec<Outcome>, Error> {
        let mut pushed_on = None;
        let mut healed = false;
        let mut last = String::new();
        for round in 0..ROUNDS {
            if round > 0 {
                sleep(pause(round)).await;
            }
            match self.round(changes, &mut pushed_on, &mut before_push).await {
                Ok(Round::Done(outcomes)) => return Ok(outcomes),
                Ok(Round::Moved(how)) => last = how,
                Err(error) if healed => return Err(error),
                Err(error) => {
                    self.heal(error).await?;
                    healed = true;
                }
            }
        }
        Err(Error::BranchMoved { rounds: ROUNDS, text: last })
    }

    /// Fetches, and finds the commits whose trailers name an event or a trace, newest first.
    pub async fn trace(&mut self, needle: &str) -> Result<Vec<Commit>, Error> {
        let tip = self.tip().await?;
        if tip.is_null() || needle.is_empty() {
            return Ok(Vec::new());
        }
        match self.repository.commits_of(needle, tip).await {
            Err(error) => {
                self.mend(error).await?;
                self.repository.commits_of(needle, tip).await
            }
            commits => commits,
        }
    }

    /// Builds the batch on the newest tip and pushes it once.
    async fn round<N: Future<Output = Noted>>(
        &mut self,
        changes: &[Change],
        pushed_on: &mut Option<Oid>,
        before_push: &mut impl FnMut(Oid) -> N,
    ) -> Result<Round, Error> {
        let tip = self.fetch().await?;
        let Batch { outcomes, head } = self.build(changes, *pushed_on, tip).await?;
        let Some(head) = head else { return Ok(Round::Done(outcomes)) };
        before_push(tip).await.map_err(Error::BeforePush)?;
        pushed_on.get_or_insert(tip);
        match self.repository.push(head).await? {
            Pushed::Moved(how) => {
                debug!(%tip, how, "the branch moved");
                Ok(Round::Moved(how))
            }
            Pushed::Done => {
                info!(%tip, %head, changes = changes.len(), "pushed");
                self.tidy().await;
                Ok(Round::Done(outcomes))
            }
        }
    }

    async fn fetch(&mut self) -> Result<Oid, Error> {
        if !self.repository.fetch().await? {
            return Ok(Oid::NULL);
        }
        let Repository { git, limits, .. } = &self.repository;
        Ok(self.objects.require(git, limits.fetch, TIP, 0).await?.oid)
    }

    async fn knows(&mut self, commit: Oid) -> Result<bool, Error> {
        let Repository { git, limits, .. } = &self.repository;
        let name = format!("{commit}^{{commit}}");
        Ok(self.objects.get(git, limits.fetch, &name, 0).await?.is_some())
    }

    /// Keeps the clone small. What is pushed or fetched is that, so nothing here fails the call.
    async fn tidy(&mut self) {
        match self.repository.repack().await {
            Ok(false) => return,
            Ok(true) => debug!("packs were put together"),
            Err(error) => {
                warn!(error = &error as &dyn error::Error, "repacking");
                if let Err(error) = self.heal(error).await {
                    warn!(error = &error as &dyn error::Error, "healing");
                }
            }
        }
        self.objects.forget();
    }

    /// Repairs what can be repaired here, so that the same is worth trying again, or gives the
    /// error back.
    async fn heal(&mut self, error: Error) -> Result<(), Error> {
        self.objects.forget();
        // What was killed, or could not write on, left a part of it; a lock looks like damage.
        let cleaned = self.repository.clean().await;
        let is_whole = match &error {
            Error::Damaged { .. } if !matches!(cleaned, Ok(true)) => false,
            Error::Damaged { .. } | Error::Remote { .. } => self.repository.is_whole().await,
            _ => return Err(error),
        };
        if is_whole {
            return Ok(());
        }
        warn!(error = &error as &dyn error::Error, "the clone is made again");
        self.repository.begin_again().await
    }
}

/// A pause that no two committers share. It stays short: a push that was refused for another's is
/// no sign of load, and whoever waits longer loses more often.
fn pause(round: u32) -> Duration {
    Duration::from_millis(random_range(1..=u64::from(round.min(20))))
}
