//! The words of the pages.

/// What a page says in one language.
pub(super) struct Words {
    pub(super) lang: &'static str,
    pub(super) subscribe: &'static str,
    pub(super) trial_days: &'static str,
    pub(super) pay: &'static str,
    pub(super) pay_once: &'static str,
    pub(super) pay_declined: &'static str,
    pub(super) without_card: &'static str,
    pub(super) declined: &'static str,
    pub(super) back: &'static str,
    pub(super) portal: &'static str,
    pub(super) invoice: &'static str,
    pub(super) no_card: &'static str,
    pub(super) good_card: &'static str,
    pub(super) bad_card: &'static str,
    pub(super) ends: &'static str,
    pub(super) renews: &'static str,
    pub(super) cancel: &'static str,
    pub(super) undo: &'static str,
    pub(super) cancel_now: &'static str,
    pub(super) card_works: &'static str,
    pub(super) card_declines: &'static str,
}

const ENGLISH: Words = Words {
    lang: "en",
    subscribe: "Subscribe to",
    trial_days: "Days of trial",
    pay: "Pay",
    pay_once: "Pay with a card that fails later",
    pay_declined: "Pay with a card that is declined",
    without_card: "Start without a card",
    declined: "Your card was declined.",
    back: "Back",
    portal: "Your subscription",
    invoice: "Invoice",
    no_card: "No card",
    good_card: "A card that works",
    bad_card: "A card that is declined",
    ends: "ends on",
    renews: "renews on",
    cancel: "Cancel at the end of the period",
    undo: "Keep the subscription",
    cancel_now: "Cancel now",
    card_works: "Use a card that works",
    card_declines: "Use a card that is declined",
};

const PORTUGUESE: Words = Words {
    lang: "pt-BR",
    subscribe: "Assinar",
    trial_days: "Dias de teste",
    pay: "Pagar",
    pay_once: "Pagar com um cartão que falha depois",
    pay_declined: "Pagar com um cartão recusado",
    without_card: "Começar sem cartão",
    declined: "Seu cartão foi recusado.",
    back: "Voltar",
    portal: "Sua assinatura",
    invoice: "Fatura",
    no_card: "Sem cartão",
    good_card: "Um cartão que funciona",
    bad_card: "Um cartão que é recusado",
    ends: "termina em",
    renews: "renova em",
    cancel: "Cancelar no fim do período",
    undo: "Manter a assinatura",
    cancel_now: "Cancelar agora",
    card_works: "Usar um cartão que funciona",
    card_declines: "Usar um cartão recusado",
};

impl Words {
    /// Portuguese for every kind of it, English for all else.
    pub(super) fn of(locale: Option<&str>) -> &'static Self {
        if locale.is_some_and(|locale| locale.starts_with("pt")) { &PORTUGUESE } else { &ENGLISH }
    }
}
