//! The plan for people: what matters first, bars for what runs out.

use anstyle::{AnsiColor, Style};
use comfy_table::{Cell, CellAlignment, Color};

use super::{
    amount::Resource,
    outlook::{Brief, Need, Offer, Outlook, PoolOutlook, TierOutlook, Totals},
    subject::Counts,
};
use crate::{
    failure::plural,
    tenant::{print, table},
};

const BOLD: Style = Style::new().bold();
const DIM: Style = Style::new().dimmed();
const RED: Style = AnsiColor::Red.on_default().bold();

/// How many blocks a full bar has.
const BAR: u64 = 20;

/// Prints the plan.
pub(super) fn plan(outlook: &Outlook) {
    let Outlook { totals, tenants, .. } = outlook;
    anstream::println!("{BOLD}{}{BOLD:#}", headline(totals));
    anstream::println!("{}, {}", states(*tenants), plural(outlook.nodes, "node"));
    for problem in &outlook.problems {
        anstream::println!("{RED}impossible:{RED:#} {}", problem.message);
    }
    anstream::println!();
    pools(&outlook.pools);
    anstream::println!();
    tiers(&outlook.tiers, totals);
    anstream::println!();
    for offer in &outlook.offers {
        anstream::println!("{}", in_words(offer, &outlook.prices_checked));
    }
    anstream::println!("{DIM}model: {}{DIM:#}", outlook.model_cost);
    let rate = outlook.exchange.us_cents_per_100_eur;
    anstream::println!(
        "{DIM}cluster: {} a month at prices of {} and ${}.{:04} a euro of {}{DIM:#}",
        euros(totals.cluster_eur_cents),
        outlook.prices_checked,
        rate / 10_000,
        rate % 10_000,
        outlook.exchange.checked
    );
    for note in &outlook.notes {
        anstream::println!("{DIM}note: {note}{DIM:#}");
    }
}

/// Prints what a change does to money and room.
pub(super) fn change(text: &str, before: &Brief, after: &Brief) {
    anstream::println!("\n{BOLD}what if {text}{BOLD:#}");
    for line in changes(before, after) {
        anstream::println!("{line}");
    }
}

/// A line for each of revenue, costs, margin and room that a change moves.
pub(crate) fn changes(before: &Brief, after: &Brief) -> Vec<String> {
    let (a, b) = (&before.totals, &after.totals);
    let money = [
        ("cluster", a.cluster_cents.cast_signed(), b.cluster_cents.cast_signed()),
        ("model", a.model_cents.cast_signed(), b.model_cents.cast_signed()),
        ("margin", a.margin_cents, b.margin_cents),
    ];
    let mut lines = Vec::new();
    for (name, before, after) in money.into_iter().filter(|(_, a, b)| a != b) {
        let by = after.saturating_sub(before);
        let sign = if by < 0 { "" } else { "+" };
        lines.push(format!(
            "{name}: {} to {} a month ({sign}{})",
            dollars(before),
            dollars(after),
            dollars(by)
        ));
    }
    let moved = |(tier, a): (&oc_domain::TierId, &u64)| {
        let b = after.room.get(tier).filter(|b| *b != a)?;
        Some(format!("{tier} {a} to {b}"))
    };
    let room: Vec<String> = before.room.iter().filter_map(moved).collect();
    if !room.is_empty() {
        lines.push(format!("room for more: {}", room.join(", ")));
    }
    if before.waiting != after.waiting {
        lines.push(format!("tenants without a place: {} to {}", before.waiting, after.waiting));
    }
    lines
}

/// All money in a line.
pub(super) fn headline(totals: &Totals) -> String {
    format!("{}: {}", margin(totals), account(totals))
}

/// What is left of the revenue.
pub(super) fn margin(totals: &Totals) -> String {
    let Totals { revenue_cents, margin_cents, .. } = totals;
    let percent = percent(*margin_cents, *revenue_cents);
    format!("margin {} a month{percent}", dollars(*margin_cents))
}

/// Where the margin comes from.
pub(super) fn account(totals: &Totals) -> String {
    let Totals { revenue_cents, cluster_cents, model_cents, .. } = totals;
    format!(
        "{} revenue, less {} cluster, less {} model",
        dollars(revenue_cents.cast_signed()),
        dollars(cluster_cents.cast_signed()),
        dollars(model_cents.cast_signed())
    )
}

fn percent(margin_cents: i64, revenue_cents: u64) -> String {
    let percent = i128::from(margin_cents) * 100;
    match percent.checked_div(i128::from(revenue_cents)) {
        Some(percent) => format!(" ({percent} %)"),
        None => String::new(),
    }
}

/// Tenants by what they do.
pub(super) fn states(counts: Counts) -> String {
    let Counts { running, held, suspended, deleted } = counts;
    let tenants = running + held + suspended;
    let noun = if tenants == 1 { "tenant" } else { "tenants" };
    let mut parts = vec![format!("{} {noun}: {} running", number(tenants), number(running))];
    for (count, name) in [(held, "held"), (suspended, "suspended"), (deleted, "deleted before")] {
        if count > 0 {
            parts.push(format!("{} {name}", number(count)));
        }
    }
    parts.join(", ")
}

