//! `catalog`: what people and the web are shown of it.

use serde_json::Value;

use crate::support::{Fleet, pretty};

/// It needs no fleet: the catalog is in the binary.
#[test]
fn every_part_is_shown_alone_and_with_the_others() {
    let outside = Fleet::empty();
    let parts = ["tiers", "niches", "providers"];
    let alone: Vec<String> = parts.iter().map(|part| outside.good(&["catalog", part])).collect();
    assert_eq!(outside.good(&["catalog"]), alone.join("\n"));
    let all: Value = serde_json::from_str(&outside.good(&["catalog", "--json"])).unwrap();
    for part in parts {
        let one = outside.good(&["catalog", part, "--json"]);
        let one: Value = serde_json::from_str(&one).unwrap();
        assert_eq!(one[part], all[part]);
        assert_eq!(one.as_object().unwrap().len(), 1);
        for id in one[part].as_object().unwrap().keys() {
            assert!(alone.concat().contains(id.as_str()), "{part}: {id}");
        }
    }
    assert_eq!(all["tiers"]["starter"]["priceCents"], 1900);
    assert_eq!(all["tiers"]["enterprise"]["tokensPerMonth"], "by-contract");
    assert!(all["niches"]["pharmacy"]["title"]["pt-BR"].is_string());
    assert_eq!(outside.run(&["catalog", "prices"]).code, 2);
}

#[test]
fn tiers_read_well() {
    insta::assert_snapshot!(Fleet::empty().good(&["catalog", "tiers"]));
}

#[test]
fn niches_read_well() {
    insta::assert_snapshot!(Fleet::empty().good(&["catalog", "niches"]));
}

#[test]
fn providers_read_well() {
    insta::assert_snapshot!(Fleet::empty().good(&["catalog", "providers"]));
}

/// The web takes it, so its shape is a contract; the words of niches are no part of it.
#[test]
fn the_json_keeps_its_shape() {
    let mut all: Value =
        serde_json::from_str(&Fleet::empty().good(&["catalog", "--json"])).unwrap();
    for niche in all["niches"].as_object_mut().unwrap().values_mut() {
        wordless(niche);
    }
    insta::assert_snapshot!(pretty(&all));
}

/// Puts "text" for each text in two languages, and one for each list of them.
fn wordless(value: &mut Value) {
    match value {
        Value::Object(fields) if fields.contains_key("pt-BR") => {
            fields.values_mut().for_each(|text| *text = "text".into());
        }
        Value::Object(fields) => fields.values_mut().for_each(wordless),
        Value::Array(items) if items.iter().all(Value::is_object) => {
            items.truncate(1);
            items.iter_mut().for_each(wordless);
        }
        _ => {}
    }
}
