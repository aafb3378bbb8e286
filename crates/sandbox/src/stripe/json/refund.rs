use serde_json::{Map, Value, json};

use super::super::{
    engine::DAY,
    refund::{Dispute, DisputeState, Refund},
    shape::Shape,
};

const REFUND_NULLS: [&str; 6] = [
    "balance_transaction",
    "customer_account",
    "payment_method",
    "receipt_number",
    "source_transfer_reversal",
    "transfer_reversal",
];
const EVIDENCE: [&str; 27] = [
    "access_activity_log",
    "billing_address",
    "cancellation_policy",
    "cancellation_policy_disclosure",
    "cancellation_rebuttal",
    "customer_communication",
    "customer_email_address",
    "customer_name",
    "customer_purchase_ip",
    "customer_signature",
    "duplicate_charge_documentation",
    "duplicate_charge_explanation",
    "duplicate_charge_id",
    "product_description",
    "receipt",
    "refund_policy",
    "refund_policy_disclosure",
    "refund_refusal_explanation",
    "service_date",
    "service_documentation",
    "shipping_address",
    "shipping_carrier",
    "shipping_date",
    "shipping_documentation",
    "shipping_tracking_number",
    "uncategorized_file",
    "uncategorized_text",
];

impl Refund {
    /// The JSON of it.
    pub(in super::super) fn json(&self, shape: Shape) -> Value {
        let card = json!({
            "reference_status": "pending", "reference_type": "acquirer_reference_number",
            "type": "refund",
        });
        let object = json!({
            "id": &*self.id, "object": "refund", "created": self.created, "amount": self.amount,
            "charge": &*self.charge, "currency": &*self.currency, "customer": &*self.customer,
            "destination_details": { "card": card, "type": "card" }, "metadata": *self.metadata,
            "payment_intent": &*self.intent, "reason": self.reason, "status": "succeeded",
        });
        shape.finish(object, &REFUND_NULLS)
    }
}

impl Dispute {
    /// The JSON of it.
    pub(in super::super) fn json(&self, shape: Shape) -> Value {
        let state: &str = self.state.into();
        let mut evidence: Map<String, Value> =
            EVIDENCE.iter().map(|name| ((*name).to_owned(), Value::Null)).collect();
        evidence.insert("enhanced_evidence".to_owned(), json!({}));
        let details = json!({
            "due_by": self.created + 7 * DAY, "enhanced_eligibility": {}, "has_evidence": false,
            "past_due": false, "submission_count": 0,
        });
        let card = json!({
            "brand": "visa", "case_type": "chargeback", "network_reason_code": "10.4",
            "network": "visa",
        });
        let object = json!({
            "id": &*self.id, "object": "dispute", "created": self.created, "livemode": false,
            "amount": self.amount, "balance_transactions": [], "charge": &*self.charge,
            "currency": &*self.currency, "enhanced_eligibility_types": [],
            "evidence": evidence, "evidence_details": details,
            "is_charge_refundable": self.state == DisputeState::Won, "metadata": {},
            "payment_intent": &*self.intent,
            "payment_method_details": { "card": card, "type": "card" }, "reason": "fraudulent",
            "status": state,
        });
        shape.finish(object, &[])
    }
}
