//! The desk of the local stack: a page that sells agents and leads to the chat, in the place of the
//! web until that is there.

use std::{collections::HashMap, net::SocketAddr, sync::Arc};

use anyhow::{Context as _, Result};
use axum::{
    Form, Json, Router,
    extract::{Path, State},
    http::StatusCode,
    response::{Html, IntoResponse, Redirect, Response},
    routing::{get, post},
};
use kube::{Api, Client};
use oc_domain::{AccountId, Locale, NicheId, TenantId, TierId, tenant::Tenant};
use parking_lot::Mutex;
use serde::Deserialize;
use serde_json::{Value, json};
use strum::VariantArray as _;
use tokio::{net::TcpListener, task::JoinSet};

use crate::journey::{Bot, Journey, Order};

/// A running desk; it ends when it is dropped.
#[derive(Debug)]
pub struct Desk {
    /// Where it is.
    pub url: String,
    _server: JoinSet<()>,
}

struct Shared {
    journey: Journey,
    kubernetes: Client,
    url: String,
    /// The token of a real bot.
    bot: Option<String>,
    /// Whoever asks second waits until the first one has connected a bot.
    connecting: tokio::sync::Mutex<()>,
    /// Where each account's chat is.
    connected: Mutex<HashMap<AccountId, String>>,
    /// Who pays on each page of Stripe.
    sessions: Mutex<HashMap<String, AccountId>>,
}

impl Desk {
    /// Sells at `listen`, or at a free port where that is taken. With `bot` the next agent answers as
    /// that bot, without it each one as a new bot of the stand-in.
    pub async fn start(
        listen: SocketAddr,
        journey: Journey,
        kubernetes: Client,
        bot: Option<String>,
    ) -> Result<Self> {
        let listener = match TcpListener::bind(listen).await {
            Ok(listener) => listener,
            Err(_) => TcpListener::bind((listen.ip(), 0)).await?,
        };
        let url = format!("http://{}", listener.local_addr()?);
        let shared = Arc::new(Shared {
            journey,
            kubernetes,
            url: url.clone(),
            bot,
            connecting: tokio::sync::Mutex::default(),
            connected: Mutex::default(),
            sessions: Mutex::default(),
        });
        let router = Router::new()
            .route("/", get(shop))
            .route("/buy", post(buy))
            .route("/thanks/{session}", get(thanks))
            .route("/progress/{session}", get(progress))
            .with_state(shared);
        let mut server = JoinSet::new();
        server.spawn(async move {
            // It ends with the desk.
            let _ = axum::serve(listener, router).await;
        });
        Ok(Self { url, _server: server })
    }
}

/// What is wrong, as a page of one line.
struct Problem(anyhow::Error);

impl<E: Into<anyhow::Error>> From<E> for Problem {
    fn from(error: E) -> Self {
        Self(error.into())
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        (StatusCode::INTERNAL_SERVER_ERROR, format!("{:#}\n", self.0)).into_response()
    }
}

async fn shop() -> Html<String> {
    let button = |tier: &TierId, price| {
        format!(
            "<button name=tier value={tier}><b>{tier}</b><span>US$ {price} / mês</span></button>"
        )
    };
    let option = |value: String, text: &str| format!("<option value={value}>{text}</option>");
    let niches: Vec<String> = NicheId::VARIANTS
        .iter()
        .map(|niche| option(niche.to_string(), niche.get().title.get(Locale::PtBr)))
        .collect();
    let mut tiers = String::new();
    for tier in TierId::VARIANTS.iter().filter(|tier| tier.get().tokens_per_month.most().is_some())
    {
        let price = tier.get().price_cents / 100;
        tiers += &button(tier, price);
    }
    let page = include_str!("desk/shop.html");
    Html(page.replace("<!--niches-->", &niches.concat()).replace("<!--tiers-->", &tiers))
}

#[derive(Deserialize)]
struct Wish {
    tier: TierId,
    niche: NicheId,
    locale: Locale,
}

async fn buy(
    State(shared): State<Arc<Shared>>,
    Form(wish): Form<Wish>,
) -> Result<Redirect, Problem> {
    let number = oc_service::Clock::system().now().as_millisecond();
    let email = format!("cliente-{number}@example.com");
    // Stripe fills it in.
    let thanks = format!("{}/thanks/{{CHECKOUT_SESSION_ID}}", shared.url);
    let order = Order {
        email: &email,
        tier: wish.tier,
        niche: wish.niche,
        locale: wish.locale,
        thanks: &thanks,
    };
    let page = shared.journey.order(order).await?;
    shared.sessions.lock().insert(page.session().to_owned(), page.account.clone());
    Ok(Redirect::to(&page.url))
}

async fn thanks() -> Html<&'static str> {
    Html(include_str!("desk/thanks.html"))
}

/// How far an order is, and where its chat is once there is a bot.
async fn progress(
    State(shared): State<Arc<Shared>>,
    Path(session): Path<String>,
) -> Result<Json<Value>, Problem> {
    let account = shared.sessions.lock().get(&session).cloned();
    let account = account.context("a page of an earlier desk: look into the chat page")?;
    let Some(tenant) = shared.journey.tenant(&account).await? else {
        return Ok(Json(json!({})));
    };
    let chat = shared.chat(&account, &tenant).await?;
    let tenants: Api<Tenant> = Api::all(shared.kubernetes.clone());
    let status = tenants.get_opt(tenant.as_str()).await?.and_then(|tenant| tenant.status);
    let phase = status.and_then(|status| status.phase).map(|phase| phase.to_string());
    Ok(Json(json!({"tenant": tenant, "phase": phase, "chat": chat})))
}

impl Shared {
    /// Where a person talks to the agent: the first to ask connects its bot.
    async fn chat(&self, account: &AccountId, tenant: &TenantId) -> Result<String> {
        let _one = self.connecting.lock().await;
        if let Some(chat) = self.connected.lock().get(account) {
            return Ok(chat.clone());
        }
        let token = if let Some(token) = &self.bot {
            token.clone()
        } else {
            let username = format!("{}_bot", tenant.as_str().replace('-', "_"));
            let Bot { token, .. } = self.journey.new_bot("Agente", &username).await?;
            token
        };
        self.journey.connect(tenant, &token).await?;
        let invitation = self.journey.invite(tenant).await?;
        // The stand-in has the same paths as t.me.
        let chat = match self.journey.telegram() {
            Ok(telegram) => invitation.url.replace("https://t.me", &format!("{telegram}/t.me")),
            Err(_) => invitation.url,
        };
        self.connected.lock().insert(account.clone(), chat.clone());
        Ok(chat)
    }
}