fn pools(pools: &[PoolOutlook]) {
    let mut all = table(["POOL", "", "", "", "ASKED FOR", "OF"]);
    for column in all.column_iter_mut().skip(3) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    for (index, pool) in pools.iter().filter(|pool| is_shown(pool)).enumerate() {
        if index > 0 {
            all.add_row([""]);
        }
        let cost = dollars(pool.cents.cast_signed());
        let mut head =
            [pool.pool.to_owned(), format!("{}, {cost}", plural(pool.nodes, "node"))].into_iter();
        for need in &pool.needs {
            let (filled, percent) = (bar(need), need.percent());
            let colour = match percent {
                None | Some(0..=79) => Color::Green,
                Some(80..=100) => Color::Yellow,
                Some(_) => Color::Red,
            };
            let percent = percent.map(|percent| format!("{percent} %")).unwrap_or_default();
            let most = need.allocatable.map(|most| amount(need.resource, most));
            all.add_row([
                Cell::new(head.next().unwrap_or_default()),
                Cell::new(need.resource),
                Cell::new(filled).fg(colour),
                Cell::new(percent),
                Cell::new(amount(need.resource, need.requested)),
                Cell::new(most.unwrap_or_else(|| "no limit".to_owned())),
            ]);
        }
    }
    print(&mut all);
}

/// Whether there is something to say of a pool.
pub(super) fn is_shown(pool: &PoolOutlook) -> bool {
    pool.nodes > 0 || pool.needs.iter().any(|need| need.requested > 0)
}

fn bar(need: &Need) -> String {
    let Some(percent) = need.percent() else { return String::new() };
    let filled = (percent.min(100) * BAR).div_ceil(100);
    (0..BAR).map(|block| if block < filled { '█' } else { '░' }).collect()
}

fn tiers(tiers: &[TierOutlook], totals: &Totals) {
    let header =
        ["TIER", "RUN", "REST", "WAIT", "ROOM FOR", "REVENUE", "CLUSTER", "MODEL", "MARGIN"];
    let mut all = table(header);
    for column in all.column_iter_mut().skip(1) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    for tier in tiers {
        let waiting = Cell::new(count(tier.waiting));
        let model = tier.model_cents.map_or("?".to_owned(), |cents| dollars(cents.cast_signed()));
        all.add_row([
            Cell::new(tier.tier),
            Cell::new(count(tier.tenants.running)),
            Cell::new(count(tier.tenants.held + tier.tenants.suspended)),
            if tier.waiting > 0 { waiting.fg(Color::Red) } else { waiting },
            Cell::new(number(tier.room)),
            Cell::new(dollars(tier.revenue_cents.cast_signed())),
            Cell::new(dollars(tier.cluster_cents.cast_signed())),
            Cell::new(model),
            Cell::new(dollars(tier.margin_cents)),
        ]);
    }
    if totals.unused_cents > 0 {
        let unused = dollars(totals.unused_cents.cast_signed());
        let less = dollars(-totals.unused_cents.cast_signed());
        let none = String::new;
        all.add_row([
            "no tenant".to_owned(),
            none(),
            none(),
            none(),
            none(),
            none(),
            unused,
            none(),
            less,
        ]);
    }
    print(&mut all);
}

/// What a server brings.
pub(super) fn in_words(offer: &Offer, checked: &str) -> String {
    let Offer { server_type, pool, cents, eur_cents, takes, tier, places, room, .. } = offer;
    let each = dollars((cents / takes.max(&1)).cast_signed());
    let head = if offer.orderable {
        format!("next server: {server_type} in pool {pool}")
    } else {
        format!("cheaper, but Hetzner took no order on {checked}: {server_type} in pool {pool}")
    };
    let price = format!("{} ({}) a month", dollars(cents.cast_signed()), euros(*eur_cents));
    let waiting = match places {
        0 => String::new(),
        1 => "a place for 1 that waits, ".to_owned(),
        places => format!("a place for {places} that wait, "),
    };
    let revenue = dollars(offer.revenue_cents.cast_signed());
    format!(
        "{head}, {price}: {waiting}room for {room} more {tier} ({revenue}), {each} each when full"
    )
}

/// So much of a resource, for people.
pub(super) fn amount(resource: Resource, value: u64) -> String {
    let tenths = match resource {
        Resource::Cpu => value / 100,
        Resource::Memory | Resource::Disk => value.saturating_mul(10) / 1024,
        Resource::Pods | Resource::Volumes => return number(value),
    };
    let text = format!("{}.{}", number(tenths / 10), tenths % 10);
    if resource == Resource::Cpu { text } else { format!("{text} GiB") }
}

/// A count where nothing is the dull case.
fn count(count: u64) -> String {
    if count == 0 { "-".to_owned() } else { number(count) }
}

/// `1,234,567`.
pub(crate) fn number(value: u64) -> String {
    let digits = value.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// US cents as dollars.
pub(crate) fn dollars(cents: i64) -> String {
    let sign = if cents < 0 { "-" } else { "" };
    let cents = cents.unsigned_abs();
    format!("{sign}${}.{:02}", number(cents / 100), cents % 100)
}

fn euros(cents: u64) -> String {
    format!("€{}.{:02}", number(cents / 100), cents % 100)
}
