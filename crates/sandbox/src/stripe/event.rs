//! What happened, with the object as it was then.

use std::sync::Arc;

use serde_json::{Map, Value, json};

use super::{
    catalog::{Price, Product},
    checkout::Session,
    customer::Customer,
    id::Id,
    invoice::Invoice,
    payment::{Charge, InvoicePayment, PaymentIntent},
    portal::{Configuration, PortalSession},
    refund::{Dispute, Refund},
    schedule::Schedule,
    shape::Shape,
    subscription::Subscription,
};

/// Something that happened.
#[derive(Debug)]
pub struct Event {
    /// Its id.
    pub id: Id,
    /// Its type, such as `invoice.paid`.
    pub kind: &'static str,
    /// When it happened, in seconds after 1970.
    pub created: i64,
    /// The object as it was then.
    pub object: Snapshot,
    pub(super) before: Option<Snapshot>,
    pub(super) request: Option<Arc<Request>>,
}

/// The request that caused an event.
#[derive(Debug)]
pub(super) struct Request {
    pub(super) id: String,
    pub(super) key: Option<String>,
}

macro_rules! snapshots {
    ($($type:ident)*) => {
        /// An object as it was at some moment.
        #[derive(Clone, Debug)]
        #[expect(missing_docs, reason = "each is named after what it holds")]
        pub enum Snapshot { $($type(Arc<$type>),)* }

        impl Snapshot {
            /// The JSON of it in an API version.
            pub fn json(&self, shape: Shape) -> Value {
                match self { $(Self::$type(row) => row.json(shape),)* }
            }

            /// Its id.
            pub fn id(&self) -> &Id {
                match self { $(Self::$type(row) => &row.id,)* }
            }
        }
    };
}

snapshots! {
    Customer Product Price Session Subscription Schedule Invoice InvoicePayment PaymentIntent
    Charge Refund Dispute PortalSession Configuration
}

impl Event {
    /// The JSON of the event in an API version; `pending` is how many endpoints it goes to.
    pub fn json(&self, shape: Shape, pending: u32) -> Value {
        let object = self.object.json(shape);
        let mut data = json!({ "object": object });
        if let Some(before) = &self.before {
            let changed = changes(&before.json(shape), &object);
            if let Some(data) = data.as_object_mut() {
                data.insert("previous_attributes".to_owned(), Value::Object(changed));
            }
        }
        let request = self.request.as_deref();
        json!({
            "id": &*self.id, "object": "event", "api_version": shape.version(), "data": data,
            "created": self.created, "livemode": false, "pending_webhooks": pending,
            "request": {
                "id": request.map(|request| &request.id),
                "idempotency_key": request.and_then(|request| request.key.as_ref()),
            },
            "type": self.kind,
        })
    }
}

/// The fields of `before` that `after` has otherwise; of objects in them, again only those.
fn changes(before: &Value, after: &Value) -> Map<String, Value> {
    let empty = Map::new();
    let (before, after) =
        (before.as_object().unwrap_or(&empty), after.as_object().unwrap_or(&empty));
    let names = before.keys().chain(after.keys().filter(|name| !before.contains_key(*name)));
    let mut changed = Map::new();
    for name in names {
        let (old, new) = (before.get(name), after.get(name));
        if old == new {
            continue;
        }
        let value = match (old, new) {
            (Some(old @ Value::Object(_)), Some(new @ Value::Object(_))) => {
                Value::Object(changes(old, new))
            }
            (old, _) => old.cloned().unwrap_or_default(),
        };
        changed.insert(name.clone(), value);
    }
    changed
}
