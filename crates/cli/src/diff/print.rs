//! The report for people.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BTreeSet},
};

use anstyle::{AnsiColor, Style};
use serde_json::Value;

use super::{
    classify::Effect,
    compare::Difference,
    report::{Change, Report, Revenue, TenantChange, What},
};
use crate::{failure::plural, plan};

const BOLD: Style = Style::new().bold();
const RED: Style = AnsiColor::Red.on_default().bold();
const DIM: Style = Style::new().dimmed();

/// How many tenants of a group are named.
const SHOWN: usize = 5;

impl Report {
    /// Prints the report: tenants to whom the same happens stand together.
    pub(super) fn print(&self, against: &str) {
        if self.is_empty() {
            anstream::println!("no change against {against}");
            return;
        }
        for difference in &self.inventory {
            let note = node_note(difference);
            anstream::println!("{BOLD}inventory{BOLD:#} {}{note}", in_words(difference));
        }
        for (group, ids) in self.groups() {
            group.print(&ids);
        }
        for line in lines(&self.platform) {
            anstream::println!("{line}");
        }
        self.print_summary();
    }

    /// Tenants by what is printed of them, the largest group first.
    fn groups(&self) -> Vec<(&TenantChange, Vec<&str>)> {
        let mut groups: Vec<(&TenantChange, Vec<&str>)> = Vec::new();
        let mut index: BTreeMap<String, usize> = BTreeMap::new();
        for tenant in &self.tenants {
            let key = format!("{}\n{}", tenant.head(), lines(&tenant.changes).join("\n"));
            if let Some((_, ids)) = index.get(&key).and_then(|at| groups.get_mut(*at)) {
                ids.push(&tenant.id);
            } else {
                index.insert(key, groups.len());
                groups.push((tenant, vec![&tenant.id]));
            }
        }
        groups.sort_by_key(|(first, ids)| (Reverse(ids.len()), &first.id));
        groups
    }

    fn print_summary(&self) {
        let mut whats: BTreeMap<What, usize> = BTreeMap::new();
        let mut effects: BTreeMap<Effect, usize> = BTreeMap::new();
        for tenant in &self.tenants {
            *whats.entry(tenant.what).or_default() += 1;
            for effect in &tenant.effects {
                *effects.entry(*effect).or_default() += 1;
            }
        }
        let mut parts: Vec<String> = whats
            .iter()
            .map(|(what, count)| format!("{} {what}", plural(*count, "tenant")))
            .collect();
        if parts.is_empty() {
            parts.push("no tenant changed".to_owned());
        }
        let objects: BTreeSet<&String> =
            self.platform.iter().map(|change| &change.object).collect();
        if !objects.is_empty() {
            parts.push(format!("{} of the platform", plural(objects.len(), "object")));
        }
        let effects: Vec<String> =
            effects.iter().rev().map(|(effect, count)| format!("{effect} {count}")).collect();
        let effects =
            if effects.is_empty() { String::new() } else { format!(" ({})", effects.join(", ")) };
        anstream::println!("{BOLD}{}{effects}{BOLD:#}", parts.join(", "));
        self.revenue.print();
        for line in plan::changes(&self.plan.before, &self.plan.after) {
            anstream::println!("{line}");
        }
        if self.irreversible() {
            anstream::println!("{RED}some of it cannot be undone by reverting the commit{RED:#}");
        }
    }
}

impl Revenue {
    fn print(&self) {
        let Self { before_cents, after_cents } = *self;
        let (before, after) = (dollars(before_cents), dollars(after_cents));
        let change = dollars(after_cents.abs_diff(before_cents));
        if before_cents == after_cents {
            anstream::println!("revenue at list price: {after} a month, as before");
        } else {
            let sign = if after_cents < before_cents { '-' } else { '+' };
            anstream::println!(
                "revenue at list price: {before} to {after} a month ({sign}{change})"
            );
        }
    }
}

