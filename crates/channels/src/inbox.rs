//! The way of updates into Postgres: those that come at the same time are written together.

use std::sync::Arc;

use anyhow::Result;
use jiff::Timestamp;
use oc_service::{Clock, chain};
use oc_store::{
    Store,
    secrets::Vault,
    updates::{self, Incoming, Receipt, Waiting},
};
use tokio::sync::{mpsc, oneshot};

use crate::{polls::Polls, wakes::Herald};

/// Updates in one transaction.
const BATCH: usize = 256;
/// Updates that wait for their turn; more are refused, and come again.
const QUEUE: usize = 4096;

/// Where updates are put.
#[derive(Clone)]
pub(crate) struct Inbox(mpsc::Sender<Item>);

struct Item {
    incoming: Incoming,
    done: oneshot::Sender<Receipt>,
}

/// It could not be written down: it must come again.
#[derive(Debug)]
pub(crate) struct Unavailable;

/// Who writes.
pub(crate) struct Writer {
    items: mpsc::Receiver<Item>,
    store: Store,
    vault: Arc<Vault>,
    clock: Clock,
    polls: Arc<Polls>,
    herald: Herald,
}

/// An inbox, and who writes what is put into it.
pub(crate) fn inbox(
    store: Store,
    vault: Arc<Vault>,
    clock: Clock,
    polls: Arc<Polls>,
    herald: Herald,
) -> (Inbox, Writer) {
    let (sender, items) = mpsc::channel(QUEUE);
    (Inbox(sender), Writer { items, store, vault, clock, polls, herald })
}

impl Inbox {
    /// Writes an update down; when this returns it is there for good.
    pub(crate) async fn put(&self, incoming: Incoming) -> Result<Receipt, Unavailable> {
        let (done, receipt) = oneshot::channel();
        self.0.try_send(Item { incoming, done }).map_err(|_| Unavailable)?;
        receipt.await.map_err(|_| Unavailable)
    }
}

impl Writer {
    /// Writes until every inbox is gone.
    pub(crate) async fn run(mut self) -> Result<()> {
        let mut items = Vec::with_capacity(BATCH);
        while self.items.recv_many(&mut items, BATCH).await > 0 {
            let (incoming, done): (Vec<_>, Vec<_>) =
                items.drain(..).map(|item| (item.incoming, item.done)).unzip();
            self.write(incoming, done).await;
        }
        Ok(())
    }

    async fn write(&self, incoming: Vec<Incoming>, done: Vec<oneshot::Sender<Receipt>>) {
        let now = self.clock.now();
        match updates::receive(&self.store, &self.vault, &incoming, now).await {
            Ok(receipts) => {
                for ((one, done), receipt) in incoming.into_iter().zip(done).zip(receipts) {
                    self.done(one, done, receipt, now);
                }
            }
            // One of them may be at fault.
            Err(error) if !error.is_transient() && incoming.len() > 1 => {
                for (one, done) in incoming.into_iter().zip(done) {
                    self.write_one(one, done, now).await;
                }
            }
            Err(error) => {
                tracing::error!(error = %chain(&error), "updates cannot be written down");
            }
        }
    }

    async fn write_one(&self, one: Incoming, done: oneshot::Sender<Receipt>, now: Timestamp) {
        let one = [one];
        let written = updates::receive(&self.store, &self.vault, &one, now).await;
        match (written, one) {
            (Ok(receipts), [one]) => {
                if let Some(receipt) = receipts.first() {
                    self.done(one, done, *receipt, now);
                }
            }
            (Err(error), [one]) => {
                let tenant = one.tenant;
                tracing::error!(%tenant, error = %chain(&error), "an update cannot be written down");
            }
        }
    }

    fn done(
        &self,
        one: Incoming,
        done: oneshot::Sender<Receipt>,
        receipt: Receipt,
        received_at: Timestamp,
    ) {
        if let Receipt::New { seq, .. } = receipt {
            let update = Waiting { seq, received_at, body: one.body };
            if !self.polls.hand(&one.tenant, update) {
                self.herald.came(&one.tenant);
            }
        }
        // Whoever brought it may have left.
        let _ = done.send(receipt);
    }
}
