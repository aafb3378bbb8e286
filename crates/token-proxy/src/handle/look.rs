//! What a tenant may look at: its models and its usage. Nothing is admitted, nothing costs.

use http::{HeaderMap, Response};
use oc_domain::ModelId;
use oc_platform_token::Claims;
use oc_streams::{Look, Policy, Standing};
use serde_json::{Value, json};

use super::Handler;
use crate::{
    admit::Refusal,
    answer::{Problem, json_response},
    relay::Body,
};

impl Handler {
    /// The models that the tenant may use, in the form of the dialect that asks.
    pub(super) async fn models(
        &mut self,
        claims: &Claims,
        headers: &HeaderMap,
    ) -> Result<Response<Body>, Problem> {
        let (models, ..) = self.known(claims).await?;
        let list = if headers.contains_key("anthropic-version") {
            let data: Vec<Value> = models
                .iter()
                .map(|model| {
                    json!({"type": "model", "id": model.get().alias,
                        "display_name": model.get().title, "created_at": "1970-01-01T00:00:00Z"})
                })
                .collect();
            let id = |model: Option<&ModelId>| model.map(|model| model.get().alias.clone());
            json!({"data": data, "has_more": false,
                "first_id": id(models.first()), "last_id": id(models.last())})
        } else {
            let data: Vec<Value> = models
                .iter()
                .map(|model| {
                    json!({"id": model.get().alias, "object": "model", "created": 0,
                        "owned_by": "openclaw"})
                })
                .collect();
            json!({"object": "list", "data": data})
        };
        Ok(json_response(&list))
    }

    /// The tenant's quota, and what is left of it.
    pub(super) async fn usage(&mut self, claims: &Claims) -> Result<Response<Body>, Problem> {
        let (_, policy, active, standing) = self.known(claims).await?;
        let quota = standing.map(|standing| {
            let Standing { limit, used, reserved, ends_ms } = standing;
            let ends = i64::try_from(ends_ms).ok();
            let ends = ends.and_then(|ms| jiff::Timestamp::from_millisecond(ms).ok());
            json!({
                "limit_tokens": limit, "used_tokens": used, "reserved_tokens": reserved,
                "remaining_tokens": limit.saturating_sub(used + reserved),
                "period_ends_at": ends.map(|ends| ends.to_string()),
            })
        });
        let tier = policy.tier.to_string();
        Ok(json_response(&json!({"tenant": claims.tenant, "tier": tier, "active": active,
            "quota": quota})))
    }

    async fn known(
        &mut self,
        claims: &Claims,
    ) -> Result<(Vec<ModelId>, Policy, bool, Option<Standing>), Problem> {
        match self.gatekeeper.look(claims).await {
            Ok(Look::Known { policy, active, models, standing }) => {
                Ok((models, policy, active, standing))
            }
            Err(Refusal::Problem(problem)) => Err(problem),
            Ok(Look::Other(_)) | Err(Refusal::Notice(..)) => Err(Problem::Unavailable),
        }
    }
}