impl TenantChange {
    fn print(&self, ids: &[&str]) {
        let shown = ids.iter().take(SHOWN).copied().collect::<Vec<_>>().join(", ");
        let more = ids.len().saturating_sub(SHOWN);
        let more = if more > 0 { format!(" and {more} more") } else { String::new() };
        let style = if self.irreversible { RED } else { BOLD };
        anstream::println!("{style}{}{style:#} {shown}{more}{}", self.what, self.head());
        for line in lines(&self.changes) {
            anstream::println!("  {line}");
        }
    }

    /// Why and with which result, without the id: what a group has in common.
    fn head(&self) -> String {
        let spec: Vec<String> = self.spec.iter().map(in_words).collect();
        let mut head =
            if spec.is_empty() { String::new() } else { format!(": {}", spec.join(", ")) };
        if let Some(note) = self.note {
            head.push_str(if head.is_empty() { ": " } else { "; " });
            head.push_str(note);
        }
        if self.irreversible {
            head.push_str("; cannot be undone");
        }
        head
    }
}

/// A line for each change, but one for all numbers of a quota.
fn lines(changes: &[Change]) -> Vec<String> {
    let mut lines = Vec::new();
    let same = |a: &Change, b: &Change| a.object == b.object && a.effects == b.effects;
    for group in changes.chunk_by(same) {
        match group {
            [first, _, ..] if first.effects == [Effect::Quota] => {
                lines.push(format!("{}: {} values", first.head(), group.len()));
            }
            _ => lines.extend(group.iter().map(Change::line)),
        }
    }
    lines
}

impl Change {
    fn head(&self) -> String {
        let effects: Vec<String> = self.effects.iter().map(ToString::to_string).collect();
        let irreversible = self.effects.iter().any(|effect| effect.irreversible());
        let style = if irreversible { RED } else { BOLD };
        format!("{style}{}{style:#} {}", effects.join(", "), self.object)
    }

    fn line(&self) -> String {
        let place = match (&self.before, &self.after) {
            (None, None) => String::new(),
            (before, after) => {
                format!(" {} {} to {}", self.pointer, short(before.as_ref()), short(after.as_ref()))
            }
        };
        let note = self.note.map(|note| format!(" {DIM}({note}){DIM:#}")).unwrap_or_default();
        format!("{}{place}{note}", self.head())
    }
}

/// `/tier "starter" to "team"`.
fn in_words(Difference { pointer, before, after }: &Difference) -> String {
    match (before, after) {
        (None, Some(Value::Object(fields))) if fields.len() > 2 => format!("{pointer} is new"),
        (None, Some(after)) => format!("{pointer} is new: {}", short(Some(after))),
        (Some(_), None) => format!("{pointer} is gone"),
        (before, after) => {
            format!("{pointer} {} to {}", short(before.as_ref()), short(after.as_ref()))
        }
    }
}

/// What the change of a whole node asks of its admin, whom no manifest tells.
fn node_note(Difference { pointer, before, after }: &Difference) -> &'static str {
    let node = pointer.strip_prefix("/nodes/").is_some_and(|name| !name.contains('/'));
    match (before, after) {
        (Some(_), None) if node => " (drain it first: volumes on its own disk do not follow)",
        _ => "",
    }
}

/// A value in a few characters: long ones by their size or kind only.
fn short(value: Option<&Value>) -> String {
    match value {
        None => "nothing".to_owned(),
        Some(Value::String(text)) if text.chars().count() > 100 => {
            format!("a text of {} characters", text.chars().count())
        }
        Some(value) => {
            let text = value.to_string();
            match value {
                _ if text.chars().count() <= 100 => text,
                Value::Array(items) => plural(items.len(), "item"),
                Value::Object(fields) => plural(fields.len(), "field"),
                _ => "another value".to_owned(),
            }
        }
    }
}

/// US cents as dollars.
fn dollars(cents: u64) -> String {
    format!("${}.{:02}", cents / 100, cents % 100)
}
