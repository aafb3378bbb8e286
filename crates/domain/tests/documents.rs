//! Properties of the parser on documents that are nearly valid, and on bytes that are anything.

#[cfg(test)]
mod properties {
    use std::{fmt::Debug, sync::LazyLock};

    use jsonschema::Validator;
    use oc_domain::{
        Diagnostic, Inventory, ProviderId,
        document::{self, Document},
        fleet::parse_tenant,
        tenant::{Hold, TenantFile},
    };
    use proptest::{collection::vec, prelude::*, sample::Index};
    use serde::{Serialize, de::DeserializeOwned};
    use serde_json::{Map, Value, json};

    const LIMIT: usize = 1 << 20;

    fn tenant() -> Value {
        json!({
            "apiVersion": "openclaw.cloud/v1alpha1",
            "kind": "Tenant",
            "metadata": { "name": "c-7f3k2m9q" },
            "spec": {
                "tier": "business",
                "niche": "pharmacy",
                "locale": "pt-BR",
                "model": "kimi-coding/k2p5",
                "thinking": "medium",
                "channels": { "telegram": { "enabled": true } },
                "connections": ["github", "linear"],
                "state": "active",
                "hold": { "reason": "ticket 4711" },
            },
        })
    }

    fn inventory() -> Value {
        serde_json::from_str(include_str!("../../../nodes/inventory.json")).unwrap()
    }

    /// What is done to one place of a document.
    #[derive(Clone, Debug)]
    enum Mutation {
        Replace(Value),
        Remove,
        Add(String, Value),
        Repeat,
        /// The same content in a form that serde takes too: a list of an object's values, an object
        /// with the word as its key.
        Disguise,
    }

    fn word() -> impl Strategy<Value = String> {
        prop_oneof![
            "[a-z]{0,8}",
            Just("active".to_owned()),
            Just("name".to_owned()),
            Just("tier".to_owned()),
            Just("c-7f3k2m9q".to_owned()),
            Just("10.0.0.0/16".to_owned()),
            Just("10.0.0.1".to_owned()),
            "[a-zA-Z0-9./~ -]{0,300}",
            any::<String>(),
        ]
    }

