//! What tenants used in a month, measured: a CSV file made from the ledger.

use std::{collections::BTreeMap, path::Path};

use oc_domain::{Diagnostic, TierId};

use super::data::{Assumptions, read_text};
use crate::failure::{Failure, print_diagnostics};

/// The columns that may be there; `account` is for whoever looks into the file.
const COLUMNS: [&str; 5] = ["tier", "account", "tenants", "tokens", "cost_nano_usd"];

/// What the tenants of each tier used in a month.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Usage {
    tiers: BTreeMap<TierId, Sum>,
}

/// The use of several tenants.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Sum {
    tenants: u64,
    nano_usd: u128,
}

impl Usage {
    /// Reads the file; tokens without a cost are priced by `assumptions`.
    pub(crate) fn read(path: &Path, assumptions: &Assumptions) -> Result<Self, Failure> {
        let name = path.display().to_string();
        Self::parse(&read_text(path)?, assumptions).map_err(|errors| {
            let at = |(line, message): (usize, String)| {
                Diagnostic::error(&name, format!("line {line}"), message)
            };
            print_diagnostics(&errors.into_iter().map(at).collect::<Vec<_>>());
            Failure::Invalid
        })
    }

    /// The use of so many tenants of the tier, in billionths of a US dollar; nothing where none was
    /// measured.
    pub(crate) fn nano_usd(&self, tier: TierId, tenants: u64) -> Option<u128> {
        let sum = self.tiers.get(&tier).filter(|sum| sum.tenants > 0)?;
        Some(sum.nano_usd.saturating_mul(u128::from(tenants)) / u128::from(sum.tenants))
    }

    /// Every row, or every line that is none, by its number.
    fn parse(text: &str, assumptions: &Assumptions) -> Result<Self, Vec<(usize, String)>> {
        let mut lines = text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty());
        let (_, header) = lines.next().unwrap_or_default();
        let columns: Vec<&str> = header.split(',').map(str::trim).collect();
        check_header(&columns).map_err(|message| vec![(1, message)])?;
        let mut usage = Self::default();
        let mut errors = Vec::new();
        for (index, line) in lines {
            match row(&columns, line, assumptions) {
                Ok((tier, more)) => {
                    let sum = usage.tiers.entry(tier).or_default();
                    sum.tenants = sum.tenants.saturating_add(more.tenants);
                    sum.nano_usd = sum.nano_usd.saturating_add(more.nano_usd);
                }
                Err(message) => errors.push((index + 1, message)),
            }
        }
        if errors.is_empty() { Ok(usage) } else { Err(errors) }
    }
}

fn check_header(columns: &[&str]) -> Result<(), String> {
    let wanted = COLUMNS.join(", ");
    let mut seen = Vec::new();
    for column in columns {
        if !COLUMNS.contains(column) || seen.contains(column) {
            return Err(format!("found the column {column:?}, expected each once of {wanted}"));
        }
        seen.push(*column);
    }
    let has = |name| seen.contains(&name);
    if !has("tier") || !(has("tokens") || has("cost_nano_usd")) {
        return Err(format!("expected the columns tier and tokens or cost_nano_usd, of {wanted}"));
    }
    Ok(())
}

fn row(columns: &[&str], line: &str, assumptions: &Assumptions) -> Result<(TierId, Sum), String> {
    let values: Vec<&str> = line.split(',').map(str::trim).collect();
    if values.len() != columns.len() {
        return Err(format!("found {} values, expected {}", values.len(), columns.len()));
    }
    let value = |name: &str| {
        columns.iter().zip(&values).find_map(|(column, value)| (*column == name).then_some(*value))
    };
    let number = |name: &str| {
        let read = |text: &str| {
            text.parse::<u64>().map_err(|_| format!("{name}: found {text:?}, expected a number"))
        };
        value(name).map(read).transpose()
    };
    let tier = value("tier").unwrap_or_default();
    let tier = tier.parse().map_err(|_| format!("tier: found {tier:?}, expected a tier"))?;
    let tenants = number("tenants")?.unwrap_or(1);
    let tokens = number("tokens")?.unwrap_or_default();
    let measured = number("cost_nano_usd")?.map(u128::from);
    let nano_usd = measured.unwrap_or_else(|| assumptions.nano_usd(tokens));
    if tenants == 0 && nano_usd > 0 {
        return Err("tenants: found 0, expected whoever used that".to_owned());
    }
    Ok((tier, Sum { tenants, nano_usd }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Usage, Vec<(usize, String)>> {
        Usage::parse(text, &Assumptions::embedded())
    }

    #[test]
    fn rows_of_accounts_and_of_tiers_add_up() {
        let usage = parse("tier,account,tokens\nstarter,a-1,1000000\nstarter,a-2,0\n").unwrap();
        // 2 US dollars between two tenants.
        assert_eq!(usage.nano_usd(TierId::Starter, 10), Some(10_000_000_000));
        assert_eq!(usage.nano_usd(TierId::Pro, 10), None);
        let by_tier = parse("tenants,tier,tokens\n2,starter,1000000\n").unwrap();
        assert_eq!(by_tier, usage);
    }

    #[test]
    fn a_measured_cost_goes_before_a_price() {
        let usage = parse("tier,tokens,cost_nano_usd\r\npro,5000000,7\r\n\r\n").unwrap();
        assert_eq!(usage.nano_usd(TierId::Pro, 1), Some(7));
    }

    #[test]
    fn every_wrong_line_is_named() {
        let errors = parse("tier,tokens\ngold,1\npro,-1\nstarter\npro,5\n").unwrap_err();
        assert_eq!(errors.iter().map(|(line, _)| *line).collect::<Vec<_>>(), [2, 3, 4]);
        for header in ["", "tokens", "tier", "tier,tier,tokens", "tier,tokens,colour"] {
            assert_eq!(parse(header).unwrap_err()[0].0, 1, "{header:?}");
        }
        assert!(parse("tier,tenants,tokens\npro,0,5\n").is_err());
    }
}
