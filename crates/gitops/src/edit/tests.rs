use proptest::prelude::*;
use serde_json::{Map, json};

use super::*;

/// Documents of few keys, so that edits meet.
fn value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        "[a-z/~ç\"\\n]{0,4}".prop_map(Value::from),
        prop::collection::vec(any::<u8>(), 0..3).prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 16, 4, |inner| {
        prop::collection::btree_map(key(), inner, 0..4)
            .prop_map(|fields| Value::Object(fields.into_iter().collect()))
    })
}

fn key() -> impl Strategy<Value = String> {
    prop_oneof!["[ab]", Just("~".to_owned()), Just("a/b".to_owned()), Just(String::new())]
}

fn edits() -> impl Strategy<Value = BTreeMap<String, Option<Value>>> {
    let pointer = prop::collection::vec(key(), 1..4)
        .prop_map(|keys| keys.iter().fold(String::new(), |pointer, key| child(&pointer, key)));
    prop::collection::btree_map(pointer, prop::option::of(value()), 0..4)
}

/// The same edit on `serde_json`'s own tree, by its own pointers.
fn model(document: &mut Value, pointer: &str, after: Option<&Value>) -> Result<(), ()> {
    let (parent, key) = pointer.rsplit_once('/').unwrap();
    let key = key.replace("~1", "/").replace("~0", "~");
    let mut above = String::new();
    for token in parent.split('/').skip(1) {
        let key = token.replace("~1", "/").replace("~0", "~");
        let Some(fields) = document.pointer_mut(&above).unwrap().as_object_mut() else {
            return Err(());
        };
        match after {
            Some(_) => drop(fields.entry(key).or_insert(Value::Object(Map::new()))),
            None if !fields.contains_key(&key) => return Ok(()),
            None => {}
        }
        above = [&above, "/", token].concat();
    }
    let fields = document.pointer_mut(&above).unwrap().as_object_mut().ok_or(())?;
    match after {
        Some(after) => drop(fields.insert(key, after.clone())),
        None => drop(fields.remove(&key)),
    }
    Ok(())
}

fn keys(node: &Node) -> Vec<&str> {
    match node {
        Node::Object(fields) => fields.iter().map(|(key, _)| key.as_str()).collect(),
        Node::Other(_) => Vec::new(),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn any_sequence_of_edits_does_what_the_model_does(
        start in prop::collection::btree_map(key(), value(), 0..4),
        sequence in prop::collection::vec(edits(), 0..6),
    ) {
        let mut expected = Value::Object(start.into_iter().collect());
        let mut node: Node = serde_json::from_str(&expected.to_string()).unwrap();
        for edits in &sequence {
            let (before, order) = (expected.clone(), node.clone());
            let refused = edits
                .iter()
                .any(|(pointer, after)| model(&mut expected, pointer, after.as_ref()).is_err());
            let changed = apply(&mut node, edits);
            prop_assert_eq!(changed.is_err(), refused);
            if refused {
                // The caller throws the document away.
                (expected, node) = (before, order);
                continue;
            }
            prop_assert_eq!(node.value(), expected.clone());
            if changed.unwrap().is_empty() {
                prop_assert_eq!(expected.clone(), before);
            }
            let kept: Vec<&str> =
                keys(&order).into_iter().filter(|key| keys(&node).contains(key)).collect();
            // What is removed and put again within one batch comes last, as what is new.
            prop_assert!(keys(&node).starts_with(&kept) || edits.len() > 1);
        }
        let text = serde_json::to_string(&node).unwrap();
        prop_assert_eq!(serde_json::from_str::<Value>(&text).unwrap(), expected);
    }
}

#[test]
fn an_edit_keeps_the_order_of_keys_and_every_other_field() {
    let text = r#"{"z":{"y":1,"b":[{"q":1}]},"a":"x"}"#;
    let mut node: Node = serde_json::from_str(text).unwrap();
    let edits = BTreeMap::from([
        ("/z/y".to_owned(), Some(json!(2))),
        ("/z/new/deep".to_owned(), Some(json!(true))),
        ("/a".to_owned(), None),
    ]);
    assert_eq!(apply(&mut node, &edits).unwrap().len(), 3);
    let text = serde_json::to_string(&node).unwrap();
    assert_eq!(text, r#"{"z":{"y":2,"b":[{"q":1}],"new":{"deep":true}}}"#);
}

#[test]
fn what_is_no_pointer_to_a_field_is_refused() {
    let mut node: Node = serde_json::from_str(r#"{"list":[1],"a":{}}"#).unwrap();
    for pointer in ["", "a", "/~2", "/a~", "/list/0", "/list/-"] {
        let edits = BTreeMap::from([(pointer.to_owned(), Some(json!(1)))]);
        assert!(apply(&mut node, &edits).is_err(), "{pointer:?}");
    }
}
