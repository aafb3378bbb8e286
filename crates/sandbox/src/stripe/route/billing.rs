use super::{Answer, Call, fits};
use crate::stripe::{error::Error, invoice::Invoice, payment::InvoicePayment};

impl Call<'_> {
    pub(super) fn billing(&mut self, method: &str, segments: &[&str]) -> Option<Answer> {
        Some(match (method, segments) {
            ("GET", ["invoices"]) => self.list_invoices(),
            ("GET", ["invoices", id]) => self.retrieve::<Invoice>(id),
            ("POST", ["invoices", id, "pay"]) => self.pay_invoice(id),
            ("GET", ["invoice_payments"]) => self.list_invoice_payments(),
            ("GET", ["invoice_payments", id]) => self.retrieve::<InvoicePayment>(id),
            _ => return None,
        })
    }

    fn list_invoices(&mut self) -> Answer {
        let customer = self.params.text("customer")?;
        let subscription = self.params.text("subscription")?;
        let status = self.params.text("status")?;
        self.page("/v1/invoices", |row: &Invoice| {
            fits(customer.as_ref(), &row.customer)
                && fits(subscription.as_ref(), &row.subscription)
                && fits(status.as_ref(), row.state.into())
        })
    }

    fn pay_invoice(&mut self, id: &str) -> Answer {
        self.params.ignore(&["off_session"]);
        if self.params.one("paid_out_of_band")? == Some(true) {
            return Err(Error::beyond("paid_out_of_band", "A payment out of band"));
        }
        self.done()?;
        self.engine.pay_invoice(id)?;
        self.show::<Invoice>(id)
    }

    fn list_invoice_payments(&mut self) -> Answer {
        let invoice = self.params.text("invoice")?;
        let status = self.params.text("status")?;
        let intent = self.params.within("payment", |part| {
            part.ignore(&["type"]);
            part.text("payment_intent")
        })?;
        let intent = intent.flatten();
        self.page("/v1/invoice_payments", |row: &InvoicePayment| {
            fits(invoice.as_ref(), &row.invoice)
                && fits(intent.as_ref(), &row.intent)
                && fits(status.as_ref(), row.state.word())
        })
    }
}
