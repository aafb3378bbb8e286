use super::{Answer, Call, fits};
use crate::stripe::{
    calendar::Cadence,
    error::Error,
    form::Params,
    schedule::{AtEnd, NewPhase, PhaseEnd, Schedule},
    subscription::{Cancellation, Proration, Status, Subscription, Update},
};

impl Call<'_> {
    pub(super) fn subscriptions(&mut self, method: &str, segments: &[&str]) -> Option<Answer> {
        Some(match (method, segments) {
            ("GET", ["subscriptions"]) => self.list_subscriptions(),
            ("GET", ["subscriptions", id]) => self.retrieve::<Subscription>(id),
            ("POST", ["subscriptions", id]) => self.update_subscription(id),
            ("DELETE", ["subscriptions", id]) => self.cancel_subscription(id),
            ("POST", ["subscriptions", id, "resume"]) => self.resume_subscription(id),
            ("GET", ["subscription_schedules"]) => self.list_schedules(),
            ("POST", ["subscription_schedules"]) => self.create_schedule(),
            ("GET", ["subscription_schedules", id]) => self.retrieve::<Schedule>(id),
            ("POST", ["subscription_schedules", id]) => self.update_schedule(id),
            ("POST", ["subscription_schedules", id, "release"]) => self.release_schedule(id),
            _ => return None,
        })
    }

    fn list_subscriptions(&mut self) -> Answer {
        let customer = self.params.text("customer")?;
        let price = self.params.text("price")?;
        let status = self.params.text("status")?;
        let wanted = |row: Status| match status.as_deref() {
            None => row != Status::Canceled && row != Status::IncompleteExpired,
            Some("all") => true,
            Some("ended") => !row.is_live(),
            Some(word) => word.parse() == Ok(row),
        };
        self.page("/v1/subscriptions", |row: &Subscription| {
            wanted(row.status)
                && fits(customer.as_ref(), &row.customer)
                && fits(price.as_ref(), &row.item.price.id)
        })
    }

    fn update_subscription(&mut self, id: &str) -> Answer {
        let row = self.engine.find::<Subscription>(id)?;
        let params = &mut *self.params;
        let (price, quantity) = item(params, &row)?;
        let cancel_at = match params.text("cancel_at")?.as_deref() {
            None => None,
            Some("") => Some(None),
            Some(text) => Some(Some(
                text.parse()
                    .map_err(|_| Error::beyond("cancel_at", "An end that is no timestamp"))?,
            )),
        };
        let update = Update {
            price: price.map(Into::into),
            quantity,
            proration: params.one("proration_behavior")?.unwrap_or_default(),
            behavior: params.one("payment_behavior")?.unwrap_or_default(),
            proration_date: params.one("proration_date")?,
            cancel_at_period_end: params.one("cancel_at_period_end")?,
            cancel_at,
            metadata: params.pairs("metadata")?,
        };
        params.ignore(&["off_session"]);
        let details = cancellation(params)?;
        self.done()?;
        self.engine.update_subscription(id, &update)?;
        if let Some(details) = details {
            self.engine.explain_cancellation(id, details)?;
        }
        self.show::<Subscription>(id)
    }

    fn cancel_subscription(&mut self, id: &str) -> Answer {
        let details = cancellation(self.params)?;
        for name in ["invoice_now", "prorate"] {
            if self.params.one(name)? == Some(true) {
                return Err(Error::beyond(name, "A final invoice"));
            }
        }
        self.done()?;
        self.engine.cancel(id, details.unwrap_or_default())?;
        self.show::<Subscription>(id)
    }

    fn resume_subscription(&mut self, id: &str) -> Answer {
        if self.params.text("billing_cycle_anchor")?.is_some_and(|anchor| anchor != "now") {
            let name = "billing_cycle_anchor";
            return Err(Error::beyond(name, "A resumption that keeps its anchor"));
        }
        self.params.ignore(&["proration_behavior"]);
        self.done()?;
        self.engine.resume(id)?;
        self.show::<Subscription>(id)
    }

    fn list_schedules(&mut self) -> Answer {
        let customer = self.params.text("customer")?;
        self.page("/v1/subscription_schedules", |row: &Schedule| {
            fits(customer.as_ref(), &row.customer)
        })
    }

    fn create_schedule(&mut self) -> Answer {
        let Some(subscription) = self.params.text("from_subscription")? else {
            let what = "A schedule without a subscription";
            return Err(Error::beyond("from_subscription", what));
        };
        self.done()?;
        let id = self.engine.schedule_from(&subscription)?;
        self.show::<Schedule>(&id)
    }

    fn update_schedule(&mut self, id: &str) -> Answer {
        let phases = self.params.each("phases", phase)?;
        let at_end = self.params.one::<AtEnd>("end_behavior")?;
        let proration: Proration = self.params.one("proration_behavior")?.unwrap_or_default();
        let metadata = self.params.pairs("metadata")?;
        self.done()?;
        self.engine.update_schedule(id, phases, at_end, proration)?;
        self.engine.annotate_schedule(id, &metadata)?;
        self.show::<Schedule>(id)
    }

    fn release_schedule(&mut self, id: &str) -> Answer {
        self.params.ignore(&["preserve_cancel_date"]);
        self.done()?;
        self.engine.release_schedule(id)?;
        self.show::<Schedule>(id)
    }
}

/// What the one item of a subscription shall be.
fn item(params: &mut Params, row: &Subscription) -> Result<(Option<String>, Option<u32>), Error> {
    let items = params.each("items", |item| {
        item.ignore(&["metadata"]);
        Ok((item.text("id")?, item.text("price")?, item.one("quantity")?))
    })?;
    match items.as_deref() {
        None => Ok((None, None)),
        Some([(Some(item), price, quantity)]) if **item == *row.item.id => {
            Ok((price.clone(), *quantity))
        }
        Some([(Some(item), ..)]) => {
            Err(Error::no_such("subscription item", item).of("items[0][id]"))
        }
        Some(_) => Err(Error::beyond("items", "A subscription of several items")),
    }
}

fn cancellation(params: &mut Params) -> Result<Option<Cancellation>, Error> {
    params.within("cancellation_details", |part| {
        let (feedback, comment) = (part.text("feedback")?, part.text("comment")?);
        Ok(Cancellation { reason: None, feedback, comment })
    })
}

fn phase(part: &mut Params) -> Result<NewPhase, Error> {
    let items = part.each("items", |item| {
        item.ignore(&["metadata"]);
        Ok((item.required("price")?, item.one("quantity")?.unwrap_or(1)))
    })?;
    let Some([(price, quantity)]) = items.as_deref() else {
        return Err(Error::beyond("phases", "A phase of several items, or none"));
    };
    let duration = part.within("duration", |part| {
        let interval = part.one("interval")?;
        let interval = interval.ok_or_else(|| Error::missing("duration[interval]"))?;
        Ok(Cadence { interval, count: part.one("interval_count")?.unwrap_or(1) })
    })?;
    let end = match (part.one("end_date")?, duration, part.one("iterations")?) {
        (Some(at), _, _) => PhaseEnd::At(at),
        (None, Some(duration), _) => PhaseEnd::After(duration),
        (None, None, periods) => PhaseEnd::Periods(periods.unwrap_or(1)),
    };
    Ok(NewPhase {
        start: part.one("start_date")?,
        end,
        price: price.as_str().into(),
        quantity: *quantity,
        proration: part.one("proration_behavior")?.unwrap_or_default(),
        metadata: part.pairs("metadata")?,
    })
}