    fn value() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            any::<f64>().prop_map(Value::from),
            word().prop_map(Value::from),
        ];
        leaf.prop_recursive(3, 12, 4, |inner| {
            prop_oneof![
                vec(inner.clone(), 0..4).prop_map(Value::from),
                vec((word(), inner), 0..4)
                    .prop_map(|fields| Value::Object(fields.into_iter().collect::<Map<_, _>>())),
            ]
        })
    }

    fn mutations() -> impl Strategy<Value = Vec<(Index, Mutation)>> {
        let mutation = prop_oneof![
            value().prop_map(Mutation::Replace),
            Just(Mutation::Remove),
            (word(), value()).prop_map(|(name, value)| Mutation::Add(name, value)),
            Just(Mutation::Repeat),
            Just(Mutation::Disguise),
        ];
        vec((any::<Index>(), mutation), 0..4)
    }

    /// Every pointer of a document.
    fn pointers(value: &Value, at: &str, found: &mut Vec<String>) {
        found.push(at.to_owned());
        match value {
            Value::Object(fields) => {
                for (name, value) in fields {
                    pointers(value, &oc_domain::diagnostic::child(at, name), found);
                }
            }
            Value::Array(items) => {
                for (index, item) in items.iter().enumerate() {
                    pointers(item, &format!("{at}/{index}"), found);
                }
            }
            _ => {}
        }
    }

    fn mutate(mut document: Value, mutations: Vec<(Index, Mutation)>) -> Value {
        for (index, mutation) in mutations {
            let mut all = Vec::new();
            pointers(&document, "", &mut all);
            let place = document.pointer_mut(&all[index.index(all.len())]).unwrap();
            match (mutation, place) {
                (Mutation::Replace(new), place) => *place = new,
                (Mutation::Remove, Value::Object(fields)) => {
                    let name = fields.keys().nth(index.index(fields.len().max(1))).cloned();
                    name.and_then(|name| fields.remove(&name));
                }
                (Mutation::Remove, Value::Array(items)) => drop(items.pop()),
                (Mutation::Add(name, new), Value::Object(fields)) => {
                    fields.insert(name, new);
                }
                (Mutation::Add(_, new), Value::Array(items)) => items.push(new),
                (Mutation::Repeat, Value::Array(items)) => items.extend(items.clone()),
                (Mutation::Disguise, place) => {
                    *place = match place.take() {
                        Value::Object(fields) => {
                            fields.into_iter().map(|(_, value)| value).collect()
                        }
                        Value::String(word) => json!({ word: null }),
                        other => other,
                    };
                }
                _ => {}
            }
        }
        document
    }

    /// Whether the pointer, or what it would stand in, is in the document.
    fn points_into(document: &Value, pointer: &str) -> bool {
        let parent = pointer.rsplit_once('/').map_or("", |(parent, _)| parent);
        document.pointer(pointer).is_some() || document.pointer(parent).is_some()
    }

    fn says_where_and_what(document: &Value, errors: &[Diagnostic]) -> Result<(), TestCaseError> {
        prop_assert!(!errors.is_empty());
        for error in errors {
            prop_assert!(points_into(document, &error.pointer), "{error}");
            // Serde's own words begin otherwise: there is no refusal that the walk did not see.
            prop_assert!(error.message.starts_with("found "), "{error}");
            prop_assert!(error.message.len() < 1_000, "{error}");
        }
        Ok(())
    }

    /// The parser takes what serde takes, as far as another validator finds that it fits the schema.
    fn agrees<T>(schema: &Validator, document: &Value) -> Result<(), TestCaseError>
    where
        T: Document + DeserializeOwned + Serialize + PartialEq + Debug,
    {
        let text = serde_json::to_string(document).unwrap();
        let typed = serde_json::from_str::<T>(&text).ok();
        if let Some(typed) = &typed {
            // Written as our tools write it, which is read without the schema.
            let written = document::text(typed).unwrap();
            let fits = schema.is_valid(&serde_json::to_value(typed).unwrap());
            prop_assert_eq!(
                document::parse::<T>("x.json", written.as_bytes(), LIMIT).is_ok(),
                fits
            );
        }
        let expected = typed.filter(|_| schema.is_valid(document));
        match document::parse::<T>("x.json", text.as_bytes(), LIMIT) {
            Ok(parsed) => {
                let again = serde_json::to_vec(&parsed).unwrap();
                let again = document::parse::<T>("x.json", &again, LIMIT);
                prop_assert_eq!(again.as_ref(), Ok(&parsed), "what we write we read");
                prop_assert_eq!(Some(parsed), expected);
            }
            Err(errors) => {
                prop_assert_eq!(None, expected, "{:?}", errors);
                says_where_and_what(document, &errors)?;
            }
        }
        Ok(())
    }

    static TENANT: LazyLock<Validator> = LazyLock::new(validator::<TenantFile>);
    static INVENTORY: LazyLock<Validator> = LazyLock::new(validator::<Inventory>);

    fn validator<T: Document>() -> Validator {
        jsonschema::validator_for(T::schema()).unwrap()
    }

    #[test]
    fn what_the_schema_forbids_is_refused_in_our_own_words_too() {
        let mut file: TenantFile = serde_json::from_value(tenant()).unwrap();
        file.spec.hold = None;
        let read = |file: &TenantFile| {
            let text = document::text(file).unwrap();
            document::parse::<TenantFile>("x.json", text.as_bytes(), LIMIT)
        };
        assert_eq!(read(&file), Ok(file.clone()));
        file.spec.connections = vec![ProviderId::Github; 2];
        assert_eq!(read(&file).unwrap_err()[0].pointer, "/spec/connections/1");
        file.spec.connections.clear();
        file.spec.hold = Some(Hold { reason: "x".repeat(201) });
        assert_eq!(read(&file).unwrap_err()[0].pointer, "/spec/hold/reason");
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2_000))]

        #[test]
        fn a_tenant_is_read_as_serde_and_the_schema_say(changes in mutations()) {
            let document = mutate(tenant(), changes);
            agrees::<TenantFile>(&TENANT, &document)?;
            if let Err(errors) = parse_tenant("tenants/c-7f3k2m9q.json", document.to_string().as_bytes()) {
                says_where_and_what(&document, &errors)?;
            }
        }

        #[test]
        fn an_inventory_is_read_as_serde_and_the_schema_say(changes in mutations()) {
            let document = mutate(inventory(), changes);
            agrees::<Inventory>(&INVENTORY, &document)?;
            if let Err(errors) = Inventory::parse("x.json", document.to_string().as_bytes()) {
                says_where_and_what(&document, &errors)?;
            }
        }

        #[test]
        fn a_value_of_any_kind_is_read_or_refused(document in value()) {
            agrees::<TenantFile>(&TENANT, &document)?;
        }

        #[test]
        fn bytes_of_any_kind_are_refused_with_a_message(bytes in vec(any::<u8>(), 0..200)) {
            let errors = document::parse::<TenantFile>("x.json", &bytes, LIMIT).unwrap_err();
            prop_assert!(!errors.is_empty());
        }

        #[test]
        fn a_document_with_some_bytes_changed_is_read_or_refused(
            changes in vec((any::<Index>(), any::<u8>()), 1..4),
            cut in any::<Index>(),
            whole in any::<bool>(),
        ) {
            let mut bytes = tenant().to_string().into_bytes();
            for (index, byte) in changes {
                *index.get_mut(&mut bytes) = byte;
            }
            if !whole {
                bytes.truncate(cut.index(bytes.len()));
            }
            match document::parse::<TenantFile>("x.json", &bytes, LIMIT) {
                Ok(parsed) => {
                    let again = serde_json::to_vec(&parsed).unwrap();
                    prop_assert_eq!(document::parse("x.json", &again, LIMIT), Ok(parsed));
                }
                Err(errors) => {
                    prop_assert!(errors.iter().all(|error| error.message.starts_with("found ")));
                }
            }
        }
    }
}
